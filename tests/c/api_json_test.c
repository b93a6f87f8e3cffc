#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <lauxlib.h>

#include "json_digest.h"
#include "json_suite.h"
#include "script/api_json.h"
#include "script/state.h"

#define PATIENT_MS (100 * 1000) /* the sanitizers are slow, and so are some machines */

/* The library asks for neap.host, which here is its JSON part alone. */
static int require_host(lua_State *L)
{
	lua_getglobal(L, "host");
	return 1;
}

static int set_up(void **out)
{
	struct state_limits limits = state_default_limits;
	struct state *state;
	lua_State *L;

	limits.cpu_ms = PATIENT_MS;
	state = state_new(&limits);
	L = state_lua(state);
	lua_newtable(L);
	api_json_register(L);
	lua_setglobal(L, "host");
	lua_pushcfunction(L, require_host);
	lua_setglobal(L, "require");
	if (luaL_loadfile(L, "lua/neap/json.lua") || lua_pcall(L, 0, 1, 0)) {
		print_error("%s\n", lua_tostring(L, -1));
		return -1;
	}
	lua_setglobal(L, "json");
	*out = state;
	return 0;
}

static int tear_down(void **state)
{
	state_free(*state);
	return 0;
}

/* Runs a chunk; a failed assert in it fails the test. */
static void run(void **state, const char *chunk)
{
	lua_State *L = state_lua(*state);
	struct err err = { "" };

	if (luaL_loadstring(L, chunk))
		fail_msg("%s", lua_tostring(L, -1));
	if (state_call(*state, 0, 0, PATIENT_MS, &err) != 0)
		fail_msg("%s", err.text);
}

/* Sets the global text to the bytes and runs the chunk. */
static void run_on(void **state, const char *text, size_t size, const char *chunk)
{
	lua_State *L = state_lua(*state);

	lua_pushlstring(L, text, size);
	lua_setglobal(L, "text");
	run(state, chunk);
}

static void decodes_to_plain_tables(void **state)
{
	run(state,
		"local v = json.decode '{\"a\":[1,\"x\",null,true],\"b\":{\"c\":1.5}}' "
		"assert(#v.a == 4 and v.a[1] == 1 and v.a[2] == 'x' and v.a[4] == true) "
		"assert(v.a[3] == json.null and tostring(json.null) == 'null') "
		"assert(v.b.c == 1.5) local n = 0 "
		"for k in pairs(v) do n = n + 1 end assert(n == 2) "
		"for i, e in ipairs(v.a) do n = n + i end assert(n == 12) "
		"assert(json.is_array(v.a) and json.is_object(v)) "
		"assert(not json.is_array(v) and not json.is_array {} "
		"and not json.is_object 'x') assert(json.decode '1.0' == 1)");
	run(state,
		"local v, why = json.decode '[1,]' assert(v == nil) "
		"assert(why == 'unexpected \"]\" at byte 3', why) "
		"assert(not pcall(json.decode))");
}

static void encodes_the_same_document(void **state)
{
	static const char *const texts[] = {
		"{\"z\":1,\"a\":[],\"m\":{},\"b\":[{}]}",
		"[1.0,1E5,1e400,-1e400,12345678901234567890,-0,0.10,1e-7,5e-324,0.1]",
		"{\"x\":1.0,\"y\":{\"z\":1E5},\"w\":[1,2.50]}",
		"[\"\\ud83d\",\"\\ude00\",\"\\ud83dx\",\"\xf0\x9f\x98\x80\",\"\\u0000\"]",
		"{\"a\":1,\"a\":2}",
		"{\"a\":1.0,\"b\":[],\"a\":{\"a\":1,\"a\":1},\"a\":2.0}",
		"{\"\":null,\"1\":true,\"\\u0000\":false}",
		"[[[]],{\"a\":{}}]",
		"\"x\"",
		"null",
		"-1",
	};
	size_t i;

	for (i = 0; i < COUNT_OF(texts); i++)
		run_on(state, texts[i], strlen(texts[i]),
			"local again = json.encode(json.decode(text)) "
			"assert(again == text, again)");
}

static void writes_changes_in_their_place(void **state)
{
	run(state,
		"local v = json.decode '{\"z\":1.0,\"b\":2,\"a\":1.0}' "
		"v.b = nil v.a = 3 v.y = 1 v.x = {} v.w = json.array() "
		"local t = json.encode(v) "
		"assert(t == '{\"z\":1.0,\"a\":3,\"w\":[],\"x\":{},\"y\":1}', t) "
		"v = json.decode '{\"a\":1,\"a\":2}' v.b = 3 t = json.encode(v) "
		"assert(t == '{\"a\":1,\"a\":2,\"b\":3}', t) "
		"v.a = nil assert(json.encode(v) == '{\"b\":3}') "
		"v = json.decode '[1.0,2.0]' table.remove(v, 1) v[2] = 7 "
		"t = json.encode(v) assert(t == '[2,7]', t) "
		"v = json.decode '[1]' v[1] = nil assert(json.encode(v) == '[]') "
		"v = json.decode '{}' v.a = 1 assert(json.encode(v) == '{\"a\":1}')"
		"local o = {} for i = 1, 40 do o['k' .. (100 - i)] = i end "
		"t = json.encode(o) assert(t:sub(1, 15) == '{\"k60\":40,\"k61\"', t)");
}

