/* pattern_test.c - the counting matcher against LuaJIT's own, and its limits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include <lauxlib.h>
#include <lualib.h>

#include "base/mem.h"
#include "script/pattern.h"

#define STEPS 1000000

static enum pattern_result find(const char *text, const char *pattern, long steps,
	struct pattern_match *match, const char **error)
{
	return pattern_find(text, strlen(text), 0, pattern, strlen(pattern), &steps,
		match, error);
}

/* What was found, as "start-end|capture|…", or a word for what was not. */
static void describe(const char *text, size_t size, size_t from, const char *pattern,
	size_t pattern_size, char *room, size_t room_size)
{
	struct pattern_match match;
	const char *error;
	long steps = STEPS;
	size_t used;

	enum pattern_result result = pattern_find(text, size, from, pattern, pattern_size,
		&steps, &match, &error);
	if (result != PATTERN_FOUND) {
		snprintf(room, room_size, "%s",
			result == PATTERN_NONE ? "none" : "error");
		return;
	}
	used = (size_t)snprintf(room, room_size, "%td-%td", match.start - text,
		match.end - text);
	for (int i = 0; i < match.capture_count && used < room_size; i++) {
		const struct pattern_capture *capture = &match.captures[i];

		if (capture->size == PATTERN_POSITION)
			used += (size_t)snprintf(room + used, room_size - used, "|@%td",
				capture->start - text);
		else
			used += (size_t)snprintf(room + used, room_size - used, "|%.*s",
				(int)capture->size, capture->start);
	}
}

/* The same from LuaJIT's string.find. */
static void describe_reference(lua_State *L, const char *text, size_t size, size_t from,
	const char *pattern, size_t pattern_size, char *room, size_t room_size)
{
	lua_settop(L, 0);
	lua_getglobal(L, "string");
	lua_getfield(L, 1, "find");
	lua_pushlstring(L, text, size);
	lua_pushlstring(L, pattern, pattern_size);
	lua_pushinteger(L, (lua_Integer)from + 1);
	if (lua_pcall(L, 3, LUA_MULTRET, 0) != 0) {
		snprintf(room, room_size, "error");
		return;
	}
	if (lua_isnil(L, 2)) {
		snprintf(room, room_size, "none");
		return;
	}
	size_t used = (size_t)snprintf(room, room_size, "%d-%d",
		(int)lua_tointeger(L, 2) - 1, (int)lua_tointeger(L, 3));
	for (int i = 4; i <= lua_gettop(L) && used < room_size; i++) {
		if (lua_type(L, i) == LUA_TNUMBER)
			used += (size_t)snprintf(room + used, room_size - used, "|@%d",
				(int)lua_tointeger(L, i) - 1);
		else
			used += (size_t)snprintf(room + used, room_size - used, "|%s",
				lua_tostring(L, i));
	}
}

/* Without any of these LuaJIT searches for the plain text. */
static bool is_plain(const char *pattern, size_t size)
{
	for (size_t i = 0; i < size; i++) {
		if (strchr("^$*+?.([%-", pattern[i]))
			return false;
	}
	return true;
}

static void compare(lua_State *L, const char *text, size_t size, size_t from,
	const char *pattern, size_t pattern_size)
{
	char own[1024], reference[1024];

	if (is_plain(pattern, pattern_size))
		return;
	describe(text, size, from, pattern, pattern_size, own, sizeof(own));
	describe_reference(L, text, size, from, pattern, pattern_size, reference,
		sizeof(reference));
	if (strcmp(own, reference) != 0)
		fail_msg("\"%.*s\" in \"%.*s\": \"%s\", but LuaJIT has \"%s\"",
			(int)pattern_size, pattern, (int)size, text, own, reference);
}

static int open_lua(void **arg)
{
	*arg = luaL_newstate();
	luaL_openlibs(*arg);
	return 0;
}

static int close_lua(void **arg)
{
	lua_close(*arg);
	return 0;
}

