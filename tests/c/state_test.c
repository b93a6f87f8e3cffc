/* state_test.c - the limits of a Lua state, seen through state_call(). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include <lauxlib.h>

#include "base/clock.h"
#include "script/state.h"

#define TEXT(value) #value
#define NUMBER(macro) TEXT(macro)

/* What is to stop for its memory shall not stop for its time first, on a slow machine. */
enum { SHORT_MS = 50, PATIENT_MS = 30 * 1000 };

static const struct state_limits small_limits = {
	.memory_max = (size_t)24 * 1024 * 1024,
	.growth_max = (size_t)8 * 1024 * 1024,
	.cpu_ms = SHORT_MS,
};

static int run(struct state *state, const char *text, int cpu_ms, struct err *err)
{
	assert_int_equal(luaL_loadbuffer(state_lua(state), text, strlen(text), "=test"),
		0);
	return state_call(state, 0, 0, cpu_ms, err);
}

static void expect_error_within(struct state *state, int cpu_ms, const char *text,
	const char *message)
{
	struct err err = { "" };

	int top = lua_gettop(state_lua(state));

	assert_int_equal(run(state, text, cpu_ms, &err), -EINVAL);
	if (!strstr(err.text, message))
		fail_msg("\"%s\" is not in \"%s\"", message, err.text);
	assert_int_equal(lua_gettop(state_lua(state)), top);
}

static void expect_error(struct state *state, const char *text, const char *message)
{
	expect_error_within(state, PATIENT_MS, text, message);
}

/* After 50 ms of CPU time; all others have plenty of it. */
static void expect_stop(struct state *state, const char *text, const char *message)
{
	expect_error_within(state, SHORT_MS, text, message);
}

static void expect_ok_within(struct state *state, int cpu_ms, const char *text)
{
	struct err err = { "" };

	if (run(state, text, cpu_ms, &err) != 0)
		fail_msg("%s", err.text);
}

static void expect_ok(struct state *state, const char *text)
{
	expect_ok_within(state, PATIENT_MS, text);
}

static int l_relax(lua_State *L)
{
	state_relax(L);
	return 0;
}

static int l_is_overrun(lua_State *L)
{
	lua_pushboolean(L, state_is_overrun(L));
	return 1;
}

static int l_set_boundary(lua_State *L)
{
	lua_settop(L, 1);
	state_set_boundary(L);
	return 0;
}

static int l_charge(lua_State *L)
{
	state_charge(L, (size_t)luaL_checknumber(L, 1));
	return 0;
}

static int l_limit_cpu(lua_State *L)
{
	lua_pushboolean(L, state_limit_cpu(L, (int)luaL_checkinteger(L, 1)));
	return 1;
}

static int open_state(void **arg)
{
	struct state *state = state_new(&small_limits);
	lua_State *L = state_lua(state);

	lua_register(L, "relax", l_relax);
	lua_register(L, "is_overrun", l_is_overrun);
	lua_register(L, "set_boundary", l_set_boundary);
	lua_register(L, "charge", l_charge);
	lua_register(L, "limit_cpu", l_limit_cpu);
	*arg = state;
	return 0;
}

static int close_state(void **arg)
{
	state_free(*arg);
	return 0;
}

static void test_outside_is_absent(void **arg)
{
	expect_ok(*arg,
		"for _, name in ipairs { 'io', 'os', 'ffi', 'jit', 'package', 'print',"
		" 'dofile', 'loadfile', 'require' } do assert(not _G[name], name) end");
	expect_ok(*arg,
		"assert(string.rep and table.concat and math.floor and bit.band"
		" and debug.traceback)");
}

static void test_errors_have_a_position(void **arg)
{
	expect_error(*arg, "\nerror('broken')", "test:2: broken");
	expect_error(*arg, "error({})", "(error object is a table value)");
	expect_error(*arg,
		"error(setmetatable({}, { __tostring = function() while true do end end }))",
		"(error object is a table value)");
	expect_error(*arg, "error()", "(error object is a nil value)");
}

