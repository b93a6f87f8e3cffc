/* Objects whose inside a policy cannot reach, see lua/neap/object.lua: a class is a
 * metatable, an object a userdata whose environment is the inside. A policy reads dozens
 * of their members for each request: one call into C does it. */
#include <stdbool.h>

#include <lauxlib.h>

#include "script/api.h"

/* In the place of a handle's type, see api_new_bare(): the address of the class, which lives as
 * long as the object does. */
struct object {
	const void *class;
};

/* __index(object, name): a method, the inside's field, or what a getter gives */
static int l_index(lua_State *L)
{
	lua_pushvalue(L, 2);
	lua_rawget(L, lua_upvalueindex(1));
	switch (lua_type(L, 3)) {
	case LUA_TBOOLEAN:
		lua_getfenv(L, 1);
		lua_pushvalue(L, 2);
		lua_rawget(L, 4);
		return 1;
	case LUA_TTABLE:
		lua_rawgeti(L, 3, 1);
		lua_getfenv(L, 1);
		lua_call(L, 1, 1);
		return 1;
	case LUA_TNIL:
		lua_settop(L, 2);
		lua_gettable(L, lua_upvalueindex(1)); /* raises */
		return 1;
	default:
		return 1;
	}
}

/* object_index(members) -> __index of a class. members: name -> method, true for a field,
 * or { getter }, a function(inside) that does not wait; for others its own
 * __index raises. */
static int l_object_index(lua_State *L)
{
	luaL_checktype(L, 1, LUA_TTABLE);
	lua_settop(L, 1);
	lua_pushcclosure(L, l_index, 1);
	return 1;
}

/* object_new(class, inside, metatable?) -> object, with a metatable of its own or the class */
static int l_object_new(lua_State *L)
{
	bool has_metatable = lua_gettop(L) == 3;
	struct object *object;

#ifdef NEAP_SANITIZE
	/* Else this is asked too often: it is the library that calls. */
	luaL_checktype(L, 1, LUA_TTABLE);
	luaL_checktype(L, 2, LUA_TTABLE);
#endif
	object = lua_newuserdata(L, sizeof(*object));
	object->class = lua_topointer(L, 1);
	lua_pushvalue(L, 2);
	lua_setfenv(L, -2);
	lua_pushvalue(L, has_metatable ? 3 : 1);
	lua_setmetatable(L, -2);
	return 1;
}

/* Pushes the inside of the object at index 2 where it is of the class at index 1. */
static bool push_inside(lua_State *L)
{
	const struct object *object = lua_touserdata(L, 2);

	if (!object || object->class != lua_topointer(L, 1))
		return false;
	lua_getfenv(L, 2);
	return true;
}

/* object_inside(class, value) -> inside | nil */
static int l_object_inside(lua_State *L)
{
	if (!push_inside(L))
		lua_pushnil(L);
	return 1;
}

/* object_check(class, value, what) -> inside. Raises for anything else, where the function
 * that asks was called. */
static int l_object_check(lua_State *L)
{
	if (push_inside(L))
		return 1;
	luaL_where(L, 2);
	lua_getfield(L, 1, "name");
	lua_pushfstring(L, "%s%s is a %s, not a %s", lua_tostring(L, -2),
		luaL_checkstring(L, 3), luaL_typename(L, 2), lua_tostring(L, -1));
	return lua_error(L);
}

/* copy_list(list) -> a new list with the same elements, up to the first hole */
static int l_copy_list(lua_State *L)
{
	luaL_checktype(L, 1, LUA_TTABLE);
	lua_createtable(L, (int)lua_objlen(L, 1), 0);
	for (int i = 1;; i++) {
		lua_rawgeti(L, 1, i);
		if (lua_isnil(L, -1))
			break;
		lua_rawseti(L, -2, i);
	}
	lua_pop(L, 1);
	return 1;
}

static const luaL_Reg functions[] = {
	{ "object_index", l_object_index },
	{ "object_new", l_object_new },
	{ "object_inside", l_object_inside },
	{ "object_check", l_object_check },
	{ "copy_list", l_copy_list },
	{ NULL, NULL },
};

void api_object_register(lua_State *L)
{
	luaL_register(L, NULL, functions);
}
