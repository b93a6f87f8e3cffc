/* limited_table.c - concat, insert, remove and sort with limits on what they go through.
 *
 * The length of a table with holes may be any border, up to numbers far beyond the
 * elements that it has: so loops are limited by counts, not by the memory that they would
 * need. */
#include <stdbool.h>
#include <stddef.h>

#include <lauxlib.h>
#include <lualib.h>

#include "base/mem.h"
#include "script/limited.h"
#include "script/state.h"

static int l_concat(lua_State *L)
{
	luaL_checktype(L, 1, LUA_TTABLE);
	size_t separator_size;
	luaL_optlstring(L, 2, "", &separator_size);
	lua_Integer first = luaL_optinteger(L, 3, 1);
	lua_Integer last = lua_isnoneornil(L, 4) ? (lua_Integer)lua_objlen(L, 1)
						 : luaL_checkinteger(L, 4);
	size_t total = 0;

	for (lua_Integer i = first; i <= last; i++) {
		lua_rawgeti(L, 1, (int)i);
		bool is_text = lua_isstring(L, -1);
		total += lua_objlen(L, -1) + separator_size;
		lua_pop(L, 1);
		if (!is_text)
			break; /* the original raises, with the index */
		if (total > LIMITED_RESULT)
			return luaL_error(L, "result is larger than %d MiB",
				LIMITED_RESULT >> 20);
		state_charge(L, 20);
	}
	state_charge(L, total);
	lua_pushvalue(L, lua_upvalueindex(1));
	lua_insert(L, 1);
	lua_call(L, lua_gettop(L) - 1, 1);
	return 1;
}

static void check_shift(lua_State *L, lua_Integer count)
{
	if (count > LIMITED_SHIFT)
		luaL_error(L, "table has too many elements to shift (more than %d)",
			LIMITED_SHIFT);
	state_charge(L, 10 * (size_t)count);
}

static int l_insert(lua_State *L)
{
	luaL_checktype(L, 1, LUA_TTABLE);
	int count = (int)lua_objlen(L, 1);
	int argument_count = lua_gettop(L);

	if (argument_count == 2) {
		lua_rawseti(L, 1, count + 1);
		return 0;
	}
	if (argument_count != 3)
		return luaL_error(L, "wrong number of arguments to 'insert'");
	lua_Integer at = luaL_checkinteger(L, 2);
	luaL_argcheck(L, at >= 1 && at <= (lua_Integer)count + 1, 2,
		"position out of bounds");
	check_shift(L, count + 1 - at);
	for (int i = count; i >= at; i--) {
		lua_rawgeti(L, 1, i);
		lua_rawseti(L, 1, i + 1);
	}
	lua_rawseti(L, 1, (int)at);
	return 0;
}

static int l_remove(lua_State *L)
{
	luaL_checktype(L, 1, LUA_TTABLE);
	int count = (int)lua_objlen(L, 1);
	lua_Integer at = luaL_optinteger(L, 2, count);

	if (at < 1 || at > count)
		return 0;
	check_shift(L, count - at);
	lua_rawgeti(L, 1, (int)at);
	for (int i = (int)at; i < count; i++) {
		lua_rawgeti(L, 1, i + 1);
		lua_rawseti(L, 1, i);
	}
	lua_pushnil(L);
	lua_rawseti(L, 1, count);
	return 1;
}

static int l_sort(lua_State *L)
{
	luaL_checktype(L, 1, LUA_TTABLE);
	size_t count = lua_objlen(L, 1);

	if (count > LIMITED_SORT)
		return luaL_error(L, "table has too many elements to sort (more than %d)",
			LIMITED_SORT);
	state_charge(L, 500 * count);
	lua_pushvalue(L, lua_upvalueindex(1));
	lua_insert(L, 1);
	lua_call(L, lua_gettop(L) - 1, 0);
	return 0;
}

void limited_push_table(lua_State *L)
{
	static const luaL_Reg in_front[] = {
		{ "concat", l_concat },
		{ "insert", l_insert },
		{ "remove", l_remove },
		{ "sort", l_sort },
	};

	lua_newtable(L);
	lua_getglobal(L, LUA_TABLIBNAME);
	for (size_t i = 0; i < COUNT_OF(in_front); i++) {
		lua_getfield(L, -1, in_front[i].name);
		lua_pushcclosure(L, in_front[i].func, 1);
		lua_setfield(L, -3, in_front[i].name);
	}
	lua_getfield(L, -1, "maxn");
	lua_setfield(L, -3, "maxn");
	lua_pop(L, 1);
}