static void test_cpu_is_limited(void **arg)
{
	int64_t start = clock_ms();

	expect_stop(*arg, "\n\nwhile true do end",
		"test:3: stopped after 50 ms of CPU time");
	expect_stop(*arg,
		"local function f() while true do end end\n"
		"while true do pcall(f) end",
		"stopped after 50 ms of CPU time");
	assert_true(clock_ms() - start < 10000);
	expect_ok(*arg, "local n = 0 for i = 1, 1e5 do n = n + i end");
}

static void test_no_cpu_limit(void **arg)
{
	struct err err = { "" };

	assert_int_equal(run(*arg, "for i = 1, 3e7 do end", 0, &err), 0);
}

static void test_a_load_is_no_request(void **arg)
{
	expect_ok_within(*arg, 0,
		"local t = {} for i = 1, 12 do t[i] = ('x'):rep(1024 * 1024) .. i end");
}

/* For a part of a load that is somebody's. */
static void test_limits_for_a_while(void **arg)
{
	expect_error_within(*arg, 0, "limit_cpu(50) while true do pcall(error) end",
		"stopped after 50 ms");
	expect_error_within(*arg, 0,
		"limit_cpu(30000) local t = {} "
		"for i = 1, 12 do t[i] = ('x'):rep(1024 * 1024) .. i end",
		"not enough memory");
	expect_ok_within(*arg, 0,
		"local function guard(run)\n"
		"  local ok, why = pcall(run) relax() return ok, why\n"
		"end\n"
		"set_boundary(guard)\n"
		"assert(not limit_cpu(0))\n"
		"assert(limit_cpu(50) and not limit_cpu(50))\n"
		"local ok, why = guard(function() while true do end end)\n"
		"assert(not ok and why:find 'stopped after 50 ms', why)\n"
		"assert(limit_cpu(0))\n"
		"for i = 1, 3e7 do end");
	expect_ok(*arg, "assert(not limit_cpu(50))");
}

static void test_a_charge_is_looked_at(void **arg)
{
	expect_stop(*arg, "for i = 1, 1e9 do pcall(charge, 1e6) end",
		"stopped after 50 ms");
}

static void test_boundary_goes_on(void **arg)
{
	expect_ok_within(*arg, SHORT_MS,
		"local function spin() while true do end end\n"
		"local function swallow() while true do pcall(spin) end end\n"
		"function guard()\n"
		"  local ok, message = pcall(swallow)\n"
		"  assert(is_overrun())\n"
		"  relax()\n"
		"  assert(not is_overrun())\n"
		"  assert(not ok and message:find('stopped after 50 ms of CPU time', 1, true))\n"
		"  for i = 1, 1e3 do local s = tostring(i) end\n"
		"end\n"
		"set_boundary(guard)\n"
		"guard()\n"
		"assert(not is_overrun())");
}

static void test_second_overrun_stops_the_boundary(void **arg)
{
	expect_stop(*arg,
		"function guard()\n"
		"  pcall(function() while true do end end)\n"
		"  relax()\n"
		"  relax()\n"
		"  while true do pcall(function() while true do end end) relax() end\n"
		"end\n"
		"set_boundary(guard)\n"
		"guard()",
		"stopped after " NUMBER(STATE_RELAX_MS) " ms of CPU time");
}

static void test_growth_is_limited(void **arg)
{
	struct state *state = *arg;
	size_t before = state_memory(state);

	expect_error(state, "local t = {} for i = 1, 1e9 do t[i] = {} end",
		"not enough memory: a request may use 8 MiB");
	expect_error(state, "local s = 'x' while true do s = s .. s end",
		"not enough memory: a request may use 8 MiB");
	/* Each collection halves the buffer in which Lua joins strings. */
	for (int i = 0; i < 8; i++)
		lua_gc(state_lua(state), LUA_GCCOLLECT, 0);
	assert_true(state_memory(state) < before + 512 * 1024);
	expect_ok(state, "local s = ('x'):rep(4e6)");
}

static void test_a_swallowed_refusal_still_stops(void **arg)
{
	expect_error(*arg,
		"while true do pcall(function() local s = 'x' while true do s = s .. s end end) end",
		"not enough memory");
}

