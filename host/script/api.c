#include "script/api.h"

#include "script/api_json.h"
#include "script/known_secrets.h"
#include "script/modules.h"
#include "script/reloads.h"
#include "script/sandbox.h"
#include "script/spawn.h"
#include "script/state.h"

int api_l_open(lua_State *L)
{
	struct sources *sources = lua_touserdata(L, 1);

	lua_newtable(L);
	modules_register(L, sources);
	api_json_register(L);
	api_misc_register(L);
	api_run_register(L);
	api_object_register(L);
	api_shared_register(L);
	api_request_register(L);
	api_record_register(L);
	usage_register(L);
	rates_register(L);
	known_secrets_register(L);
	attempt_register(L);
	legs_register(L);
	fetch_register(L);
	api_storage_register(L);
	api_journal_register(L);
	api_recost_register(L);
	api_secret_register(L);
	reloads_register(L);
	spawn_register(L);
	lua_getglobal(L, "require");
	lua_pushvalue(L, 2);
	lua_call(L, 1, 1);
	return 1;
}

struct state *api_command_state(struct sources *sources, const char *module,
	struct err *err)
{
	struct state_limits limits = state_default_limits;
	struct state *state;
	lua_State *L;

	limits.growth_max = limits.memory_max;
	state = state_new(&limits);
	L = state_lua(state);
	sandbox_open(L);
	lua_pushcfunction(L, api_l_open);
	lua_pushlightuserdata(L, sources);
	lua_pushstring(L, module);
	if (state_call(state, 2, 1, 0, err) == 0)
		return state;
	state_free(state);
	return NULL;
}
