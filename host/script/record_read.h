/* record_read.h - the record of a finished request as the library has it (neap.record), as a
 * struct record.
 *
 * Texts and the attempts' list borrow from Lua's tables, which must stay as they are, and
 * from the reading itself. The worker's own, used again for each request: reading allocates
 * only where a request has more attempts than any before it. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include <lua.h>

#include "storage/record.h"

/* What the log line says of an attempt and the journal does not. */
struct attempt_words {
	struct bytes target; /* "provider/model" */
	struct bytes why;
};

struct record_reading {
	struct record record;
	bool has_id;      /* else the journal cannot know it */
	double out_audio; /* tokens; part of usage.out_total */
	struct bytes path;
	struct bytes policy;
	struct attempt_words *words; /* of record.attempts, one each */
	size_t room;                 /* attempts */
};

struct record_reading *record_reading_new(void);
/* NULL is fine. */
void record_reading_free(struct record_reading *reading);

/* Pushes function as a C closure that knows the names of the members: record_read() works
 * only in it. */
void record_read_push(lua_State *L, lua_CFunction function);
/* The record is at index 1, the list of attempts at 2. What has no value or one of another
 * type is as if it were not there. */
void record_read(lua_State *L, struct record_reading *reading);