static void test_boundary_gets_memory_back(void **arg)
{
	expect_ok(*arg,
		"function guard()\n"
		"  pcall(function() local t = {} while true do t[#t + 1] = {} end end)\n"
		"  assert(is_overrun())\n"
		"  relax()\n"
		"  local s = ('x'):rep(4e6)\n"
		"end\n"
		"set_boundary(guard)\n"
		"guard()");
}

static void test_state_is_limited(void **arg)
{
	struct state *state = *arg;
	struct err err = { "" };

	expect_ok(state, "kept = {}");
	for (int i = 0; i < 40 && err.text[0] == '\0'; i++) {
		if (run(state, "kept[#kept + 1] = ('x'):rep(1e6) .. #kept", PATIENT_MS,
			    &err) != 0)
			break;
	}
	assert_non_null(strstr(err.text,
		"not enough memory: a worker's Lua state may use 24 MiB"));
	assert_true(state_memory(state) <= small_limits.memory_max);
	expect_error(state, "local s = ('y'):rep(2e6)", "not enough memory");

	/* Freed memory is found again, although only a run asks for a collection. */
	lua_pushnil(state_lua(state));
	lua_setglobal(state_lua(state), "kept");
	for (int i = 0;
		i < 200 && run(state, "local s = ('y'):rep(2e6)", PATIENT_MS, &err) != 0;
		i++)
		assert_non_null(strstr(err.text, "not enough memory"));
	expect_ok(state, "local s = ('y'):rep(2e6)");
}

static void test_host_is_never_refused(void **arg)
{
	struct state *state = *arg;
	lua_State *L = state_lua(state);

	lua_newuserdata(L, small_limits.memory_max);
	assert_true(state_memory(state) > small_limits.memory_max);
	expect_error(state, "local s = ('z'):rep(1e6)", "not enough memory");
	lua_settop(L, 0);
}

static void test_data(void **arg)
{
	struct state *state = *arg;
	int data;

	state_set_data(state, &data);
	assert_ptr_equal(state_data(state_of(state_lua(state))), &data);
}

static void test_it_is_full_by_what_lives(void **arg)
{
	struct state *state = *arg;

	/* Garbage is none of it, however much there was. */
	for (int i = 0; i < 40; i++)
		expect_ok(state, "local s = ('x'):rep(1e6)");
	assert_false(state_is_full(state));
	expect_ok(state, "kept = {}");
	for (int i = 0; i < 20; i++)
		expect_ok(state, "kept[#kept + 1] = ('x'):rep(1e6) .. #kept");
	expect_ok(state, "local a = 1");
	assert_true(state_is_full(state));
	expect_ok(state, "kept = nil");
	lua_gc(state_lua(state), LUA_GCCOLLECT, 0);
	assert_false(state_is_full(state));
}

#define STATE_TEST(name) cmocka_unit_test_setup_teardown(name, open_state, close_state)

/* All of it once more as a worker's thread does it. */
static int watch_thread(void **arg)
{
	(void)arg;
	state_watch_thread();
	return 0;
}

static int unwatch_thread(void **arg)
{
	(void)arg;
	state_unwatch_thread();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		STATE_TEST(test_outside_is_absent),
		STATE_TEST(test_errors_have_a_position),
		STATE_TEST(test_cpu_is_limited),
		STATE_TEST(test_no_cpu_limit),
		STATE_TEST(test_a_load_is_no_request),
		STATE_TEST(test_limits_for_a_while),
		STATE_TEST(test_a_charge_is_looked_at),
		STATE_TEST(test_boundary_goes_on),
		STATE_TEST(test_second_overrun_stops_the_boundary),
		STATE_TEST(test_growth_is_limited),
		STATE_TEST(test_it_is_full_by_what_lives),
		STATE_TEST(test_a_swallowed_refusal_still_stops),
		STATE_TEST(test_boundary_gets_memory_back),
		STATE_TEST(test_state_is_limited),
		STATE_TEST(test_host_is_never_refused),
		STATE_TEST(test_data),
	};

	int failed = cmocka_run_group_tests_name("with a hook", tests, NULL, NULL);

	return failed +
		cmocka_run_group_tests_name("with a ticker", tests, watch_thread,
			unwatch_thread);
}
