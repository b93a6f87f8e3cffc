/* sandbox_test.c - environments, read-only views, and the limited functions' results. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include <lauxlib.h>

#include "script/sandbox.h"
#include "script/state.h"

static int open_state(void **arg)
{
	struct state *state = state_new(&state_default_limits);

	sandbox_open(state_lua(state));
	*arg = state;
	return 0;
}

static int close_state(void **arg)
{
	state_free(*arg);
	return 0;
}

/* Runs a chunk in the environment on top of the stack, which stays there. */
static int run_here(struct state *state, const char *text, struct err *err)
{
	lua_State *L = state_lua(state);

	lua_pushvalue(L, -1);
	int rc = sandbox_load(L, text, strlen(text), "policies/mine.lua", err);
	return rc ? rc : state_call(state, 0, 0, 50, err);
}

static void expect_ok(struct state *state, const char *text)
{
	struct err err;

	sandbox_push_environment(state_lua(state));
	if (run_here(state, text, &err) != 0)
		fail_msg("%s", err.text);
	lua_pop(state_lua(state), 1);
}

static void expect_error(struct state *state, const char *text, const char *message)
{
	struct err err;

	sandbox_push_environment(state_lua(state));
	assert_int_equal(run_here(state, text, &err), -EINVAL);
	assert_string_equal(err.text, message);
	lua_pop(state_lua(state), 1);
}

static void test_messages(void **arg)
{
	expect_error(*arg, "\nx = 1",
		"policies/mine.lua:2: attempt to write the global \"x\": use local");
	expect_error(*arg, "return y.z", "policies/mine.lua:1: unknown global \"y\"");
	expect_error(*arg, "return )", "policies/mine.lua:1: unexpected symbol near ')'");
	expect_error(*arg, "string.find('a', '[')",
		"policies/mine.lua:1: malformed pattern (missing ']')");
}

static void test_environments_are_apart(void **arg)
{
	struct err err;
	lua_State *L = state_lua(*arg);

	sandbox_push_environment(L);
	assert_int_equal(run_here(*arg, "string.rep = nil math.pi = 3 table.sort = nil",
				 &err),
		0);
	assert_int_equal(run_here(*arg, "assert(not string.rep and math.pi == 3)", &err),
		0);
	expect_ok(*arg, "assert(string.rep and math.pi > 3.1 and table.sort)");
	assert_int_equal(luaL_loadstring(L, "assert(math.pi > 3.1 and string.rep)"), 0);
	assert_int_equal(state_call(*arg, 0, 0, 50, &err), 0);
}

static void test_added_names(void **arg)
{
	lua_State *L = state_lua(*arg);
	struct err err;

	sandbox_push_environment(L);
	lua_pushinteger(L, 7);
	sandbox_add(L, -2, "seven");
	assert_int_equal(lua_gettop(L), 1);
	assert_int_equal(run_here(*arg, "assert(seven == 7)", &err), 0);
	assert_int_not_equal(run_here(*arg, "seven = 8", &err), 0);
}

static void test_readonly_views(void **arg)
{
	lua_State *L = state_lua(*arg);
	struct err err;

	sandbox_push_environment(L);
	assert_int_equal(luaL_loadstring(L, "list = { 4, 5, 6, name = 'x' }"), 0);
	assert_int_equal(state_call(*arg, 0, 0, 50, &err), 0);
	lua_getglobal(L, "list");
	sandbox_push_readonly(L, -1);
	lua_remove(L, -2);
	sandbox_add(L, -2, "list");
	if (run_here(*arg,
		    "assert(list[2] == 5 and list.name == 'x' and list.none == nil)\n"
		    "local sum, count = 0, 0\n"
		    "for i, n in ipairs(list) do sum = sum + i * n end\n"
		    "for k, v in pairs(list) do count = count + 1 end\n"
		    "assert(sum == 32 and count == 4 and next(list) == 1)\n"
		    "local _, walked = pairs(list)\n"
		    "for _, write in ipairs { function() list[1] = 0 end, function() walked[1] = 0 end } do\n"
		    "  local ok, message = pcall(write)\n"
		    "  assert(not ok and message:find('read-only', 1, true))\n"
		    "end\n"
		    "assert(getmetatable(list) == false and not pcall(setmetatable, list, {}))\n"
		    "assert(not pcall(table.insert, walked, 1) or list[4] == nil)",
		    &err) != 0)
		fail_msg("%s", err.text);
}

static void test_walking_plain_tables(void **arg)
{
	expect_ok(*arg,
		"local t, n = { 1, 2, 3, x = 4 }, 0\n"
		"for _, v in pairs(t) do n = n + v end\n"
		"assert(n == 10)\n"
		"n = 0 for i, v in ipairs(t) do n = n + i * v end\n"
		"assert(n == 14 and next({}) == nil)\n"
		"local own = setmetatable({ 1 }, { __index = { 0, 2 } })\n"
		"n = 0 for _ in ipairs(own) do n = n + 1 end\n"
		"assert(n == 1)");
}

