/* What the files of neap.host share: handles and their types, times. */
#include "script/api.h"

#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "script/script.h"
#include "script/state.h"

#define SECONDS_MAX 2000000.0 /* 24 days: what fits into an int of milliseconds */

/* What a handle's memory begins with: the name of its type, compared by its address. Each
 * userdata that Lua has begins with a pointer, see api_new_bare(). */
struct handle {
	const char *type;
	_Alignas(max_align_t) char content[];
};

struct timeval api_timeval(double seconds)
{
	if (!(seconds > 0))
		seconds = 0;
	if (seconds > SECONDS_MAX)
		seconds = SECONDS_MAX;
	return (struct timeval) {
		.tv_sec = (time_t)seconds,
		.tv_usec = (suseconds_t)((seconds - (double)(time_t)seconds) * 1e6),
	};
}

int api_ms(double seconds)
{
	if (!(seconds > 0))
		return 0;
	if (seconds > SECONDS_MAX)
		seconds = SECONDS_MAX;
	return seconds < 0.001 ? 1 : (int)(seconds * 1000);
}

void api_new_type(lua_State *L, const char *name, const luaL_Reg *methods,
	lua_CFunction collect)
{
	luaL_newmetatable(L, name);
	if (methods) {
		lua_newtable(L);
		luaL_register(L, NULL, methods);
		lua_setfield(L, -2, "__index");
	}
	if (collect) {
		lua_pushcfunction(L, collect);
		lua_setfield(L, -2, "__gc");
	}
	lua_pushboolean(L, 0);
	lua_setfield(L, -2, "__metatable");
	lua_pushlightuserdata(L, (void *)(uintptr_t)name);
	lua_insert(L, -2);
	lua_rawset(L, LUA_REGISTRYINDEX);
}

void *api_new_handle(lua_State *L, size_t size, const char *name)
{
	struct handle *handle = lua_newuserdata(L, sizeof(*handle) + size);

	memset(handle, 0, sizeof(*handle) + size);
	handle->type = name;
	/* By the name's place: a text would be interned anew for each handle. */
	lua_pushlightuserdata(L, (void *)(uintptr_t)name);
	lua_rawget(L, LUA_REGISTRYINDEX);
	lua_setmetatable(L, -2);
	return handle->content;
}

void api_new_bare(lua_State *L)
{
	const char **type = lua_newuserdata(L, sizeof(*type));

	*type = NULL;
}

void *api_to_type(lua_State *L, int index, const char *name)
{
	struct handle *handle = lua_touserdata(L, index);

#ifdef NEAP_SANITIZE
	/* Else this is asked too often. */
	assert(!handle || lua_objlen(L, index) >= sizeof(handle->type));
#endif
	return handle && handle->type == name ? handle->content : NULL;
}

void *api_check_type(lua_State *L, int index, const char *name)
{
	void *content = api_to_type(L, index, name);

	if (!content)
		luaL_typerror(L, index, name);
	return content;
}

void api_set_number(lua_State *L, const char *name, double number)
{
	lua_pushnumber(L, number);
	lua_setfield(L, -2, name);
}

struct script *api_script(lua_State *L)
{
	struct script *script = state_data(state_of(L));

	if (!script)
		luaL_error(L, "this works in a running neap only, not while it loads");
	return script;
}
