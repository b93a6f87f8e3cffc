#include "script/record_read.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <lauxlib.h>

#include "base/mem.h"
#include "script/usage.h"
#include "storage/record_id.h"

#define EXACT_MAX 9007199254740992.0 /* whole numbers below are exact */

/* What the library tells of an attempt, in this order: lua/neap/record_values.lua. */
enum attempt_value {
	ATTEMPT_PLACE,
	ATTEMPT_TARGET,
	ATTEMPT_KEY,
	ATTEMPT_STATUS,
	ATTEMPT_FAILURE,
	ATTEMPT_WHY,
	ATTEMPT_SECONDS,
	ATTEMPT_FIRST_EVENT,
};

enum record_value {
	ATTEMPT_COUNT,
	USAGE,
	UUID,
	ID,
	ORIGIN,
	CLIENT,
	PATH,
	ENDPOINT,
	WALL,
	SECONDS,
	GENERATION,
	TOKEN,
	GROUP,
	MODEL,
	STREAM,
	CONVERSATION,
	DIALECT_IN,
	BYTES_IN,
	STATUS,
	OUTCOME,
	PROVIDER,
	TARGET_MODEL,
	KEY,
	DIALECT_OUT,
	BYTES_OUT,
	FIRST_BYTE,
	FIRST_EVENT,
	COST_MICROS,
	PRICE_VERSION,
	ERROR,
	POLICY,
	TRACE,
};

struct record_reading *record_reading_new(void)
{
	return xcalloc(1, sizeof(struct record_reading));
}

void record_reading_free(struct record_reading *reading)
{
	if (!reading)
		return;
	free(reading->record.attempts);
	free(reading->words);
	free(reading);
}

/* -- values ----------------------------------------------------------------------- */

/* Of the value at an index, which Lua holds. */
static struct bytes text(lua_State *L, int index)
{
	struct bytes text = { 0 };

	if (lua_type(L, index) == LUA_TSTRING)
		text.data = lua_tolstring(L, index, &text.size);
	return text;
}

/* otherwise: where there is no number, or one below 0, or none at all (NaN). */
static double number(lua_State *L, int index, double otherwise)
{
	double number = otherwise;

	if (lua_type(L, index) == LUA_TNUMBER)
		number = lua_tonumber(L, index);
	return number >= 0 ? number : otherwise;
}

static uint64_t whole(double number)
{
	return number < EXACT_MAX ? (uint64_t)number : 0;
}

static uint64_t count(lua_State *L, int index)
{
	double count = lua_tonumber(L, index);

	return count >= 0 ? whole(count) : 0;
}

static int status(lua_State *L, int index)
{
	uint64_t status = count(L, index);

	return status < 1000 ? (int)status : 0;
}

static uint32_t to_ms(double seconds)
{
	double ms = seconds * 1000 + 0.5;

	return ms < RECORD_NO_MS ? (uint32_t)ms : RECORD_NO_MS - 1;
}

static uint32_t ms(lua_State *L, int index)
{
	double seconds = number(L, index, -1);

	return seconds < 0 ? RECORD_NO_MS : to_ms(seconds);
}

/* -- parts ------------------------------------------------------------------------ */

/* "provider/model", where only the model may have another slash. */
static void split_target(struct bytes target, struct record_attempt *attempt)
{
	const char *start = target.data;
	const char *slash = target.size ? memchr(start, '/', target.size) : NULL;
	size_t size = slash ? (size_t)(slash - start) : target.size;

	attempt->provider = (struct bytes) { start, size };
	attempt->model = slash ? (struct bytes) { slash + 1, target.size - size - 1 }
			       : (struct bytes) { 0 };
}

static void make_room(struct record_reading *reading, size_t size)
{
	struct record *record = &reading->record;

	if (size <= reading->room)
		return;
	reading->room = size;
	record->attempts = xrealloc(record->attempts, size * sizeof(*record->attempts));
	reading->words = xrealloc(reading->words, size * sizeof(*reading->words));
}

