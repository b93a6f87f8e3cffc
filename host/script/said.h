/* said.h - where clients' bodies have what their users say: each dialect of a generation tells
 * its own place at load, and a body is looked through for all of them while it comes in. */
#pragma once

#include <lua.h>

#include "base/arena.h"
#include "json/scan.h"

#define SAID_PLACES_MAX 8

struct said_places {
	struct scan_wanted lists[SAID_PLACES_MAX];
	const char *inner[SAID_PLACES_MAX]; /* of a message's parts: what they say */
	size_t count;
	struct arena names;
};

/* Registers host.said into the module table at the top of the stack. */
void said_register(lua_State *L);
void said_clear(struct said_places *places);
