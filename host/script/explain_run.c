#include "script/explain_run.h"

#include <stdio.h>

#include <lauxlib.h>

#include "script/api.h"
#include "script/modules.h"
#include "script/sources.h"
#include "script/state.h"

#define EXIT_CONFIG 78
#define WALK_CPU_MS 1000 /* of all policies together: there is no loop in a good chain */

/* The table of options on the top: of the texts at words, as a list. */
static void set_list(lua_State *L, const char *name, const char *const *words, int count)
{
	lua_createtable(L, count, 0);
	for (int i = 0; i < count; i++) {
		lua_pushstring(L, words[i]);
		lua_rawseti(L, -2, i + 1);
	}
	lua_setfield(L, -2, name);
}

static void push_options(lua_State *L, const struct explain_options *options,
	const struct buf *body)
{
	static const char *const usual[] = { "503" };

	lua_newtable(L);
	lua_pushstring(L, options->config);
	lua_setfield(L, -2, "config");
	lua_pushlstring(L, buf_data(body), buf_size(body));
	lua_setfield(L, -2, "body");
	lua_pushstring(L, options->token);
	lua_setfield(L, -2, "token");
	lua_pushboolean(L, options->is_json);
	lua_setfield(L, -2, "is_json");
	set_list(L, "headers", options->headers, options->header_count);
	if (options->answer_count)
		set_list(L, "answers", options->answers, options->answer_count);
	else
		set_list(L, "answers", usual, COUNT_OF(usual));
}

static int print_problem(int status, const char *text)
{
	/* The configuration's errors begin with their file and line. */
	fprintf(stderr, status == EXIT_CONFIG ? "%s\n" : "neap: %s\n", text);
	return status;
}

/* The module neap.explain is on the top of the stack, before and after. */
static int explain(struct state *state, const struct explain_options *options,
	const struct buf *body)
{
	lua_State *L = state_lua(state);
	const char *text;
	struct err err;
	size_t size;
	int status;

	lua_getfield(L, -1, "open");
	push_options(L, options, body);
	if (state_call(state, 1, 2, 0, &err) != 0)
		return print_problem(1, err.text);
	status = (int)lua_tointeger(L, -2);
	if (status != 0)
		return print_problem(status, lua_tostring(L, -1));
	lua_pop(L, 2);
	lua_getfield(L, -1, "walk");
	if (state_call(state, 0, 0, WALK_CPU_MS, &err) != 0)
		return print_problem(1, err.text);
	lua_getfield(L, -1, "show");
	if (state_call(state, 0, 1, 0, &err) != 0)
		return print_problem(1, err.text);
	text = lua_tolstring(L, -1, &size);
	fwrite(text, 1, size, stdout);
	lua_pop(L, 1);
	return 0;
}

int explain_run(struct sources *sources, const struct explain_options *options,
	const struct buf *body)
{
	struct err err;
	struct state *state = api_command_state(sources, "neap.explain", &err);
	int status;

	if (!state)
		return print_problem(1, err.text);
	status = explain(state, options, body);
	state_free(state);
	return status;
}
