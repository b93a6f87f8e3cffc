/* record_read.h - the record of a finished request as the library tells it, as a struct
 * record.
 *
 * The library hands over plain values in a fixed order (lua/neap/record_values.lua), since
 * Lua reads its tables for a fraction of what C needs: first each attempt but the last, then
 * all else with the last, which is the only one of most requests. A value that is missing or of
 * another type is as if it were not there; a number may be a text, and the other way round.
 * Whose record it is and when it began is not told: the caller knows the id, start_us,
 * request_id, client, generation, bytes_in and the path, which are none until it sets them.
 *
 * Texts borrow from Lua, which must hold them until the record is used, and the attempts'
 * list from the reading itself. The worker's own, used again for each request: reading
 * allocates only where a request has more attempts than any before it. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <lua.h>

#include "storage/record.h"

/* What the log line says of an attempt and the journal does not. */
struct attempt_words {
	struct bytes target; /* "provider/model" */
	struct bytes why;
};

struct record_reading {
	struct record record;
	uint64_t out_audio; /* tokens; part of usage.out_total */
	struct bytes path;
	struct bytes policy;
	struct attempt_words *words; /* of record.attempts, one each */
	size_t attempts_read;        /* since the last that was the first of its record */
	size_t room;                 /* attempts */
};

struct record_reading *record_reading_new(void);
/* NULL is fine. */
void record_reading_free(struct record_reading *reading);

/* The values of each begin at index first. Returns the attempt's place, from 1, or 0: there is
 * none. */
size_t record_read_attempt(lua_State *L, int first, struct record_reading *reading);
/* All of the record but what the caller knows is in reading->record then; the place of its
 * last attempt says how many it has. */
void record_read(lua_State *L, int first, struct record_reading *reading);
