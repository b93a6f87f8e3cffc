#include "script/modules.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <lauxlib.h>

#include "base/err.h"
#include "http/listener.h"
#include "script/sandbox.h"
#include "script/sources.h"
#include "script/stored.h"

#define LOADED "neap.loaded"   /* registry: module name to module */
#define SOURCES "neap.sources" /* registry: the snapshot, a light userdata */
#define PATH_MAX_SIZE 4096

static struct sources *get_sources(lua_State *L)
{
	struct sources *sources;

	lua_getfield(L, LUA_REGISTRYINDEX, SOURCES);
	sources = lua_touserdata(L, -1);
	lua_pop(L, 1);
	if (!sources)
		luaL_error(L, "files are read only while a generation is built");
	return sources;
}

/* The admin side's modules have a folder of their own beside the library's. */
static const char *folder_of(const char *name)
{
	return strncmp(name, "admin.", 6) == 0 ? "" : "lua/";
}

/* Text of a module, or NULL; name is checked and has dots. path gets where it was
 * found. */
static const char *find_module(struct sources *sources, const char *name, char *path,
	size_t path_size, size_t *size)
{
	char file[256];
	const char *why, *text;

	snprintf(file, sizeof(file), "%s", name);
	for (char *at = file; *at; at++)
		if (*at == '.')
			*at = '/';
	snprintf(path, path_size, "%s/%s%s.lua", sources_home(sources), folder_of(name),
		file);
	text = sources_read(sources, path, size, &why);
	if (text || !sources_library(sources))
		return text;
	snprintf(path, path_size, "%s/%s.lua", sources_library(sources), file);
	return sources_read(sources, path, size, &why);
}

static int l_require(lua_State *L)
{
	const char *name = luaL_checkstring(L, 1);
	char path[PATH_MAX_SIZE], chunk[300];
	const char *text;
	size_t size;

	lua_settop(L, 1);
	lua_getfield(L, LUA_REGISTRYINDEX, LOADED);
	lua_getfield(L, 2, name);
	if (!lua_isnil(L, -1))
		return 1;
	if (strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_.") != strlen(name) ||
		strlen(name) > 200 || strstr(name, ".."))
		return luaL_error(L, "\"%s\" is no name of a module", name);
	text = find_module(get_sources(L), name, path, sizeof(path), &size);
	if (!text)
		return luaL_error(L, "there is no module \"%s\"", name);
	/* Messages show a path without the machine's folders. */
	snprintf(chunk, sizeof(chunk), "@%s%s.lua", folder_of(name), name);
	for (char *at = chunk + 1; at + 4 < chunk + strlen(chunk); at++)
		if (*at == '.')
			*at = '/';
	if (luaL_loadbuffer(L, text, size, chunk) != 0)
		return lua_error(L);
	lua_pushvalue(L, 1);
	lua_call(L, 1, 1);
	if (lua_isnil(L, -1))
		return luaL_error(L, "the module \"%s\" returns nothing", name);
	lua_pushvalue(L, -1);
	lua_setfield(L, 2, name);
	return 1;
}

/* read(path) -> text | nil, why */
static int l_read(lua_State *L)
{
	const char *path = luaL_checkstring(L, 1);
	const char *why = "", *text;
	size_t size;

	text = sources_read(get_sources(L), path, &size, &why);
	if (!text) {
		lua_pushnil(L);
		lua_pushstring(L, why);
		return 2;
	}
	lua_pushlstring(L, text, size);
	return 1;
}

/* files(folder) -> { name, … } in order; none where it cannot be read. */
static int l_files(lua_State *L)
{
	struct dirent **entries = NULL;
	int count = scandir(luaL_checkstring(L, 1), &entries, NULL, alphasort);

	lua_createtable(L, count > 0 ? count : 0, 0);
	for (int i = 0; i < count; i++) {
		lua_pushstring(L, entries[i]->d_name);
		lua_rawseti(L, -2, i + 1);
		free(entries[i]);
	}
	free(entries);
	return 1;
}

/* env(name) -> text | nil */
static int l_env(lua_State *L)
{
	const char *name = luaL_checkstring(L, 1);

	lua_pushstring(L, getenv(name));
	return 1;
}

static int l_home(lua_State *L)
{
	lua_pushstring(L, sources_home(get_sources(L)));
	return 1;
}

const struct stored *modules_stored(lua_State *L)
{
	struct sources *sources;

	lua_getfield(L, LUA_REGISTRYINDEX, SOURCES);
	sources = lua_touserdata(L, -1);
	lua_pop(L, 1);
	return sources ? sources_stored(sources) : NULL;
}

/* stored(table) -> { key, value, … } | nil where nothing is stored, as in neap check */
static int l_stored(lua_State *L)
{
	static const char *const tables[] = { "config", "keys", NULL };
	int table = luaL_checkoption(L, 1, NULL, tables);
	const struct stored *stored = sources_stored(get_sources(L));

	if (!stored)
		return 0;
	stored_push(L, stored, tables[table]);
	return 1;
}

/* load_policy(text, name, environment) -> chunk | nil, message */
static int l_load_policy(lua_State *L)
{
	size_t size;
	const char *text = luaL_checklstring(L, 1, &size);
	const char *name = luaL_checkstring(L, 2);
	struct err err;

	luaL_checktype(L, 3, LUA_TTABLE);
	lua_settop(L, 3);
	if (sandbox_load(L, text, size, name, &err) != 0) {
		lua_pushnil(L);
		lua_pushstring(L, err.text);
		return 2;
	}
	return 1;
}

/* environment(require) -> a new environment with that require */
static int l_environment(lua_State *L)
{
	luaL_checktype(L, 1, LUA_TFUNCTION);
	lua_settop(L, 1);
	sandbox_push_environment(L);
	lua_pushvalue(L, 1);
	sandbox_add(L, 2, "require");
	return 1;
}

static int l_readonly(lua_State *L)
{
	luaL_checktype(L, 1, LUA_TTABLE);
	sandbox_push_readonly(L, 1);
	return 1;
}

/* certificate_problem(certificate, key) -> nil, or why these files are none for a listener */
static int l_certificate_problem(lua_State *L)
{
	struct tls *tls;
	struct err err;

	if (tls_new(&tls, luaL_checkstring(L, 1), luaL_checkstring(L, 2), &err) == 0) {
		tls_unref(tls);
		return 0;
	}
	lua_pushstring(L, err.text);
	return 1;
}

static const luaL_Reg functions[] = {
	{ "read", l_read },
	{ "files", l_files },
	{ "env", l_env },
	{ "certificate_problem", l_certificate_problem },
	{ "home", l_home },
	{ "stored", l_stored },
	{ "load_policy", l_load_policy },
	{ "environment", l_environment },
	{ "readonly", l_readonly },
	{ NULL, NULL },
};

void modules_register(lua_State *L, struct sources *sources)
{
	luaL_register(L, NULL, functions);
	lua_pushlightuserdata(L, sources);
	lua_setfield(L, LUA_REGISTRYINDEX, SOURCES);
	lua_newtable(L);
	lua_pushvalue(L, -2);
	lua_setfield(L, -2, "neap.host");
	lua_setfield(L, LUA_REGISTRYINDEX, LOADED);
	lua_pushcfunction(L, l_require);
	lua_setglobal(L, "require");
}

void modules_close(lua_State *L)
{
	lua_pushnil(L);
	lua_setfield(L, LUA_REGISTRYINDEX, SOURCES);
}