static void encodes_tables_of_scripts(void **state)
{
	run(state,
		"local function is(v, t) local e = json.encode(v) assert(e == t, e) end "
		"is({}, '{}') is({ 1, 2 }, '[1,2]') is(json.array {}, '[]') "
		"is(json.array { 1 }, '[1]') is(json.object(), '{}') "
		"is({ b = 1, a = { json.null } }, '{\"a\":[null],\"b\":1}') "
		"is({ a = json.raw '1.00' }, '{\"a\":1.00}') "
		"assert(tostring(json.raw '[ ]') == '[ ]') "
		"is(1e300, '1e300') is('\\255', '\"\\239\\191\\189\"') "
		"is(false, 'false')");
}

static void raises_and_names_the_place(void **state)
{
	run(state,
		"local function bad(v, why) local ok, e = pcall(json.encode, v) "
		"assert(not ok and e:find(why, 1, true), e) end "
		"bad({ messages = { 1, { content = print or pairs } } }, "
		"'messages[2].content: function') "
		"bad(0 / 0, 'not a number') bad({ a = 1 / 0 }, 'a: an infinite number') "
		"bad({ 1, a = 2 }, 'both names and indices') bad({ [2] = 1 }, 'holes') "
		"bad({ [0] = 1 }, 'index') bad({ [true] = 1 }, 'no name and no index') "
		"bad(nil, 'nil') bad(setmetatable({}, {}), 'metatable') "
		"bad(json.array { a = 1 }, 'both') bad(json.object { 1 }, 'both') "
		"local t = {} t.t = t bad(t, 'contains itself') "
		"local d = {} for i = 1, 63 do d = { d, d } end bad(d, 'bytes of JSON') "
		"bad({ [('x'):rep(400)] = print or pairs }, 'cannot be JSON')");
}

static void keeps_its_metatables_to_itself(void **state)
{
	run(state,
		"for _, v in ipairs { json.decode '{\"a\":1.0}', json.decode '[]', "
		"json.array(), json.object(), json.null, json.raw '1' } do "
		"assert(getmetatable(v) == false) "
		"assert(not pcall(setmetatable, v, {})) end "
		"assert(not pcall(json.array, setmetatable({}, {}))) "
		"assert(not pcall(json.array, 1)) assert(not pcall(json.raw, ''))");
}

static void finds_and_lists(void **state)
{
	run(state,
		"local t = '{\"a\":[{\"b\": 1.0},null], \"c\" : \"x\"}' "
		"local r, k = json.find(t, 'a', 1, 'b') "
		"assert(r == '1.0' and k == 'number') "
		"r, k = json.find(t, 'a', 2) assert(r == 'null' and k == 'null') "
		"assert(json.find(t, 'a', 3) == nil and json.find(t, 'z') == nil) "
		"assert(json.find(t, 'a\\0') == nil and json.find(t) == t) "
		"assert(not pcall(json.find, t, 0) and not pcall(json.find, t, {})) "
		"local m, n = json.members(t) assert(m.a == '[{\"b\": 1.0},null]') "
		"assert(m.c == '\"x\"' and n[1] == 'a' and n[2] == 'c' and #n == 2) "
		"m, n = json.members '{\"a\":1,\"a\":2}' "
		"assert(m == nil and n == 'a duplicate top-level name at byte 7') "
		"assert(json.members '[]' == nil)");
}

static uint64_t digest_of(const char *text, size_t size)
{
	static struct digest digest;
	uint64_t whole;

	assert_int_equal(digest_read(&digest, text, size), 0);
	whole = digest.whole;
	digest_clear(&digest);
	return whole;
}

static void stands_the_suite(void **state)
{
	struct json_suite *suite = json_suite_new();
	lua_State *L = state_lua(*state);
	size_t i, size;

	for (i = 0; i < suite->count; i++) {
		struct json_case *item = &suite->cases[i];
		const char *text;

		run_on(state, item->input, item->size,
			"local v, why = json.decode(text) "
			"json.members(text) json.find(text, 1) "
			"again = v ~= nil and json.encode(v) or '' "
			"assert(v ~= nil or why)");
		if (item->name[0] != 'y')
			continue;
		lua_getglobal(L, "again");
		text = lua_tolstring(L, -1, &size);
		assert_true(digest_of(text, size) == digest_of(item->input, item->size));
		lua_pop(L, 1);
	}
	json_suite_free(suite);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(decodes_to_plain_tables),
		cmocka_unit_test(encodes_the_same_document),
		cmocka_unit_test(writes_changes_in_their_place),
		cmocka_unit_test(encodes_tables_of_scripts),
		cmocka_unit_test(raises_and_names_the_place),
		cmocka_unit_test(keeps_its_metatables_to_itself),
		cmocka_unit_test(finds_and_lists),
		cmocka_unit_test(stands_the_suite),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
