#include "script/record_read.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <lauxlib.h>

#include "base/mem.h"
#include "storage/record_id.h"

#define EXACT_MAX 9007199254740992.0 /* whole numbers below are exact */

/* Members of the tables. They are upvalues of the function that reads: a name that is a
 * string of Lua's already need not be hashed for each request. */
enum name {
	ATTEMPT_FAILURE,
	ATTEMPT_FIRST_EVENT,
	ATTEMPT_KEY,
	ATTEMPT_SECONDS,
	ATTEMPT_STARTED,
	ATTEMPT_STATUS,
	ATTEMPT_TARGET,
	ATTEMPT_WHY,
	BYTES_IN,
	BYTES_OUT,
	CLIENT,
	CONVERSATION,
	COST_MICROS,
	DIALECT_IN,
	DIALECT_OUT,
	ENDPOINT,
	ERROR,
	FIRST_BYTE,
	FIRST_EVENT,
	GENERATION,
	GROUP,
	ID,
	KEY,
	MODEL,
	ORIGIN,
	OUTCOME,
	PATH,
	POLICY,
	PRICE_VERSION,
	PROVIDER,
	SECONDS,
	START,
	STATUS,
	STREAM,
	TARGET_MODEL,
	TOKEN,
	TRACE,
	USAGE,
	USAGE_CACHE_READ,
	USAGE_CACHE_WRITE_1H,
	USAGE_CACHE_WRITE_5M,
	USAGE_IMAGES,
	USAGE_IN_AUDIO,
	USAGE_IN_FRESH,
	USAGE_IS_ESTIMATE,
	USAGE_OUT_AUDIO,
	USAGE_OUT_TOTAL,
	USAGE_RAW,
	USAGE_REASONING,
	USAGE_REQUESTS,
	USAGE_SECONDS,
	UUID,
	WALL,
	NAMES
};