static void test_strings(void **arg)
{
	expect_ok(*arg,
		"local function is(...)\n"
		"  local got, want = { ... }, table.remove({ ... })\n"
		"  got[#got] = nil\n"
		"  for i = 1, #got do got[i] = tostring(got[i]) end\n"
		"  got = table.concat(got, ' ')\n"
		"  if got ~= want then error(got .. ' instead of ' .. want, 2) end\n"
		"end\n"
		"local function two(a, b) return tostring(a) .. ' ' .. tostring(b) end\n"
		"is(two(('hello'):find('l')), '3 3')\n"
		"is(two(('hello'):find('l', -2)), '4 4')\n"
		"is(two(('hello'):find('xyz')), 'nil nil')\n"
		"is(two(('hello'):find('', 10)), '6 5')\n"
		"is(two(('a.b'):find('.', 2, true)), '2 2')\n"
		"is(two(('k=v'):match('(%w)=(%w)')), 'k v')\n"
		"is(two(('abc'):gsub('%w', '%0%0')), 'aabbcc 3')\n"
		"is(two(('abc'):gsub('', '-')), '-a-b-c- 4')\n"
		"is(two(('abc'):gsub('%w*', 'x')), 'xx 2')\n"
		"is(two(('hello world'):gsub('o', '0', 1)), 'hell0 world 1')\n"
		"is(two(('abab'):gsub('^a', 'x')), 'xbab 1')\n"
		"is(two(('$name is $age'):gsub('%$(%w+)', { name = 'x' })), 'x is $age 2')\n"
		"is(two(('abc'):gsub('(b)()', function(b, at) return b .. at end)), 'ab3c 1')\n"
		"is(two(('abc'):gsub('b', function() return false end)), 'abc 1')\n"
		"is(two(('abc'):gsub('b', '%%')), 'a%c 1')\n"
		"is(two(('abc'):gsub('b', 5)), 'a5c 1')\n"
		"is(two(pcall(string.gsub, 'a', 'a', '%2')), 'false invalid capture index')\n"
		"is(two(pcall(string.gsub, 'a', 'a', function() return {} end)),\n"
		"  'false invalid replacement value (a table)')\n"
		"local words = {}\n"
		"for k, v in ('a=1, b=2'):gmatch('(%w+)=(%w+)') do words[#words + 1] = k .. v end\n"
		"for at in ('ab'):gmatch('()') do words[#words + 1] = at end\n"
		"is(table.concat(words, ' '), 'a1 b2 1 2 3')\n"
		"is(('ab'):rep(3), 'ababab') is(('ab'):rep(2, ','), 'ab,ab') is(('ab'):rep(-1), '')\n"
		"is(('%5.1f|%q|%s|%-4d|'):format(1.3, 'a\"b', true, 7), '  1.3|\"a\\\\\"b\"|true|7   |')\n"
		"is(('aB'):upper() .. ('aB'):lower() .. ('aB'):reverse(), 'ABabBa')\n"
		"is(('abc'):sub(2), 'bc') is(('abc'):byte(2), '98') is(string.char(97), 'a')");
}

static void test_tables(void **arg)
{
	expect_ok(*arg,
		"local t = { 1, 2, 3 }\n"
		"table.insert(t, 4) table.insert(t, 1, 0) table.insert(t, 3, 1.5)\n"
		"assert(table.concat(t, ',') == '0,1,1.5,2,3,4')\n"
		"assert(table.remove(t) == 4 and table.remove(t, 1) == 0 and table.remove(t, 2) == 1.5)\n"
		"assert(table.concat(t) == '123' and table.concat(t, '-', 2, 3) == '2-3')\n"
		"assert(table.remove({}) == nil and table.remove(t, 9) == nil and #t == 3)\n"
		"table.sort(t, function(a, b) return a > b end)\n"
		"assert(table.concat(t) == '321' and table.maxn(t) == 3)\n"
		"table.sort(t)\n"
		"assert(table.concat(t) == '123')\n"
		"assert(not pcall(table.concat, { {} }) and not pcall(table.insert, t))");
}

#define SANDBOX_TEST(name) cmocka_unit_test_setup_teardown(name, open_state, close_state)

int main(void)
{
	const struct CMUnitTest tests[] = {
		SANDBOX_TEST(test_messages),
		SANDBOX_TEST(test_environments_are_apart),
		SANDBOX_TEST(test_added_names),
		SANDBOX_TEST(test_readonly_views),
		SANDBOX_TEST(test_walking_plain_tables),
		SANDBOX_TEST(test_strings),
		SANDBOX_TEST(test_tables),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
