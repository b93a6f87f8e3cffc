#include "script/openapi_run.h"

#include <errno.h>
#include <stdio.h>

#include <lauxlib.h>

#include "script/api.h"
#include "script/state.h"

int openapi_run(struct sources *sources)
{
	struct err err;
	struct state *state = api_command_state(sources, "admin.api.init", &err);
	int rc = -EINVAL;

	if (state) {
		lua_getfield(state_lua(state), -1, "describe");
		rc = state_call(state, 0, 1, 0, &err);
	}
	if (rc == 0)
		printf("%s\n", lua_tostring(state_lua(state), -1));
	else
		fprintf(stderr, "neap: %s\n", err.text);
	if (state)
		state_free(state);
	return rc == 0 ? 0 : 1;
}
