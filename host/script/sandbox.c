/* sandbox.c - environments for policies, and loading a policy's text into one. */
#include "script/sandbox.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>

#include <lauxlib.h>
#include <luajit.h>
#include <lualib.h>

#include "script/limited.h"

/* Its address is the key under which the metatable of a read-only view has the table. */
static char view_key;

/* Replaces argument 1, if it is a view, by the table behind it. */
static void see_through(lua_State *L)
{
	if (!lua_getmetatable(L, 1))
		return;
	lua_pushlightuserdata(L, &view_key);
	lua_rawget(L, -2);
	lua_remove(L, -2);
	if (lua_istable(L, -1))
		lua_replace(L, 1);
	else
		lua_pop(L, 1);
}

static int l_next(lua_State *L)
{
	luaL_checktype(L, 1, LUA_TTABLE);
	lua_settop(L, 2);
	see_through(L);
	if (lua_next(L, 1))
		return 2;
	lua_pushnil(L);
	return 1;
}

/* Upvalues of pairs and ipairs: Lua's own way through a table, and the one through a view. */
enum { PLAIN_STEP = 1, VIEW_STEP };

/* Pushes the step of a loop over argument 1, and the argument. The view itself is handed to the
 * loop, never the table behind it: a policy could keep what pairs returns, and write to it. */
static void push_step(lua_State *L)
{
	luaL_checktype(L, 1, LUA_TTABLE);
	lua_pushvalue(L,
		lua_upvalueindex(lua_getmetatable(L, 1) ? VIEW_STEP : PLAIN_STEP));
	lua_pushvalue(L, 1);
}

static int l_pairs(lua_State *L)
{
	push_step(L);
	lua_pushnil(L);
	return 3;
}

static int l_ipairs_next(lua_State *L)
{
	luaL_checktype(L, 1, LUA_TTABLE);
	int i = luaL_checkint(L, 2) + 1;

	see_through(L);
	lua_pushinteger(L, i);
	lua_rawgeti(L, 1, i);
	return lua_isnil(L, -1) ? 1 : 2;
}

static int l_ipairs(lua_State *L)
{
	push_step(L);
	lua_pushinteger(L, 0);
	return 3;
}

static int l_refuse_change(lua_State *L)
{
	return luaL_error(L, "attempt to change a read-only table");
}

static int l_refuse_global(lua_State *L)
{
	return luaL_error(L, "attempt to write the global \"%s\": use local",
		luaL_checkstring(L, 2));
}

static int l_unknown_global(lua_State *L)
{
	return luaL_error(L, "unknown global \"%s\"", luaL_checkstring(L, 2));
}

static int absolute(lua_State *L, int index)
{
	return index > 0 || index <= LUA_REGISTRYINDEX ? index
						       : lua_gettop(L) + 1 + index;
}

void sandbox_open(lua_State *L)
{
	lua_pushliteral(L, "");
	int has_metatable = lua_getmetatable(L, -1);
	assert(has_metatable);
	limited_push_string(L);
	lua_setfield(L, -2, "__index");
	lua_pushboolean(L, 0);
	lua_setfield(L, -2, "__metatable");
	lua_pop(L, 2);
}

/* Sets name in the table on top of the stack to a copy of the global of that name. */
static void copy_library(lua_State *L, const char *name)
{
	lua_newtable(L);
	lua_getglobal(L, name);
	lua_pushnil(L);
	while (lua_next(L, -2)) {
		lua_pushvalue(L, -2);
		lua_insert(L, -2);
		lua_rawset(L, -5);
	}
	lua_pop(L, 1);
	lua_setfield(L, -2, name);
}

/* Sets name in the table on top of the stack to a loop that takes Lua's own step of that
 * name for a plain table, and view_step for a view. */
