#include "script/record_read.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <lauxlib.h>

#include "base/mem.h"
#include "script/usage.h"

#define EXACT_MAX 9007199254740992.0 /* whole numbers below are exact */
#define NONE (-1.0)

/* What the library tells of an attempt: first numbers, then texts, each in this order, which is
 * that of lua/neap/record_values.lua. */
enum attempt_number {
	ATTEMPT_PLACE,
	ATTEMPT_STATUS,
	ATTEMPT_SECONDS,
	ATTEMPT_FIRST_EVENT,
	ATTEMPT_NUMBERS,
};

enum attempt_text {
	ATTEMPT_TARGET,
	ATTEMPT_KEY,
	ATTEMPT_FAILURE,
	ATTEMPT_WHY,
	ATTEMPT_TEXTS
};

#define ATTEMPT_VALUES ((int)ATTEMPT_NUMBERS + (int)ATTEMPT_TEXTS)

/* Of a record: usage, whether it is a stream, its last attempt, and then these. */
enum record_number {
	SECONDS,
	FIRST_BYTE,
	FIRST_EVENT,
	STATUS,
	BYTES_OUT,
	COST_MICROS,
	PRICE_VERSION,
	NUMBERS,
};

/* After those of record.texts that are told, in their order: from token to conversation. */
#define TOLD_TEXTS (RECORD_TEXTS - 2)

enum record_text {
	OUTCOME,
	POLICY,
	ERROR,
	TRACE,
	ORIGIN,
	TEXTS,
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

/* Of so many values, which Lua holds. */
static void read_texts(lua_State *L, int first, struct bytes *texts, int count)
{
	for (int i = 0; i < count; i++)
		texts[i].data = lua_tolstring(L, first + i, &texts[i].size);
}

/* Each 0 or more, or NONE. */
static void read_numbers(lua_State *L, int first, double *numbers, int count)
{
	for (int i = 0; i < count; i++) {
		double number = lua_tonumber(L, first + i);

		/* What is none has become 0. */
		if (number == 0 && lua_type(L, first + i) != LUA_TNUMBER)
			number = NONE;
		numbers[i] = number >= 0 ? number : NONE; /* NaN is none */
	}
}

static uint64_t whole(double number)
{
	return number >= 0 && number < EXACT_MAX ? (uint64_t)(int64_t)number : 0;
}

static int status_of(double number)
{
	return number >= 0 && number < 1000 ? (int)number : 0;
}

/* none: what stands for no time at all. */
static uint32_t ms_of(double seconds, uint32_t none)
{
	double ms = seconds * 1000 + 0.5;

	if (seconds < 0)
		return none;
	return ms < RECORD_NO_MS ? (uint32_t)ms : RECORD_NO_MS - 1;
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

size_t record_read_attempt(lua_State *L, int first, struct record_reading *reading)
{
	double numbers[ATTEMPT_NUMBERS];
	struct bytes texts[ATTEMPT_TEXTS];
	struct record_attempt *attempt;
	struct attempt_words *words;
	size_t place;

	read_numbers(L, first, numbers, ATTEMPT_NUMBERS);
	read_texts(L, first + ATTEMPT_NUMBERS, texts, ATTEMPT_TEXTS);
	place = (size_t)whole(numbers[ATTEMPT_PLACE]);
	if (place == 0 || place > reading->attempts_read + 1)
		return place; /* there is none, or nothing before it */
	reading->attempts_read = place;
	make_room(reading, place);
	attempt = &reading->record.attempts[place - 1];
	words = &reading->words[place - 1];
	words->target = texts[ATTEMPT_TARGET];
	words->why = texts[ATTEMPT_WHY];
	split_target(words->target, attempt);
	attempt->key = texts[ATTEMPT_KEY];
	attempt->failure = texts[ATTEMPT_FAILURE];
	attempt->status = status_of(numbers[ATTEMPT_STATUS]);
	attempt->is_lost = attempt->failure.size == 4 &&
		memcmp(attempt->failure.data, "lost", 4) == 0;
	attempt->ms = ms_of(numbers[ATTEMPT_SECONDS], 0);
	attempt->first_event_ms = ms_of(numbers[ATTEMPT_FIRST_EVENT], RECORD_NO_MS);
	return place;
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

/* Only the record knows which of the attempts are its own: one before it may never have come
 * to its end. */
static void take_attempts(size_t attempts, struct record_reading *reading)
{
	reading->record.attempt_count = attempts < reading->attempts_read
		? attempts
		: reading->attempts_read;
}

static void take_texts(const struct bytes *texts, struct record_reading *reading)
{
	struct record *record = &reading->record;

	reading->policy = texts[POLICY];
	record->error = texts[ERROR];
	record->trace = texts[TRACE];
	record->is_test = texts[ORIGIN].size == 4 &&
		memcmp(texts[ORIGIN].data, "test", 4) == 0;
	record->outcome = outcome_of(texts[OUTCOME]);
}

static void take_numbers(const double *numbers, struct record *record)
{
	double cost = numbers[COST_MICROS];

	record->ms = ms_of(numbers[SECONDS], 0);
	record->first_byte_ms = ms_of(numbers[FIRST_BYTE], RECORD_NO_MS);
	record->first_event_ms = ms_of(numbers[FIRST_EVENT], RECORD_NO_MS);
	record->status = status_of(numbers[STATUS]);
	record->bytes_out = whole(numbers[BYTES_OUT]);
	record->has_cost = cost >= 0 && cost < EXACT_MAX;
	record->cost_micros = (int64_t)whole(cost);
	record->price_version = (uint32_t)whole(numbers[PRICE_VERSION]);
}

void record_read(lua_State *L, int first, struct record_reading *reading)
{
	struct bytes texts[TEXTS];
	double numbers[NUMBERS];

	read_usage(L, first++, reading);
	reading->record.is_stream = lua_toboolean(L, first++);
	take_attempts(record_read_attempt(L, first, reading), reading);
	first += ATTEMPT_VALUES;
	read_numbers(L, first, numbers, NUMBERS);
	first += NUMBERS;
	read_texts(L, first, &reading->record.token, TOLD_TEXTS);
	read_texts(L, first + TOLD_TEXTS, texts, TEXTS);
	take_numbers(numbers, &reading->record);
	take_texts(texts, reading);
}
