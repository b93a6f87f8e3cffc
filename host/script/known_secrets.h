/* known_secrets.h - lists of secrets from Lua, made ready to be found in texts: a provider may
 * have a thousand keys, and each text that somebody else has written may quote one. */
#pragma once

#include <lua.h>

struct redaction;

/* Of the list of texts at index (not counted from the top): one reference. */
struct redaction *known_secrets_read(lua_State *L, int index);
/* Adds host.known_secrets and host.has_secret. */
void known_secrets_register(lua_State *L);