static void test_written_cases(void **arg)
{
	static const struct {
		const char *text, *pattern;
	} cases[] = {
		{ "hello world", "o w" },
		{ "hello world", "(%w+) (%w+)" },
		{ "", "" },
		{ "", ".*" },
		{ "abc", "" },
		{ "abc", "^b" },
		{ "abc", "^(a)" },
		{ "abc", "c$" },
		{ "a$c", "$c" },
		{ "key = value", "^(%w+)%s*=%s*(%w+)$" },
		{ "x", "[]]" },
		{ "]", "[]]" },
		{ "a]", "[^]]+" },
		{ "a-z", "[a%-z]+" },
		{ "b", "[a-]" },
		{ "-", "[a-]" },
		{ "f(a(b)c)d", "%b()" },
		{ "((", "%b()" },
		{ "THE (quick) fox", "%f[%a]%a+%f[%A]" },
		{ "THE (quick) fox", "%f[a-z]()" },
		{ "\"a'b\"", "([\"'])(.-)%1" },
		{ "aa", "(a)%1" },
		{ "abab", "(ab)%1" },
		{ "aXb", "%u" },
		{ "a1", "%D%d" },
		{ "\ttab", "%s%S" },
		{ "0xFf", "0x(%x+)" },
		{ "a.b", "%." },
		{ "a.b", "%W" },
		{ "!", "%p" },
		{ "a", "%P" },
		{ "abc", "()b()" },
		{ "abc", "((a)(b))" },
		{ "aaa", "a-" },
		{ "aaab", "a-b" },
		{ "aaa", "a?a?a?a?" },
		{ "ac", "ab?c" },
		{ "\x80\xff", "[\x80-\xff]+" },
		{ "[[x]]", "%[%[(.-)%]%]" },
		{ "a%b", "%%" },
		{ "a\nb", "a.b" },
		{ "x", "%f[%z]" },
		/* Malformed. */
		{ "a", "%" },
		{ "a", "[" },
		{ "a", "[a" },
		{ "a", "[^" },
		{ "a", "[]" },
		{ "a", "[%" },
		{ "a", "[a%]" },
		{ "a", "(a" },
		{ "a", "a)" },
		{ "a", "%1" },
		{ "a", "(%1)" },
		{ "a", "%b" },
		{ "a", "%bx" },
		{ "a", "%f" },
		{ "a", "%fa" },
		{ "a", "(()" },
	};

	for (size_t i = 0; i < COUNT_OF(cases); i++)
		compare(*arg, cases[i].text, strlen(cases[i].text), 0, cases[i].pattern,
			strlen(cases[i].pattern));
	compare(*arg, "a\0b", 3, 0, "%z", 2);
	compare(*arg, "a\0b", 3, 0, "[^%z]*$", 7);
	compare(*arg, "hello", 5, 3, "l", 1);
	compare(*arg, "hello", 5, 5, "", 0);
}

static uint32_t next_random(uint32_t *seed)
{
	*seed = *seed * 1664525u + 1013904223u;
	return *seed >> 16;
}

/* Texts and patterns of a few letters, so that most of them match in some way. */
static void test_random_cases(void **arg)
{
	static const char *const parts[] = {
		"a",
		"b",
		".",
		"%a",
		"%d",
		"%w",
		"[ab]",
		"[^a]",
		"[a-c]",
		"(",
		")",
		"()",
		"*",
		"+",
		"-",
		"?",
		"$",
		"^",
		"%1",
		"%b()",
		"%f[a]",
		"%",
		"[",
		"1",
		"%A",
	};
	uint32_t seed = 1;

	for (int round = 0; round < 100000; round++) {
		char text[16], pattern[64] = "";
		size_t size = next_random(&seed) % 12;

		for (size_t i = 0; i < size; i++)
			text[i] = "aabbc1()"[next_random(&seed) % 8];
		for (uint32_t count = next_random(&seed) % 8; count > 0; count--)
			strcat(pattern, parts[next_random(&seed) % COUNT_OF(parts)]);
		compare(*arg, text, size, next_random(&seed) % (size + 1), pattern,
			strlen(pattern));
	}
}

static void test_steps_are_limited(void **arg)
{
	struct pattern_match match;
	const char *error;
	char text[3001], pattern[64] = "";

	(void)arg;
	memset(text, 'a', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	for (int i = 0; i < 10; i++)
		strcat(pattern, "a*");
	strcat(pattern, "b");
	assert_int_equal(find(text, pattern, STEPS, &match, &error), PATTERN_TOO_LONG);
	assert_int_equal(find(text, "a+b", 100, &match, &error), PATTERN_TOO_LONG);
	assert_int_equal(find(text, "a+$", STEPS, &match, &error), PATTERN_FOUND);
	assert_int_equal(find(text, "a", 0, &match, &error), PATTERN_TOO_LONG);
}

static void test_steps_are_told(void **arg)
{
	struct pattern_match match;
	const char *error;
	long steps = STEPS;

	(void)arg;
	assert_int_equal(pattern_find("aaaa", 4, 0, "a*b", 3, &steps, &match, &error),
		PATTERN_NONE);
	assert_true(steps < STEPS && steps > STEPS - 100);
}

static void test_parts_are_limited(void **arg)
{
	struct pattern_match match;
	const char *error;
	char pattern[1024] = "";

	(void)arg;
	for (int i = 0; i < 300; i++)
		strcat(pattern, "a?");
	assert_int_equal(find("b", pattern, STEPS, &match, &error), PATTERN_FOUND);
	char text[301];
	memset(text, 'a', 300);
	text[300] = '\0';
	assert_int_equal(find(text, pattern, STEPS, &match, &error), PATTERN_TOO_LONG);
	pattern[0] = '\0';
	for (int i = 0; i <= PATTERN_CAPTURES; i++)
		strcat(pattern, "()");
	assert_int_equal(find("a", pattern, STEPS, &match, &error), PATTERN_MALFORMED);
	assert_string_equal(error, "too many captures");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_written_cases, open_lua, close_lua),
		cmocka_unit_test_setup_teardown(test_random_cases, open_lua, close_lua),
		cmocka_unit_test(test_steps_are_limited),
		cmocka_unit_test(test_steps_are_told),
		cmocka_unit_test(test_parts_are_limited),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
