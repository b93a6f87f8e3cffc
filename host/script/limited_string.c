/* limited_string.c - find, match, gmatch and gsub on the counting matcher; rep, format
 * and the linear functions in front of LuaJIT's own. */
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include <lauxlib.h>
#include <lualib.h>

#include "base/mem.h"
#include "script/limited.h"
#include "script/pattern.h"
#include "script/state.h"

/* What a search looks at; both strings stay on the Lua stack. */
struct subject {
	const char *text;
	size_t size;
	const char *pattern;
	size_t pattern_size;
	long steps;
};

static struct subject check_subject(lua_State *L)
{
	struct subject subject = { .steps = LIMITED_STEPS };

	subject.text = luaL_checklstring(L, 1, &subject.size);
	subject.pattern = luaL_checklstring(L, 2, &subject.pattern_size);
	return subject;
}

/* Raises for a malformed pattern and when the steps are spent. */
static bool search(lua_State *L, struct subject *subject, size_t from,
	struct pattern_match *match)
{
	const char *error;
	long before = subject->steps;
	enum pattern_result result = pattern_find(subject->text, subject->size, from,
		subject->pattern, subject->pattern_size, &subject->steps, match, &error);

	state_charge(L, (size_t)(before - subject->steps));
	if (result == PATTERN_MALFORMED)
		luaL_error(L, "%s", error);
	if (result == PATTERN_TOO_LONG)
		luaL_error(L, "pattern is too complex for this text");
	return result == PATTERN_FOUND;
}

static void push_capture(lua_State *L, const struct subject *subject,
	const struct pattern_match *match, int i)
{
	const struct pattern_capture *capture = &match->captures[i];

	if (match->capture_count == 0)
		lua_pushlstring(L, match->start, (size_t)(match->end - match->start));
	else if (capture->size == PATTERN_POSITION)
		lua_pushinteger(L, capture->start - subject->text + 1);
	else
		lua_pushlstring(L, capture->start, capture->size);
}

/* The captures, or the whole match if there are none. Returns how many. */
static int push_captures(lua_State *L, const struct subject *subject,
	const struct pattern_match *match)
{
	int count = match->capture_count > 0 ? match->capture_count : 1;

	luaL_checkstack(L, count, "too many captures");
	for (int i = 0; i < count; i++)
		push_capture(L, subject, match, i);
	return count;
}

/* The offset that argument 3 means: from 1, negative from the end. */
static size_t check_from(lua_State *L, size_t size)
{
	ptrdiff_t from = luaL_optinteger(L, 3, 1);

	if (from < 0)
		from += (ptrdiff_t)size + 1;
	if (from <= 0)
		return 0;
	return (size_t)(from - 1) < size ? (size_t)(from - 1) : size;
}

static int find_plain(lua_State *L, const struct subject *subject, size_t from)
{
	const char *found = memmem(subject->text + from, subject->size - from,
		subject->pattern, subject->pattern_size);
	const char *last = found ? found + subject->pattern_size
				 : subject->text + subject->size;

	state_charge(L, (size_t)(last - subject->text) - from);
	if (!found) {
		lua_pushnil(L);
		return 1;
	}
	lua_pushinteger(L, found - subject->text + 1);
	lua_pushinteger(L, last - subject->text);
	return 2;
}

static bool is_plain(const struct subject *subject)
{
	static const char special[] = "^$*+?.([%-";

	for (size_t i = 0; i < subject->pattern_size; i++) {
		if (memchr(special, subject->pattern[i], sizeof(special) - 1))
			return false;
	}
	return true;
}

static int l_find(lua_State *L)
{
	struct subject subject = check_subject(L);
	size_t from = check_from(L, subject.size);
	struct pattern_match match;

	if (lua_toboolean(L, 4) || is_plain(&subject))
		return find_plain(L, &subject, from);
	if (!search(L, &subject, from, &match)) {
		lua_pushnil(L);
		return 1;
	}
	lua_pushinteger(L, match.start - subject.text + 1);
	lua_pushinteger(L, match.end - subject.text);
	return 2 + (match.capture_count > 0 ? push_captures(L, &subject, &match) : 0);
}

static int l_match(lua_State *L)
{
	struct subject subject = check_subject(L);
	size_t from = check_from(L, subject.size);
	struct pattern_match match;

	if (search(L, &subject, from, &match))
		return push_captures(L, &subject, &match);
	lua_pushnil(L);
	return 1;
}

