/* modules.h - require, and what the loader's bindings read from.
 *
 * The library's modules (neap.*) come from the program's lua/ folder, those of the admin
 * side (admin.*) from admin/ beside it; both run with the full base libraries; a policy's
 * require gives read-only views of the public ones. Lua never opens a file itself. */
#pragma once

#include <lua.h>

struct sources;
struct stored;

/* Adds require (global, for the library) and the loading functions read, env, home,
 * stored, load_policy, environment, readonly to the table at the top of the stack, which is the
 * module neap.host. The sources are used until modules_close(). */
void modules_register(lua_State *L, struct sources *sources);
/* The stored configuration while a generation is built, and only then; or NULL. */
const struct stored *modules_stored(lua_State *L);
/* From now on nothing can be read any more. */
void modules_close(lua_State *L);
