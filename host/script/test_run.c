#include "script/test_run.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <lauxlib.h>

#include "script/api.h"
#include "script/modules.h"
#include "script/sources.h"
#include "script/state.h"

/* Of one file of tests: an endless loop in a policy is a failure, and no wait for ever.
 * The largest file of our own takes 10 s where a machine is fast. */
#define FILE_CPU_MS 100000

struct tally {
	int count;
	int failed;
};

/* A name as TAP has it: on one line, and with no directive in it. */
static void print_name(const char *name)
{
	for (; *name; name++) {
		if (*name == '#' || *name == '\\')
			putchar('\\');
		putchar((unsigned char)*name < ' ' ? ' ' : *name);
	}
	putchar('\n');
}

static void report(struct tally *tally, bool is_ok, const char *file, const char *name,
	const char *message)
{
	tally->count++;
	tally->failed += !is_ok;
	printf("%sok %d - %s: ", is_ok ? "" : "not ", tally->count, file);
	print_name(name);
	if (is_ok || !message)
		return;
	printf("  # ");
	for (; *message; message++) {
		putchar(*message);
		if (*message == '\n')
			printf("  # ");
	}
	printf("\n");
}

/* The list of results is on top: { { name = …, ok = …, message = … }, … } */
static void report_all(lua_State *L, struct tally *tally, const char *file)
{
	size_t count = lua_objlen(L, -1);

	for (size_t i = 1; i <= count; i++) {
		lua_rawgeti(L, -1, (int)i);
		lua_getfield(L, -1, "name");
		lua_getfield(L, -2, "ok");
		lua_getfield(L, -3, "message");
		report(tally, lua_toboolean(L, -2), file,
			lua_tostring(L, -3) ? lua_tostring(L, -3) : "?",
			lua_tostring(L, -1));
		lua_pop(L, 4);
	}
	if (!count)
		report(tally, false, file, "has tests", "the file holds no test");
}

static void run_file(struct sources *sources, const char *file, struct tally *tally)
{
	const char *text, *why = "";
	struct err err;
	struct state *state = api_command_state(sources, "neap.tap", &err);
	lua_State *L;
	size_t size;

	if (!state) {
		report(tally, false, file, "starts", err.text);
		return;
	}
	L = state_lua(state);
	text = sources_read(sources, file, &size, &why);
	lua_pushfstring(L, "@%s", file);
	if (!text || luaL_loadbuffer(L, text, size, lua_tostring(L, -1)) != 0) {
		report(tally, false, file, "loads", text ? lua_tostring(L, -1) : why);
		goto out;
	}
	lua_pushstring(L, file);
	if (state_call(state, 1, 0, FILE_CPU_MS, &err) != 0)
		report(tally, false, file, "runs to its end", err.text);
	lua_pop(L, 1);
	lua_getfield(L, -1, "results");
	report_all(L, tally, file);
out:
	state_free(state);
}

int test_run(struct sources *sources, char **files, int file_count)
{
	struct tally tally = { 0, 0 };

	for (int i = 0; i < file_count; i++)
		run_file(sources, files[i], &tally);
	printf("1..%d\n", tally.count);
	return tally.failed || !tally.count ? 1 : 0;
}
