/* api_json.h - the C side of neap.json: decoding into Lua tables, encoding, and looking
 * into texts without decoding them. */
#pragma once

#include <lua.h>

/* Adds json_* functions and the values that they share to the table on top of the stack,
 * which is the private module "neap.host". Once for each Lua state. */
void api_json_register(lua_State *L);
