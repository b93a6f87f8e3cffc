#include "script/openapi_run.h"

#include <stdio.h>

#include <lauxlib.h>

#include "script/api.h"
#include "script/sandbox.h"
#include "script/state.h"

/* Leaves the module, and what its describe() gives, on the stack. */
static int describe(struct state *state, struct sources *sources, struct err *err)
{
	lua_State *L = state_lua(state);
	int rc;

	sandbox_open(L);
	lua_pushcfunction(L, api_l_open);
	lua_pushlightuserdata(L, sources);
	lua_pushliteral(L, "admin.api.init");
	if ((rc = state_call(state, 2, 1, 0, err)) != 0)
		return rc;
	lua_getfield(L, -1, "describe");
	return state_call(state, 0, 1, 0, err);
}

int openapi_run(struct sources *sources)
{
	struct state_limits limits = state_default_limits;
	struct state *state;
	struct err err;
	int status = 0;

	limits.growth_max = limits.memory_max;
	state = state_new(&limits);
	if (describe(state, sources, &err) == 0) {
		printf("%s\n", lua_tostring(state_lua(state), -1));
	} else {
		fprintf(stderr, "neap: %s\n", err.text);
		status = 1;
	}
	state_free(state);
	return status;
}
