/* limited.h - the string and table functions for policies.
 *
 * LuaJIT's own can run for seconds, or fill the memory, inside of one C call, where no
 * hook stops them. These have limits and charge the running resume for what they do;
 * within the limits they behave as the reference manual (5.1) says. string.dump is not
 * among them. */
#pragma once

#include <lua.h>

#define LIMITED_RESULT (16 * 1024 * 1024) /* bytes of one result */
#define LIMITED_STEPS 1000000             /* of one search with a pattern */
#define LIMITED_SORT 100000               /* elements that table.sort takes */
#define LIMITED_SHIFT 1000000 /* elements moved by one table.insert or remove */

/* Each pushes a fresh table. L has the full libraries as globals. */
void limited_push_string(lua_State *L);
void limited_push_table(lua_State *L);
