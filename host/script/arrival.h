/* arrival.h - what the host itself knows of a client's request, from the moment that the router
 * takes it until its end: under which ids it goes, when it came, how long its body is.
 *
 * Lua asks for what it needs of this; the record of the request gets all of it without Lua. It
 * is no generation's, so that a request whose generation is gone keeps it. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <lua.h>

#include "base/number.h"
#include "script/own_time.h"
#include "storage/record_id.h"

#define OVERHEAD_ROOM (NUMBER_ROOM + 5) /* bytes of a text */

struct record_reading;
struct request;

struct arrival {
	unsigned char id[16]; /* UUIDv7, neap's own */
	char uuid[RECORD_ID_TEXT +
		1];             /* the same as text; empty until the request arrives */
	const char *request_id; /* the client's X-Request-Id if it is sound, else uuid */
	int64_t start_us;       /* of the clock that never jumps */
	int64_t wall_us;        /* since 1970 */
	uint64_t generation;
	uint64_t body_size;     /* bytes; 0 until the router has asked for the body */
	bool is_routed;         /* the router has taken it; the admin side's are not */
	bool is_client_awaited; /* for its body */
	struct own_time own;
	int64_t own_routing_us; /* of it, until a provider was waited for first; -1: none was */
};

/* The request is here: it gets its ids, and its time begins. Once; more do nothing. */
void arrival_begin(struct request *request);
/* The client is waited for, for the rest of its body, after arrival_begin(); the body, or what is
 * wrong with it, is here. */
void arrival_await_client(struct request *request, int64_t now_us);
void arrival_client_came(struct request *request);
/* A provider is waited for; it came at that time of clock_us(). */
void arrival_await_provider(struct request *request);
void arrival_provider_came(struct request *request, int64_t came_us);
/* What neap itself took up to now, as milliseconds with three places. Counts it in the process's
 * figures: once, for the answer's head. */
void arrival_write_overhead(struct request *request, char room[OVERHEAD_ROOM]);
/* The host's part of the request's record; the texts borrow from the request. */
void arrival_tell(const struct request *request, struct record_reading *reading);

/* Pushes the seconds since it arrived and whether its client has left; returns 2. */
int arrival_push_elapsed(lua_State *L, const struct request *request);

/* Methods of a request's handle, see host_request.lua. */
int arrival_l_arrive(lua_State *L);
int arrival_l_id(lua_State *L);
int arrival_l_uuid(lua_State *L);
int arrival_l_elapsed(lua_State *L);
