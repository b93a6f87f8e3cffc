/* The record of a request out of Lua's tables, and its line. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <lauxlib.h>
#include <lualib.h>

#include "script/api.h"
#include "script/record_line.h"
#include "script/record_read.h"

static struct record_reading *reading;

static int l_record_attempt(lua_State *L)
{
	record_read_attempt(L, 1, reading);
	return 0;
}

/* As of another router's log: after the uuid and the time, which the caller reads. */
static int l_end_record(lua_State *L)
{
	record_read(L, 3, reading);
	return 0;
}

static lua_State *L;

/* Lua's own gives blocks that are not aligned for every type, as a handle is. */
static void *allocate(void *arg, void *block, size_t old_size, size_t size)
{
	(void)arg;
	(void)old_size;
	if (size)
		return realloc(block, size);
	free(block);
	return NULL;
}

static int set_up(void **state)
{
	(void)state;
	reading = record_reading_new();
	L = lua_newstate(allocate, NULL);
	luaL_openlibs(L);
	lua_register(L, "record_attempt", l_record_attempt);
	lua_newtable(L);
	usage_register(L);
	lua_setglobal(L, "host");
	lua_register(L, "end_record", l_end_record);
	assert_int_equal(
		luaL_dostring(L,
			"function host.now() return 102 end\n"
			"package.preload['neap.host'] = function() return host end"),
		0);
	assert_int_equal(luaL_dofile(L, "lua/neap/record_values.lua"), 0);
	lua_setglobal(L, "values");
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	lua_close(L);
	record_reading_free(reading);
	return 0;
}

/* Sets the global record, so that its texts stay. */
static const struct record *read_record(const char *text)
{
	assert_int_equal(luaL_dostring(L, text), 0);
	assert_int_equal(luaL_dostring(L, "values.tell_past(record, _G)"), 0);
	return &reading->record;
}

static void assert_text(struct bytes text, const char *expected)
{
	assert_int_equal(text.size, strlen(expected));
	assert_memory_equal(text.data, expected, text.size);
}

#define WHOLE \
	"record = { seconds = 2.0004, token = 't', group = 'g', model = 'm', key = 'k'," \
	" conversation = 'c', endpoint = 'chat', dialect_out = 'openai', error = 'it broke'," \
	" status = 499, outcome = 'aborted', stream = true, origin = 'test', bytes_out = 12," \
	" first_byte_seconds = 0.0306, cost_micros = 38, prices = { version = 3 }," \
	" usage = host.usage(9, 0, 0, 0, 0, 2, 0, 0, 1, 1.234, 0, false, '{}')," \
	" attempts = { { target_name = 'a/x/y', key_id = 'k1', status = 500, seconds = 0.25 }," \
	" { target_name = 'b/z', failure = 'lost', seconds = 1 }," \
	" { target_name = 'c/z', started = 101.5 } } }"

static void test_whole(void **state)
{
	const struct record *record = read_record(WHOLE);

	(void)state;
	assert_text(record->token, "t");
	assert_text(record->group, "g");
	assert_text(record->endpoint, "chat");
	assert_text(record->dialect_out, "openai");
	assert_text(record->model, "m");
	assert_text(record->key, "k");
	assert_text(record->conversation, "c");
	assert_text(record->error, "it broke");
	assert_int_equal(record->status, 499);
	assert_int_equal(record->bytes_out, 12);
	assert_int_equal(record->ms, 2000);
	assert_int_equal(record->first_byte_ms, 31);
	assert_int_equal(record->first_event_ms, RECORD_NO_MS);
	assert_int_equal(record->outcome, RECORD_ABORTED);
	assert_true(record->is_stream);
	assert_true(record->is_test);
	assert_true(record->has_cost);
	assert_int_equal(record->cost_micros, 38);
	assert_int_equal(record->price_version, 3);
	assert_true(record->usage.is_known);
	assert_false(record->usage.is_estimate);
	assert_int_equal(record->usage.in_fresh, 9);
	assert_int_equal(record->usage.audio_ms, 1234);
	assert_text(record->raw_usage, "{}");
}

static void test_attempts(void **state)
{
	const struct record *record = read_record(WHOLE);

	(void)state;
	assert_int_equal(record->attempt_count, 3);
	assert_text(record->attempts[0].provider, "a");
	assert_text(record->attempts[0].model, "x/y");
	assert_text(record->attempts[0].key, "k1");
	assert_int_equal(record->attempts[0].ms, 250);
	assert_false(record->attempts[0].is_lost);
	assert_true(record->attempts[1].is_lost);
	assert_int_equal(record->attempts[1].status, 0);
	/* It was under way until the end. */
	assert_int_equal(record->attempts[2].ms, 500);
}