static const char *const names[NAMES] = {
	[ATTEMPT_FAILURE] = "failure",
	[ATTEMPT_FIRST_EVENT] = "first_event_seconds",
	[ATTEMPT_KEY] = "key_id",
	[ATTEMPT_SECONDS] = "seconds",
	[ATTEMPT_STARTED] = "started",
	[ATTEMPT_STATUS] = "status",
	[ATTEMPT_TARGET] = "target_name",
	[ATTEMPT_WHY] = "why",
	[BYTES_IN] = "bytes_in",
	[BYTES_OUT] = "bytes_out",
	[CLIENT] = "client",
	[CONVERSATION] = "conversation",
	[COST_MICROS] = "cost_micros",
	[DIALECT_IN] = "dialect_in",
	[DIALECT_OUT] = "dialect_out",
	[ENDPOINT] = "endpoint",
	[ERROR] = "error",
	[FIRST_BYTE] = "first_byte_seconds",
	[FIRST_EVENT] = "first_event_seconds",
	[GENERATION] = "generation",
	[GROUP] = "group",
	[ID] = "id",
	[KEY] = "key",
	[MODEL] = "model",
	[ORIGIN] = "origin",
	[OUTCOME] = "outcome",
	[PATH] = "path",
	[POLICY] = "policy",
	[PRICE_VERSION] = "price_version",
	[PROVIDER] = "provider",
	[SECONDS] = "seconds",
	[START] = "start",
	[STATUS] = "status",
	[STREAM] = "stream",
	[TARGET_MODEL] = "target_model",
	[TOKEN] = "token",
	[TRACE] = "trace",
	[USAGE] = "usage",
	[USAGE_CACHE_READ] = "cache_read",
	[USAGE_CACHE_WRITE_1H] = "cache_write_1h",
	[USAGE_CACHE_WRITE_5M] = "cache_write_5m",
	[USAGE_IMAGES] = "images",
	[USAGE_IN_AUDIO] = "in_audio",
	[USAGE_IN_FRESH] = "in_fresh",
	[USAGE_IS_ESTIMATE] = "is_estimate",
	[USAGE_OUT_AUDIO] = "out_audio",
	[USAGE_OUT_TOTAL] = "out_total",
	[USAGE_RAW] = "raw",
	[USAGE_REASONING] = "reasoning",
	[USAGE_REQUESTS] = "requests",
	[USAGE_SECONDS] = "seconds",
	[UUID] = "uuid",
	[WALL] = "wall",
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

void record_read_push(lua_State *L, lua_CFunction function)
{
	luaL_checkstack(L, NAMES, NULL);
	for (int i = 0; i < NAMES; i++)
		lua_pushstring(L, names[i]);
	lua_pushcclosure(L, function, NAMES);
}

/* -- members ---------------------------------------------------------------------- */

/* What is read stays on the stack: record_read() and each part of it take theirs off at once,
 * which for dozens of members is cheaper than one by one. */

static void push(lua_State *L, int index, enum name name)
{
	lua_pushvalue(L, lua_upvalueindex((int)name + 1));
	lua_rawget(L, index);
}

/* The table holds the string. */
static struct bytes text(lua_State *L, int index, enum name name)
{
	struct bytes text = { 0 };

	push(L, index, name);
	if (lua_type(L, -1) == LUA_TSTRING)
		text.data = lua_tolstring(L, -1, &text.size);
	return text;
}

/* otherwise: where there is no number, or one below 0, or none at all (NaN). */
static double number(lua_State *L, int index, enum name name, double otherwise)
{
	double number = otherwise;

	push(L, index, name);
	if (lua_type(L, -1) == LUA_TNUMBER)
		number = lua_tonumber(L, -1);
	return number >= 0 ? number : otherwise;
}

static uint64_t whole(double number)
{
	return number < EXACT_MAX ? (uint64_t)number : 0;
}

static uint64_t count(lua_State *L, int index, enum name name)
{
	return whole(number(L, index, name, 0));
}

static int status(lua_State *L, int index, enum name name)
{
	double status = number(L, index, name, 0);

	return status < 1000 ? (int)status : 0;
}

static bool is_true(lua_State *L, int index, enum name name)
{
	push(L, index, name);
	return lua_toboolean(L, -1);
}

static uint32_t to_ms(double seconds)
{
	double ms = seconds * 1000 + 0.5;

	return ms < RECORD_NO_MS ? (uint32_t)ms : RECORD_NO_MS - 1;
}

static uint32_t ms(lua_State *L, int index, enum name name)
{
	double seconds = number(L, index, name, -1);

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

/* The attempt at index 3. One that has no end was under way when the request ended. */
static void read_attempt(lua_State *L, double end, struct record_attempt *attempt,
	struct attempt_words *words)
{
	double seconds = number(L, 3, ATTEMPT_SECONDS, -1);

	if (seconds < 0)
		seconds = end - number(L, 3, ATTEMPT_STARTED, end);
	words->target = text(L, 3, ATTEMPT_TARGET);
	words->why = text(L, 3, ATTEMPT_WHY);
	split_target(words->target, attempt);
	attempt->key = text(L, 3, ATTEMPT_KEY);
	attempt->failure = text(L, 3, ATTEMPT_FAILURE);
	attempt->status = status(L, 3, ATTEMPT_STATUS);
	attempt->is_lost = attempt->failure.size == 4 &&
		memcmp(attempt->failure.data, "lost", 4) == 0;
	attempt->ms = seconds > 0 ? to_ms(seconds) : 0;
	attempt->first_event_ms = ms(L, 3, ATTEMPT_FIRST_EVENT);
}

static void read_attempts(lua_State *L, double end, struct record_reading *reading)
{
	struct record *record = &reading->record;
	size_t size = lua_objlen(L, 2);

	if (size > reading->room) {
		reading->room = size;
		record->attempts = xrealloc(record->attempts,
			size * sizeof(*record->attempts));
		reading->words = xrealloc(reading->words, size * sizeof(*reading->words));
	}
	record->attempt_count = 0;
	for (size_t i = 0; i < size; i++) {
		lua_rawgeti(L, 2, (int)i + 1);
		if (lua_istable(L, 3)) {
			size_t at = record->attempt_count++;

			read_attempt(L, end, &record->attempts[at], &reading->words[at]);
		}
		lua_settop(L, 2);
	}
}

static void read_usage(lua_State *L, struct record_reading *reading)
{
	struct record *record = &reading->record;
	struct record_usage *usage = &record->usage;

	*usage = (struct record_usage) { 0 };
	record->raw_usage = (struct bytes) { 0 };
	push(L, 1, USAGE);
	if (lua_istable(L, 3)) {
		usage->is_estimate = is_true(L, 3, USAGE_IS_ESTIMATE);
		usage->is_known = !usage->is_estimate;
		usage->in_fresh = count(L, 3, USAGE_IN_FRESH);
		usage->cache_read = count(L, 3, USAGE_CACHE_READ);
		usage->cache_write_5m = count(L, 3, USAGE_CACHE_WRITE_5M);
		usage->cache_write_1h = count(L, 3, USAGE_CACHE_WRITE_1H);
		usage->in_audio = count(L, 3, USAGE_IN_AUDIO);
		usage->out_total = count(L, 3, USAGE_OUT_TOTAL);
		usage->reasoning = count(L, 3, USAGE_REASONING);
		usage->requests = count(L, 3, USAGE_REQUESTS);
		usage->audio_ms = whole(number(L, 3, USAGE_SECONDS, 0) * 1000 + 0.5);
		usage->images = count(L, 3, USAGE_IMAGES);
		reading->out_audio = number(L, 3, USAGE_OUT_AUDIO, 0);
		record->raw_usage = text(L, 3, USAGE_RAW);
	}
	lua_settop(L, 2);
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

static void read_texts(lua_State *L, struct record *record)
{
	record->request_id = text(L, 1, ID);
	record->token = text(L, 1, TOKEN);
	record->group = text(L, 1, GROUP);
	record->endpoint = text(L, 1, ENDPOINT);
	record->dialect_in = text(L, 1, DIALECT_IN);
	record->dialect_out = text(L, 1, DIALECT_OUT);
	record->model = text(L, 1, MODEL);
	record->provider = text(L, 1, PROVIDER);
	record->target_model = text(L, 1, TARGET_MODEL);
	record->key = text(L, 1, KEY);
	record->conversation = text(L, 1, CONVERSATION);
	record->client = text(L, 1, CLIENT);
	record->error = text(L, 1, ERROR);
	record->trace = text(L, 1, TRACE);
}

void record_read(lua_State *L, struct record_reading *reading)
{
	struct record *record = &reading->record;
	double seconds, cost;
	bool has_cost;
	struct bytes origin;

	luaL_checkstack(L, NAMES, NULL);
	seconds = number(L, 1, SECONDS, 0);
	double end = number(L, 1, START, 0) + seconds;

	lua_settop(L, 2);
	read_attempts(L, end, reading);
	read_usage(L, reading);
	cost = number(L, 1, COST_MICROS, -1);
	has_cost = cost >= 0 && cost < EXACT_MAX;
	origin = text(L, 1, ORIGIN);
	reading->has_id = record_id_read(text(L, 1, UUID), record->id) == 0;
	reading->path = text(L, 1, PATH);
	reading->policy = text(L, 1, POLICY);
	read_texts(L, record);
	record->start_us = (int64_t)whole(number(L, 1, WALL, 0) * 1e6 + 0.5);
	record->status = status(L, 1, STATUS);
	record->outcome = outcome_of(text(L, 1, OUTCOME));
	record->is_stream = is_true(L, 1, STREAM);
	record->is_test = origin.size == 4 && memcmp(origin.data, "test", 4) == 0;
	record->ms = to_ms(seconds);
	record->first_byte_ms = ms(L, 1, FIRST_BYTE);
	record->first_event_ms = ms(L, 1, FIRST_EVENT);
	record->has_cost = has_cost;
	record->cost_micros = has_cost ? (int64_t)cost : 0;
	record->price_version = (uint32_t)count(L, 1, PRICE_VERSION);
	record->bytes_in = count(L, 1, BYTES_IN);
	record->bytes_out = count(L, 1, BYTES_OUT);
	record->generation = count(L, 1, GENERATION);
	lua_settop(L, 2);
}
