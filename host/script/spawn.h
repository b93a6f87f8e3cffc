/* spawn.h - fibers that belong to no request: the jobs of the admin side.
 *
 * Such a fiber holds its generation, as a request does, and so lives on when that is
 * replaced: a job that shall end then asks host.is_current(). It ends with the worker. */
#pragma once

#include <stdbool.h>

#include <lua.h>

struct script;

#define SPAWN_MAX 4096 /* at once, in a worker */

/* Adds spawn and is_current to the table at the top of the stack. */
void spawn_register(lua_State *L);
/* At the worker's end, one at a time: false if there is none any more. */
bool spawn_cancel_one(struct script *script);