void record_read_attempt(lua_State *L, int first, struct record_reading *reading)
{
	size_t place = (size_t)count(L, first + ATTEMPT_PLACE);
	struct record_attempt *attempt;
	struct attempt_words *words;

	if (place == 0 || place > reading->attempts_read + 1)
		return; /* there is nothing before it */
	reading->attempts_read = place;
	make_room(reading, place);
	attempt = &reading->record.attempts[place - 1];
	words = &reading->words[place - 1];
	words->target = text(L, first + ATTEMPT_TARGET);
	words->why = text(L, first + ATTEMPT_WHY);
	split_target(words->target, attempt);
	attempt->key = text(L, first + ATTEMPT_KEY);
	attempt->failure = text(L, first + ATTEMPT_FAILURE);
	attempt->status = status(L, first + ATTEMPT_STATUS);
	attempt->is_lost = attempt->failure.size == 4 &&
		memcmp(attempt->failure.data, "lost", 4) == 0;
	attempt->ms = to_ms(number(L, first + ATTEMPT_SECONDS, 0));
	attempt->first_event_ms = ms(L, first + ATTEMPT_FIRST_EVENT);
}

static void read_usage(lua_State *L, int index, struct record_reading *reading)
{
	const struct usage *usage = usage_at(L, index);
	struct record *record = &reading->record;

	record->usage = usage ? usage->counted : (struct record_usage) { 0 };
	record->raw_usage = usage ? (struct bytes) { usage->raw, usage->raw_size }
				  : (struct bytes) { 0 };
	reading->out_audio = usage ? usage->out_audio : 0;
}

static enum record_outcome outcome_of(struct bytes text)
{
	/* Each outcome has a letter of its own. */
	switch (text.size ? *(const char *)text.data : '\0') {
	case 'o':
		return RECORD_OK;
	case 'a':
		return RECORD_ABORTED;
	case 't':
		return RECORD_TRUNCATED;
	default:
		return RECORD_FAILED;
	}
}

static void read_texts(lua_State *L, int first, struct record *record)
{
	record->request_id = text(L, first + ID);
	record->token = text(L, first + TOKEN);
	record->group = text(L, first + GROUP);
	record->endpoint = text(L, first + ENDPOINT);
	record->dialect_in = text(L, first + DIALECT_IN);
	record->dialect_out = text(L, first + DIALECT_OUT);
	record->model = text(L, first + MODEL);
	record->provider = text(L, first + PROVIDER);
	record->target_model = text(L, first + TARGET_MODEL);
	record->key = text(L, first + KEY);
	record->conversation = text(L, first + CONVERSATION);
	record->client = text(L, first + CLIENT);
	record->error = text(L, first + ERROR);
	record->trace = text(L, first + TRACE);
}

/* Only the record knows which of the attempts are its own: one before it may never have come
 * to its end. */
static void take_attempts(lua_State *L, int index, struct record_reading *reading)
{
	size_t attempts = (size_t)count(L, index);

	reading->record.attempt_count = attempts < reading->attempts_read
		? attempts
		: reading->attempts_read;
}

void record_read(lua_State *L, int first, struct record_reading *reading)
{
	struct record *record = &reading->record;
	double cost = number(L, first + COST_MICROS, -1);
	struct bytes origin = text(L, first + ORIGIN);

	take_attempts(L, first + ATTEMPT_COUNT, reading);
	read_usage(L, first + USAGE, reading);
	reading->has_id = record_id_read(text(L, first + UUID), record->id) == 0;
	reading->path = text(L, first + PATH);
	reading->policy = text(L, first + POLICY);
	read_texts(L, first, record);
	record->start_us = (int64_t)whole(number(L, first + WALL, 0) * 1e6 + 0.5);
	record->status = status(L, first + STATUS);
	record->outcome = outcome_of(text(L, first + OUTCOME));
	record->is_stream = lua_toboolean(L, first + STREAM);
	record->is_test = origin.size == 4 && memcmp(origin.data, "test", 4) == 0;
	record->ms = to_ms(number(L, first + SECONDS, 0));
	record->first_byte_ms = ms(L, first + FIRST_BYTE);
	record->first_event_ms = ms(L, first + FIRST_EVENT);
	record->has_cost = cost >= 0 && cost < EXACT_MAX;
	record->cost_micros = record->has_cost ? (int64_t)cost : 0;
	record->price_version = (uint32_t)count(L, first + PRICE_VERSION);
	record->bytes_in = count(L, first + BYTES_IN);
	record->bytes_out = count(L, first + BYTES_OUT);
	record->generation = count(L, first + GENERATION);
}
