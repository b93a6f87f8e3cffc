/* sandbox.h - what a policy can reach: a guard against mistakes, not against hostile
 * authors.
 *
 * An environment holds copies of the harmless functions (assert error getmetatable ipairs
 * next pairs pcall select setmetatable tonumber tostring type unpack, string, table, math
 * without randomseed, bit) with the limited versions of those that could run for long
 * inside of C. No load of any kind, no coroutines, no globals: writing one, or reading
 * one that does not exist, raises with its name. getmetatable("") is false and the
 * metatable of strings points at the limited library for everyone in the state. */
#pragma once

#include <lua.h>

#include "base/err.h"

/* Once per state, after its libraries are open: makes the limited string library and
 * points the string metatable at it. */
void sandbox_open(lua_State *L);
/* Pushes a new environment; the caller adds "require" with sandbox_add(). */
void sandbox_push_environment(lua_State *L);
/* Gives the environment at index a name that its chunks can read and not write, with the
 * value on top of the stack (popped). */
void sandbox_add(lua_State *L, int index, const char *name);
/* Pushes a view of the table at index: reads go through, writes raise, and pairs, ipairs
 * and next of an environment walk it. Tables inside of it are not covered, and # gives 0:
 * meant for modules. */
void sandbox_push_readonly(lua_State *L, int index);
/* Compiles a policy's text (never bytecode) with the environment at the top of the stack
 * (popped), off the compiler for it and all its functions; pushes the chunk. name: what
 * messages show before the line ("policies/mine.lua"). */
MUST_CHECK
int sandbox_load(lua_State *L, const char *text, size_t size, const char *name,
	struct err *err);