static void set_loop(lua_State *L, const char *name, lua_CFunction loop,
	lua_CFunction view_step)
{
	lua_getglobal(L, name);
	lua_newtable(L);
	lua_call(L, 1, 1);
	lua_pushcfunction(L, view_step);
	lua_pushcclosure(L, loop, 2);
	lua_setfield(L, -2, name);
}

static void push_names(lua_State *L)
{
	static const char *const as_they_are[] = {
		"assert",
		"error",
		"getmetatable",
		"pcall",
		"select",
		"setmetatable",
		"tonumber",
		"tostring",
		"type",
		"unpack",
	};

	lua_newtable(L);
	for (size_t i = 0; i < COUNT_OF(as_they_are); i++) {
		lua_getglobal(L, as_they_are[i]);
		lua_setfield(L, -2, as_they_are[i]);
	}
	lua_pushcfunction(L, l_next);
	lua_setfield(L, -2, "next");
	set_loop(L, "pairs", l_pairs, l_next);
	set_loop(L, "ipairs", l_ipairs, l_ipairs_next);

	limited_push_string(L);
	lua_setfield(L, -2, "string");
	limited_push_table(L);
	lua_setfield(L, -2, "table");
	copy_library(L, LUA_BITLIBNAME);
	copy_library(L, LUA_MATHLIBNAME);
	/* One seed serves the whole state: a policy must not set it for others. */
	lua_getfield(L, -1, LUA_MATHLIBNAME);
	lua_pushnil(L);
	lua_setfield(L, -2, "randomseed");
	lua_pop(L, 1);
}

/* The environment itself stays empty, so that each write, also of a name that exists,
 * reaches __newindex. Reads of names go through two tables without a call. */
void sandbox_push_environment(lua_State *L)
{
	lua_newtable(L);
	lua_newtable(L);
	push_names(L);
	lua_newtable(L);
	lua_pushcfunction(L, l_unknown_global);
	lua_setfield(L, -2, "__index");
	lua_setmetatable(L, -2);
	lua_setfield(L, -2, "__index");
	lua_pushcfunction(L, l_refuse_global);
	lua_setfield(L, -2, "__newindex");
	lua_pushboolean(L, 0);
	lua_setfield(L, -2, "__metatable");
	lua_setmetatable(L, -2);
}

void sandbox_add(lua_State *L, int index, const char *name)
{
	int has_metatable = lua_getmetatable(L, index);

	assert(has_metatable);
	lua_getfield(L, -1, "__index");
	lua_pushstring(L, name);
	lua_pushvalue(L, -4);
	lua_rawset(L, -3);
	lua_pop(L, 3);
}

void sandbox_push_readonly(lua_State *L, int index)
{
	index = absolute(L, index);
	lua_newtable(L);
	lua_newtable(L);
	lua_pushvalue(L, index);
	lua_setfield(L, -2, "__index");
	lua_pushcfunction(L, l_refuse_change);
	lua_setfield(L, -2, "__newindex");
	lua_pushboolean(L, 0);
	lua_setfield(L, -2, "__metatable");
	lua_pushlightuserdata(L, &view_key);
	lua_pushvalue(L, index);
	lua_rawset(L, -3);
	lua_setmetatable(L, -2);
}

int sandbox_load(lua_State *L, const char *text, size_t size, const char *name,
	struct err *err)
{
	char chunk_name[512];

	snprintf(chunk_name, sizeof(chunk_name), "@%s", name);
	if (size > 0 && text[0] == LUA_SIGNATURE[0]) {
		lua_pop(L, 1);
		return err_set(err, -EINVAL, "%s: is bytecode, and only text is loaded",
			name);
	}
	if (luaL_loadbufferx(L, text, size, chunk_name, "t") != 0) {
		err_set(err, 0, "%s", lua_tostring(L, -1));
		lua_pop(L, 2);
		return -EINVAL;
	}
	lua_insert(L, -2);
	lua_setfenv(L, -2);
	luaJIT_setmode(L, -1, LUAJIT_MODE_ALLFUNC | LUAJIT_MODE_OFF);
	return 0;
}