static void assert_cost(int64_t micros, const char *expected)
{
	struct buf line = { 0 };
	const char *cost;

	read_record(WHOLE);
	reading->record.cost_micros = micros;
	record_line_write(&line, reading);
	buf_append(&line, "", 1);
	cost = strstr(buf_data(&line), "\"cost\":");
	assert_non_null(cost);
	assert_memory_equal(cost + strlen("\"cost\":"), expected, strlen(expected));
	buf_clear(&line);
}

static void test_cost(void **state)
{
	(void)state;
	assert_cost(0, "0,");
	assert_cost(38, "0.000038,");
	assert_cost(1500000, "1.5,");
	assert_cost(20000000, "20,");
	assert_cost(9007199254740991, "9007199254.740991,");
}

/* A line is put together in memory that grows, wherever it does. */
static void test_line_of_any_size(void **state)
{
	char token[1200];

	(void)state;
	memset(token, 't', sizeof(token));
	for (size_t size = 0; size <= sizeof(token); size++) {
		struct buf line = { 0 };
		size_t written;

		read_record(WHOLE);
		reading->record.usage.is_estimate = true;
		reading->record.token = (struct bytes) { token, size };
		record_line_write(&line, reading);
		written = buf_size(&line);
		record_line_write(&line, reading);
		assert_int_equal(buf_size(&line), written);
		buf_append(&line, "", 1);
		assert_non_null(strstr(buf_data(&line),
			size ? "t\",\"group\":\"g\"," : "\"token\":\"\","));
		assert_non_null(strstr(buf_data(&line),
			"\"seconds\":1.234,\"is_estimate\":true},\"cost\":0.000038,"
			"\"conversation\":\"c\",\"outcome\":\"aborted\",\"stream\":true,\"generation\":0,"
			"\"error\":\"it broke\"}"));
		buf_clear(&line);
	}
}

/* Nothing of the request before is left in the next one's. */
static void test_empty(void **state)
{
	const struct record *record;
	struct buf line = { 0 };

	(void)state;
	read_record(WHOLE);
	record = read_record(
		"record = { seconds = -1, first_byte_seconds = 0/0, status = 'no',"
		" cost_micros = 1e300, bytes_out = 1e300, model = true, attempts = {} }");
	assert_int_equal(record->start_us, 0);
	assert_int_equal(record->ms, 0);
	assert_int_equal(record->status, 0);
	assert_int_equal(record->bytes_out, 0);
	assert_int_equal(record->first_byte_ms, RECORD_NO_MS);
	assert_false(record->has_cost);
	assert_false(record->usage.is_known);
	assert_int_equal(record->usage.in_fresh, 0);
	assert_int_equal(record->raw_usage.size, 0);
	assert_int_equal(record->model.size, 0);
	assert_int_equal(record->attempt_count, 0);
	assert_int_equal(record->outcome, RECORD_FAILED);
	record_line_write(&line, reading);
	assert_int_equal(*(buf_data(&line) + buf_size(&line) - 1), '}');
	buf_append(&line, "", 1);
	assert_non_null(strstr(buf_data(&line), "\"time\":\"1970-01-01T00:00:00.000Z\""));
	assert_non_null(strstr(buf_data(&line), "\"attempts\":[],\"status\":null"));
	buf_clear(&line);
}

/* One that was never ended leaves nothing behind, either. */
static void test_broken_off(void **state)
{
	const struct record *record;

	(void)state;
	read_record(WHOLE);
	assert_int_equal(luaL_dostring(L,
				 "record_attempt(1, 200, 1, nil, 'x/y', 'k')\n"
				 "record_attempt(2, 200, 1, nil, 'x/z', 'k')"),
		0);
	record = read_record("record = { seconds = 1, attempts = {"
			     " { target_name = 'a/b', seconds = 1 } } }");
	assert_int_equal(record->attempt_count, 1);
	assert_text(record->attempts[0].provider, "a");
	assert_false(record->usage.is_known);
	assert_int_equal(record->usage.in_fresh, 0);
	assert_int_equal(luaL_dostring(L, "record_attempt(9, 200, 1, nil, 'far/off')"),
		0);
	assert_int_equal(luaL_dostring(L, "end_record(nil, 0, nil, false, 9)"), 0);
	assert_int_equal(record->attempt_count, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_whole, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_attempts, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_cost, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_line_of_any_size, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_empty, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_broken_off, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
