#include "script/collector.h"

#include "base/mem.h"
#include "script/state_inside.h"

/* Bytes of garbage between two collections: at least this, and half of what is alive. To
 * walk over thousands of open streams for each MiB would cost too much. */
#define GARBAGE_MIN ((size_t)1024 * 1024)
#define GARBAGE_SHARE 2
/* Work is LuaJIT's own measure: a byte that is looked through, a tenth of an object that is
 * swept. For each byte that was allocated meanwhile, so that a run pays some 30 us. */
#define WORK_PER_BYTE 4
/* What more than one request has allocated, and what is then done at least, in some 0.5 ms:
 * the turn was longer, and all at once costs less. */
#define CROWD ((size_t)16 * 1024)
#define CROWD_WORK ((size_t)512 * 1024)
#define STEP_WORK 2000 /* of one step, as LuaJIT is set by itself */

static void set_next(struct state *state)
{
	size_t garbage = state->used / GARBAGE_SHARE;

	state->is_collecting = false;
	state->collect_at = state->used + (garbage > GARBAGE_MIN ? garbage : GARBAGE_MIN);
}

/* LuaJIT's own steps begin at such a part of what there is now: at twice as much as a
 * collection of ours waits for, or has found when it came late. */
static void hold_back(struct state *state)
{
	size_t most = state->used > state->collect_at ? state->used : state->collect_at;

	lua_gc(state->lua, LUA_GCSETPAUSE, (int)(200 * most / state->used));
	lua_gc(state->lua, LUA_GCRESTART, -1);
	state->collect_seen = state->used;
}

void collector_open(struct state *state)
{
	set_next(state);
	hold_back(state);
}

/* A collection has to end before its own garbage is as much as what it finds. */
static size_t work_due(const struct state *state)
{
	size_t grown = state->used > state->collect_seen
		? state->used - state->collect_seen
		: 0;
	size_t work = grown * WORK_PER_BYTE;

	if (!state->is_collecting)
		return 0; /* this is its first step */
	return grown > CROWD && work < CROWD_WORK ? CROWD_WORK : work;
}

void state_collect(struct state *state)
{
	size_t work = work_due(state);

	state->is_collecting = true;
	for (size_t done = 0; done <= work && state->is_collecting; done += STEP_WORK) {
		if (lua_gc(state->lua, LUA_GCSTEP, 0))
			set_next(state);
	}
	hold_back(state);
}

void state_on_garbage(struct state *state, void (*tell)(void *arg), void *arg)
{
	state->on_garbage = tell;
	state->on_garbage_arg = arg;
}

static bool is_due(const struct state *state)
{
	if (state->is_collecting)
		return state->used > state->collect_seen;
	return state->used > state->collect_at;
}

void collector_look(struct state *state)
{
	if (!is_due(state))
		return;
	if (state->on_garbage)
		state->on_garbage(state->on_garbage_arg);
	else
		state_collect(state);
}

void collector_finish(struct state *state)
{
	lua_gc(state->lua, LUA_GCCOLLECT, 0);
	set_next(state);
	hold_back(state);
}