/* Upvalues: text, pattern, and the offset to go on from. */
static int l_gmatch_next(lua_State *L)
{
	struct subject subject = { .steps = LIMITED_STEPS };
	struct pattern_match match;

	subject.text = lua_tolstring(L, lua_upvalueindex(1), &subject.size);
	subject.pattern = lua_tolstring(L, lua_upvalueindex(2), &subject.pattern_size);
	size_t from = (size_t)lua_tointeger(L, lua_upvalueindex(3));
	if (!search(L, &subject, from, &match))
		return 0;

	/* An empty match is not found twice. */
	lua_pushinteger(L, match.end - subject.text + (match.end == match.start));
	lua_replace(L, lua_upvalueindex(3));
	return push_captures(L, &subject, &match);
}

static int l_gmatch(lua_State *L)
{
	luaL_checkstring(L, 1);
	luaL_checkstring(L, 2);
	lua_settop(L, 2);
	lua_pushinteger(L, 0);
	lua_pushcclosure(L, l_gmatch_next, 3);
	return 1;
}

/* A result that grows on the Lua stack, up to the limit. */
struct result {
	luaL_Buffer buffer;
	size_t size;
};

static void count_bytes(lua_State *L, struct result *result, size_t size)
{
	result->size += size;
	if (result->size > LIMITED_RESULT)
		luaL_error(L, "result is larger than %d MiB", LIMITED_RESULT >> 20);
	state_charge(L, size);
}

static void add_bytes(lua_State *L, struct result *result, const char *data, size_t size)
{
	count_bytes(L, result, size);
	luaL_addlstring(&result->buffer, data, size);
}

/* The value on top of the stack, popped. */
static void add_value(lua_State *L, struct result *result)
{
	count_bytes(L, result, lua_objlen(L, -1));
	luaL_addvalue(&result->buffer);
}

/* The replacement is a text, in which %0 to %9 stand for captures. */
static void add_template(lua_State *L, struct result *result,
	const struct subject *subject, const struct pattern_match *match)
{
	size_t size;
	const char *text = lua_tolstring(L, 3, &size);
	const char *end = text + size;

	while (text < end) {
		const char *mark = memchr(text, '%', (size_t)(end - text));

		add_bytes(L, result, text, (size_t)((mark ? mark : end) - text));
		if (!mark)
			return;
		char digit = mark + 1 < end ? mark[1] : '\0';
		int count = match->capture_count > 0 ? match->capture_count : 1;
		if (digit == '0') {
			add_bytes(L, result, match->start,
				(size_t)(match->end - match->start));
		} else if (digit >= '1' && digit <= '9') {
			if (digit - '1' >= count)
				luaL_error(L, "invalid capture index");
			push_capture(L, subject, match, digit - '1');
			add_value(L, result);
		} else if (mark + 1 < end) {
			add_bytes(L, result, mark + 1, 1);
		}
		text = mark + 2;
	}
}

/* Pushes what a table or a function has for the match. */
static void push_replacement(lua_State *L, const struct subject *subject,
	const struct pattern_match *match)
{
	luaL_checkstack(L, 2, "too many captures");
	if (lua_type(L, 3) == LUA_TTABLE) {
		push_capture(L, subject, match, 0);
		lua_gettable(L, 3);
	} else {
		lua_pushvalue(L, 3);
		lua_call(L, push_captures(L, subject, match), 1);
	}
}

static void add_replacement(lua_State *L, struct result *result,
	const struct subject *subject, const struct pattern_match *match)
{
	if (lua_isstring(L, 3)) {
		add_template(L, result, subject, match);
		return;
	}
	push_replacement(L, subject, match);
	if (!lua_toboolean(L, -1)) {
		lua_pop(L, 1);
		add_bytes(L, result, match->start, (size_t)(match->end - match->start));
		return;
	}
	if (!lua_isstring(L, -1))
		luaL_error(L, "invalid replacement value (a %s)", luaL_typename(L, -1));
	add_value(L, result);
}

static void check_replacement(lua_State *L)
{
	int type = lua_type(L, 3);

	if (type == LUA_TNUMBER)
		lua_tostring(L, 3);
	else if (type != LUA_TSTRING && type != LUA_TTABLE && type != LUA_TFUNCTION)
		luaL_typerror(L, 3, "string/function/table");
}

