#include "script/spawn.h"

#include <stdlib.h>

#include <event2/event.h>
#include <lauxlib.h>

#include "base/log.h"
#include "script/api.h"
#include "script/fiber.h"
#include "script/generation.h"
#include "script/script.h"

#define ARGUMENTS_MAX 16

struct spawned {
	struct list link; /* in script->spawned */
	struct script *script;
	struct state *state;
	struct generation
		*generation; /* referenced; NULL: the state is no generation's */
	struct event *start; /* NULL: it was started */
	struct fiber *fiber;
	int ref; /* the function and its arguments, until the start */
	int argument_count;
};

static void free_spawned(struct spawned *spawned)
{
	if (spawned->start) {
		event_free(spawned->start);
		luaL_unref(state_lua(spawned->state), LUA_REGISTRYINDEX, spawned->ref);
	}
	list_remove(&spawned->link);
	spawned->script->spawned_count--;
	if (spawned->generation)
		generation_unref(spawned->generation);
	free(spawned);
}

static void on_end(struct fiber *fiber, enum fiber_status status, const char *message,
	void *arg)
{
	(void)fiber;
	if (status == FIBER_FAILED)
		log_error("job", "%s", message ? message : "unknown error");
	free_spawned(arg);
}

static void on_start(evutil_socket_t fd, short what, void *arg)
{
	struct spawned *spawned = arg;
	lua_State *L = state_lua(spawned->state);
	enum fiber_status status;
	struct err err;
	int at;

	(void)fd;
	(void)what;
	lua_checkstack(L, ARGUMENTS_MAX + 2);
	lua_rawgeti(L, LUA_REGISTRYINDEX, spawned->ref);
	at = lua_gettop(L);
	for (int i = 0; i <= spawned->argument_count; i++)
		lua_rawgeti(L, at, i + 1);
	lua_remove(L, at);
	luaL_unref(L, LUA_REGISTRYINDEX, spawned->ref);
	event_free(spawned->start);
	spawned->start = NULL;
	status = fiber_start(&spawned->fiber, spawned->state, spawned->argument_count,
		on_end, spawned, &err);
	if (status != FIBER_WAITS)
		on_end(NULL, status, err.text, spawned);
}

/* spawn(fn, …): runs fn(…) in a fiber of its own, soon */
static int l_spawn(lua_State *L)
{
	struct script *script = api_script(L);
	int argument_count = lua_gettop(L) - 1, ref;
	struct spawned *spawned;

	luaL_checktype(L, 1, LUA_TFUNCTION);
	luaL_argcheck(L, argument_count <= ARGUMENTS_MAX, ARGUMENTS_MAX + 1,
		"too many arguments");
	if (script->spawned_count >= SPAWN_MAX)
		return luaL_error(L, "there are %d jobs already", SPAWN_MAX);
	lua_createtable(L, argument_count + 1, 0);
	for (int i = 1; i <= argument_count + 1; i++) {
		lua_pushvalue(L, i);
		lua_rawseti(L, -2, i);
	}
	ref = luaL_ref(L, LUA_REGISTRYINDEX);

	spawned = xcalloc(1, sizeof(*spawned));
	spawned->script = script;
	spawned->state = state_of(L);
	spawned->generation = generation_of(L);
	spawned->ref = ref;
	spawned->argument_count = argument_count;
	if (spawned->generation)
		generation_ref(spawned->generation);
	list_append(&script->spawned, &spawned->link);
	script->spawned_count++;
	spawned->start = event_new(script->base, -1, 0, on_start, spawned);
	event_active(spawned->start, EV_TIMEOUT, 1);
	return 0;
}

/* is_current() -> whether new requests come to this generation */
static int l_is_current(lua_State *L)
{
	lua_pushboolean(L, generation_of(L) == api_script(L)->current);
	return 1;
}

static const luaL_Reg functions[] = {
	{ "spawn", l_spawn },
	{ "is_current", l_is_current },
	{ NULL, NULL },
};

void spawn_register(lua_State *L)
{
	luaL_register(L, NULL, functions);
}

bool spawn_cancel_one(struct script *script)
{
	struct spawned *spawned;

	if (list_is_empty(&script->spawned))
		return false;
	spawned = CONTAINER_OF(script->spawned.next, struct spawned, link);
	if (!spawned->start)
		fiber_cancel(spawned->fiber);
	free_spawned(spawned);
	return true;
}
