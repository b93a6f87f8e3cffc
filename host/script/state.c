/* state.c - making a Lua state, counting its memory, and calling into it at load time. */
#include "script/state.h"

#include <assert.h>
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>

#include <lauxlib.h>
#include <luajit.h>
#include <lualib.h>

#include "base/log.h"
#include "base/mem.h"
#include "script/collector.h"
#include "script/state_inside.h"

/* One operation on a block of this size (a concatenation, a comparison) takes so long
 * that the clock must be looked at every few instructions. */
#define LARGE_BLOCK ((size_t)1024 * 1024)
/* The stack of Lua doubles to this size where it may soon be too deep, see budget.c. */
#define DEEP_STACK ((size_t)96 * 1024)

const struct state_limits state_default_limits = {
	.memory_max = (size_t)512 * 1024 * 1024,
	.growth_max = (size_t)64 * 1024 * 1024,
	.cpu_ms = 50,
};

/* Out of the way of the small blocks, as refuse() is: their way needs no frame. */
static __attribute__((noinline)) void *change_large(struct state *state, void *old,
	size_t old_size, size_t size)
{
	if (old_size >= LARGE_BLOCK)
		state->large_count--;
	if (size >= LARGE_BLOCK)
		state->large_count++;
	if (size >= DEEP_STACK && size > old_size)
		budget_look(state);
	return blocks_change(&state->blocks, old, old_size, size);
}

static __attribute__((noinline)) void *refuse(struct state *state, size_t wanted)
{
	budget_note_refusal(state, wanted);
	return NULL;
}

static void *allocate(void *arg, void *old, size_t old_size, size_t size)
{
	struct state *state = arg;
	size_t used = state->used - old_size + size;

	/* Collections and unwinding rely on it that less memory is never refused. */
	if (size > old_size && used > state->ceiling)
		return refuse(state, used);
	state->used = used;
	if (old_size >= DEEP_STACK || size >= DEEP_STACK)
		return change_large(state, old, old_size, size);
	return blocks_change(&state->blocks, old, old_size, size);
}

/* Lua runs only under lua_pcall and lua_resume, and outside of them memory is never
 * refused: an unprotected error is a bug of the host. */
static int panic(lua_State *L)
{
	const char *text = lua_tostring(L, -1);

	log_error("state", "unprotected error: %s", text ? text : "(no text)");
	abort();
}

static void open_libraries(lua_State *L)
{
	static const luaL_Reg libraries[] = {
		{ "", luaopen_base },
		{ LUA_STRLIBNAME, luaopen_string },
		{ LUA_TABLIBNAME, luaopen_table },
		{ LUA_MATHLIBNAME, luaopen_math },
		{ LUA_BITLIBNAME, luaopen_bit },
		{ LUA_DBLIBNAME, luaopen_debug },
	};
	/* newproxy makes userdata of no size at all, see api_new_bare(). */
	static const char *const outside[] = { "print", "dofile", "loadfile",
		"newproxy" };

	for (size_t i = 0; i < COUNT_OF(libraries); i++) {
		lua_pushcfunction(L, libraries[i].func);
		lua_pushstring(L, libraries[i].name);
		lua_call(L, 1, 0);
	}
	for (size_t i = 0; i < COUNT_OF(outside); i++) {
		lua_pushnil(L);
		lua_setglobal(L, outside[i]);
	}
}

struct state *state_new(const struct state_limits *limits)
{
	struct state *state = xcalloc(1, sizeof(*state));

	state->limits = *limits;
	state->ceiling = SIZE_MAX;
	state->boundary_ref = LUA_NOREF;
	fiber_init_state(state);
	state->lua = lua_newstate(allocate, state);
	/* NULL would mean a LuaJIT without GC64, which takes no allocator of ours. */
	assert(state->lua);
	lua_atpanic(state->lua, panic);
	luaJIT_setmode(state->lua, 0, LUAJIT_MODE_ENGINE | LUAJIT_MODE_OFF);
	open_libraries(state->lua);
	budget_open(state);
	collector_open(state);
	return state;
}

lua_State *state_lua(struct state *state)
{
	return state->lua;
}

struct state *state_of(lua_State *L)
{
	void *state;

	lua_getallocf(L, &state);
	return state;
}

void state_set_data(struct state *state, void *data)
{
	state->data = data;
}

void *state_data(const struct state *state)
{
	return state->data;
}

size_t state_memory(const struct state *state)
{
	return state->used;
}

bool state_is_full(const struct state *state)
{
	size_t most = state->limits.memory_max - state->limits.growth_max;

	return state->collected > most && state->used > most;
}

int state_call(struct state *state, int argument_count, int result_count, int cpu_ms,
	struct err *err)
{
	lua_State *L = state->lua;

	budget_enter(state, cpu_ms, NULL);
	int status = lua_pcall(L, argument_count, result_count, 0);
	budget_leave(state);
	if (status == 0)
		return 0;
	budget_describe(state, L, status, err);
	lua_pop(L, 1);
	return -EINVAL;
}

void state_free(struct state *state)
{
	if (!state)
		return;
	assert(state->depth == 0 && state->waiting_count == 0);
	lua_close(state->lua);
	fiber_clear_state(state);
	blocks_clear(&state->blocks);
	free(state);
}
