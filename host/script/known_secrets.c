#include "script/known_secrets.h"

#include <stdlib.h>

#include <lauxlib.h>

#include "base/mem.h"
#include "script/api.h"
#include "storage/key.h"
#include "storage/redaction.h"

static const char type_name[] = "neap.known_secrets";

struct redaction *known_secrets_read(lua_State *L, int index)
{
	size_t count = lua_objlen(L, index);
	struct bytes *secrets = xcalloc(count + 1, sizeof(*secrets));
	struct redaction *redaction;

	for (size_t i = 0; i < count; i++) {
		lua_rawgeti(L, index, (int)i + 1);
		secrets[i].data = lua_tolstring(L, -1, &secrets[i].size);
		lua_pop(L, 1); /* the list holds it */
	}
	redaction = redaction_new(secrets, count);
	free(secrets);
	return redaction;
}

/* known_secrets { text, … } -> handle */
static int l_known_secrets(lua_State *L)
{
	struct redaction **box;

	luaL_checktype(L, 1, LUA_TTABLE);
	box = api_new_handle(L, sizeof(struct redaction *), type_name);
	*box = known_secrets_read(L, 1);
	return 1;
}

/* has_secret(known secrets, text) -> boolean */
static int l_has_secret(lua_State *L)
{
	struct redaction **box = api_check_type(L, 1, type_name);
	struct bytes text;

	text.data = luaL_checklstring(L, 2, &text.size);
	lua_pushboolean(L, redaction_finds(*box, text));
	return 1;
}

static int l_collect(lua_State *L)
{
	struct redaction **box = api_check_type(L, 1, type_name);

	redaction_unref(*box);
	*box = NULL;
	return 0;
}

void known_secrets_register(lua_State *L)
{
	static const luaL_Reg functions[] = { { "known_secrets", l_known_secrets },
		{ "has_secret", l_has_secret }, { NULL, NULL } };

	api_new_type(L, type_name, NULL, l_collect);
	luaL_register(L, NULL, functions);
}