static int l_gsub(lua_State *L)
{
	struct subject subject = check_subject(L);
	check_replacement(L);
	lua_Integer most = luaL_optinteger(L, 4, (lua_Integer)subject.size + 1);
	bool is_anchored = subject.pattern_size > 0 && subject.pattern[0] == '^';
	struct result result = { .size = 0 };
	struct pattern_match match;
	lua_Integer count = 0;
	size_t at = 0; /* up to here the text is in the result */

	luaL_buffinit(L, &result.buffer);
	while (count < most && at <= subject.size && search(L, &subject, at, &match)) {
		add_bytes(L, &result, subject.text + at,
			(size_t)(match.start - subject.text) - at);
		add_replacement(L, &result, &subject, &match);
		count++;
		at = (size_t)(match.end - subject.text);
		if (match.end == match.start) {
			if (at < subject.size)
				add_bytes(L, &result, match.end, 1);
			at++;
		}
		if (is_anchored)
			break;
	}
	if (at < subject.size)
		add_bytes(L, &result, subject.text + at, subject.size - at);
	luaL_pushresult(&result.buffer);
	lua_pushinteger(L, count);
	return 2;
}

/* Calls LuaJIT's own function, upvalue 1, with all arguments. */
static int call_original(lua_State *L)
{
	lua_pushvalue(L, lua_upvalueindex(1));
	lua_insert(L, 1);
	lua_call(L, lua_gettop(L) - 1, LUA_MULTRET);
	return lua_gettop(L);
}

static int l_rep(lua_State *L)
{
	size_t size, separator_size = 0;
	luaL_checklstring(L, 1, &size);
	lua_Number count = luaL_checknumber(L, 2);
	luaL_optlstring(L, 3, "", &separator_size);

	if (count > 0 && (double)(size + separator_size) * count > LIMITED_RESULT)
		return luaL_error(L, "result is larger than %d MiB",
			LIMITED_RESULT >> 20);
	if (count > LIMITED_RESULT) {
		/* The original would go round so often for nothing. */
		lua_pushliteral(L, "");
		return 1;
	}
	state_charge(L,
		count > 0 ? (size_t)((double)(size + separator_size + 1) * count) : 0);
	return call_original(L);
}

/* Every argument is used once; what a __tostring returns is limited by memory alone. */
static int l_format(lua_State *L)
{
	size_t total = 0;
	int count = lua_gettop(L);

	luaL_checkstring(L, 1);
	for (int i = 1; i <= count; i++) {
		if (lua_type(L, i) == LUA_TSTRING)
			total += lua_objlen(L, i);
		if (total > LIMITED_RESULT)
			return luaL_error(L, "result is larger than %d MiB",
				LIMITED_RESULT >> 20);
	}
	state_charge(L, total + 100 * (size_t)count);
	return call_original(L);
}

/* For functions whose work is linear in their first argument. */
static int l_linear(lua_State *L)
{
	state_charge(L, lua_type(L, 1) == LUA_TSTRING ? lua_objlen(L, 1) : 0);
	return call_original(L);
}

void limited_push_string(lua_State *L)
{
	static const luaL_Reg own[] = {
		{ "find", l_find },
		{ "gmatch", l_gmatch },
		{ "gsub", l_gsub },
		{ "match", l_match },
		{ NULL, NULL },
	};
	static const luaL_Reg in_front[] = {
		{ "format", l_format },
		{ "lower", l_linear },
		{ "rep", l_rep },
		{ "reverse", l_linear },
		{ "upper", l_linear },
	};
	static const char *const as_they_are[] = { "byte", "char", "len", "sub" };

	lua_newtable(L);
	luaL_register(L, NULL, own);
	lua_getglobal(L, LUA_STRLIBNAME);
	for (size_t i = 0; i < COUNT_OF(in_front); i++) {
		lua_getfield(L, -1, in_front[i].name);
		lua_pushcclosure(L, in_front[i].func, 1);
		lua_setfield(L, -3, in_front[i].name);
	}
	for (size_t i = 0; i < COUNT_OF(as_they_are); i++) {
		lua_getfield(L, -1, as_they_are[i]);
		lua_setfield(L, -3, as_they_are[i]);
	}
	lua_pop(L, 1);
}
