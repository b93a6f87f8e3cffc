/* route.h - the fixed part of an attempt: where it goes, with which headers and timers.
 *
 * It is the same for every request that asks the same target with the same key, so it is
 * made once and kept by Lua; what the client sent joins it when the attempt starts.
 * Immutable; its secret never goes back to Lua. */
#pragma once

#include <stdbool.h>

#include <lua.h>

#include "upstream/transfer.h"

struct arena;
struct exchange;
struct health;

struct route {
	struct arena *arena;
	/* Without a body; with the fixed headers and an outline. */
	struct transfer_request request;
	/* Lower-case names of the client's headers that go on; NULL ends it. */
	const char **forward;
	struct health
		*health[2]; /* where it counts as in flight: the target's, the key's */
	double first_event; /* seconds; 0: none */
};

/* The route of the handle at index; raises for anything else. */
const struct route *route_check(lua_State *L, int index);
/* Adds the client's headers that go on, in the arena. */
void route_headers(const struct route *route, const struct exchange *exchange,
	struct arena *arena, struct transfer_request *out);
/* Adds host.route. */
void route_register(lua_State *L);
