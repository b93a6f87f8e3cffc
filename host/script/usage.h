/* usage.h - what an answer took, as neap.usage has it: a handle that Lua reads by its
 * names, and the host without asking for each. It never changes. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <lua.h>

#include "storage/record.h"

struct look_answer;

struct usage {
	struct record_usage counted;
	uint64_t out_audio;   /* tokens; part of counted.out_total */
	double reported_cost; /* USD; below 0: the provider has not said it */
	size_t raw_size;
	char raw[]; /* the provider's own text */
};

/* The usage at index, which Lua holds; NULL where there is none. */
const struct usage *usage_at(lua_State *L, int index);
/* Pushes what a look's answers to the SAID_COUNT questions of neap.usage say, or nil where
 * they hold no count. */
void usage_push_said(lua_State *L, const struct look_answer *said);
