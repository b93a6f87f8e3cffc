/* budget.c - the limits of one run of Lua: its CPU time and the growth of its memory.
 *
 * A run begins without a hook and without a clock, since most are over within some
 * microseconds. A tick of the thread's CPU time that meets a run installs the count hook,
 * which then fires every HOOK_COUNT instructions up to the run's end; the run's clock
 * begins when it first fires. Threads without a ticker leave it installed. Inside of C no
 * hook fires: functions that may be long there call state_charge(). What one instruction
 * can make long, large blocks of memory and a deep stack, installs the hook at once.
 *
 * After an overrun the hook fires at every instruction and raises in every function but
 * the boundary, so that no pcall of a policy can swallow the error for longer than one
 * instruction. */
#include <assert.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>

#include <lauxlib.h>

#include "base/clock.h"
#include "script/collector.h"
#include "script/state_inside.h"
#include "script/ticker.h"

#define HOOK_COUNT 1000
#define HOOK_COUNT_CLOSE 20 /* with a deep stack, or a large block in the state */
#define STACK_HIGH 8000     /* slots of Lua's stack: fire more often */
#define STACK_MAX 20000     /* slots: overflow; LuaJIT itself would go on to 65,500 */
#define WORK_MAX 100000     /* charged work between two looks at the clock */
#define C_STACK_MAX (512 * 1024) /* bytes of the stack of C that a run may use */
#define STEP_KIB 256             /* of collection at the start of a run in a full state */
#define MIB ((size_t)1024 * 1024)

/* Of this thread: what its ticks look at. */
static _Thread_local struct state *volatile running;
static _Thread_local volatile sig_atomic_t is_arming;
static _Thread_local bool has_ticker;

static void watch(lua_State *L, lua_Debug *at);

/* count: instructions between two calls of the hook; 0 takes it away. */
static void arm(struct state *state, int count)
{
	if (state->hook_count == count)
		return;
	is_arming = 1;
	atomic_signal_fence(memory_order_seq_cst);
	state->hook_count = count;
	lua_sethook(state->lua, count ? watch : NULL, LUA_MASKCOUNT, count);
	atomic_signal_fence(memory_order_seq_cst);
	is_arming = 0;
}

static void arm_as_usual(struct state *state)
{
	arm(state, state->large_count > 0 ? HOOK_COUNT_CLOSE : HOOK_COUNT);
}

static void arm_for_start(struct state *state)
{
	if (has_ticker && state->large_count == 0)
		arm(state, 0);
	else
		arm_as_usual(state);
}

/* In a signal's handler. LuaJIT allows lua_sethook() there, but not inside of another
 * call of it: then the next tick will do. */
static void on_tick(void)
{
	struct state *state = running;

	if (state && !is_arming && state->hook_count == 0)
		arm(state, 1);
}

void state_watch_thread(void)
{
	has_ticker = ticker_start(on_tick, NULL) == 0;
}

void state_unwatch_thread(void)
{
	ticker_stop();
	has_ticker = false;
}

/* The hook itself needs room on the stack of Lua: right at LuaJIT's own limit a loop
 * could go on where there is none for it. And each pcall on the stack catches an overrun
 * once, which adds up. So the stack ends earlier, and is watched closely before it does.
 * The lower half of i_ci, a private member, is the slot of the running frame;
 * lua_getstack() would walk through all frames. */
static int stack_slot(const lua_Debug *at)
{
	return at->i_ci & 0xffff;
}

/* Not one of the two clocks of base/clock.h: it stands still while the thread waits, so
 * that a busy machine does not stop innocent policies. */
static int64_t cpu_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static void start_clock(struct state *state)
{
	state->has_start = true;
	state->wall_start_us = clock_us();
	state->cpu_start_us = cpu_us();
}

/* The CPU's clock is a system call; the wall clock, which is none, is never behind it. */
static bool is_spent(struct state *state)
{
	if (state->depth == 0 || state->budget_us == 0)
		return false;
	if (!state->has_start) {
		start_clock(state);
		return false;
	}
	return clock_us() - state->wall_start_us >= state->budget_us &&
		cpu_us() - state->cpu_start_us >= state->budget_us;
}

static void write_reason(const struct state *state, char *room, size_t size)
{
	if (state->overrun == OVERRUN_GROWTH)
		snprintf(room, size, "not enough memory: a request may use %zu MiB",
			state->limits.growth_max / MIB);
	else if (state->overrun == OVERRUN_MEMORY)
		snprintf(room, size,
			"not enough memory: a worker's Lua state may use %zu MiB",
			state->limits.memory_max / MIB);
	else
		snprintf(room, size, "stopped after %d ms of CPU time",
			(int)(state->budget_us / 1000));
}

/* The position stands on the top of the stack. */
static void raise_reason(lua_State *L, const struct state *state)
{
	char reason[96];

	write_reason(state, reason, sizeof(reason));
	lua_pushstring(L, reason);
	lua_concat(L, 2);
	lua_error(L);
}

static bool is_boundary(lua_State *L, lua_Debug *at)
{
	const struct state *state = state_of(L);

	lua_getinfo(L, "f", at);
	bool is = state->boundary && lua_topointer(L, -1) == state->boundary;
	lua_pop(L, 1);
	return is;
}

static void push_position(lua_State *L, lua_Debug *at)
{
	lua_getinfo(L, "Sl", at);
	if (at->currentline > 0)
		lua_pushfstring(L, "%s:%d: ", at->short_src, at->currentline);
	else
		lua_pushliteral(L, "");
}

/* All is well so far: chooses when to look again. */
static void go_on(struct state *state, lua_State *L, lua_Debug *at)
{
	int slot = stack_slot(at);

	if (slot < STACK_HIGH || state->depth == 0) {
		arm_as_usual(state);
		return;
	}
	if (slot < STACK_MAX) {
		arm(state, HOOK_COUNT_CLOSE);
		return;
	}
	/* Nothing runs up here: who catches the error goes on below, or gets it again. */
	arm(state, 1);
	push_position(L, at);
	lua_pushliteral(L, "stack overflow");
	lua_concat(L, 2);
	lua_error(L);
}

static void watch(lua_State *L, lua_Debug *at)
{
	struct state *state = state_of(L);

	if (state->overrun == OVERRUN_NONE && is_spent(state))
		state->overrun = OVERRUN_CPU;
	if (state->overrun == OVERRUN_NONE || state->depth == 0) {
		go_on(state, L, at);
		return;
	}
	arm(state, 1);
	if (!state->is_relaxed && is_boundary(L, at))
		return;
	push_position(L, at);
	raise_reason(L, state);
}

/* Functions that call each other by way of C (a replacement of gsub that calls gsub) fill
 * the stack of C long before that of Lua. */
static bool is_c_stack_full(const struct state *state)
{
	const char *here = __builtin_frame_address(0);

	return state->depth > 0 && state->c_stack - here > C_STACK_MAX;
}

void state_charge(lua_State *L, size_t work)
{
	struct state *state = state_of(L);

	if (is_c_stack_full(state))
		luaL_error(L, "C stack overflow");
	state->work += work;
	if (state->work < WORK_MAX && state->overrun == OVERRUN_NONE)
		return;
	state->work = 0;
	if (state->overrun == OVERRUN_NONE && is_spent(state))
		state->overrun = OVERRUN_CPU;
	if (state->overrun == OVERRUN_NONE || state->depth == 0)
		return;
	arm(state, 1);
	luaL_where(L, 1);
	raise_reason(L, state);
}

void budget_open(struct state *state)
{
	arm_as_usual(state);
}

/* What has no limit of time is no request's, and may grow as far as the state may. */
static void set_ceiling(struct state *state)
{
	size_t ceiling = state->used + state->limits.growth_max;

	if (state->budget_us == 0 || ceiling > state->limits.memory_max)
		ceiling = state->limits.memory_max;
	state->ceiling = ceiling;
}

/* A collection may have to allocate before it frees, so it runs without a ceiling. */
static void collect(struct state *state)
{
	state->ceiling = SIZE_MAX;
	collector_finish(state);
	state->collected = state->used;
}

/* LuaJIT does not collect when its allocator refuses. A state that nears its limit is
 * therefore helped along at the start of each run, and collected at once when the run's
 * growth would not fit, unless the last collection has shown that nearly all is used. */
static void make_room(struct state *state)
{
	size_t max = state->limits.memory_max;

	if (state->used <= max / 2)
		return;
	if (state->used + state->limits.growth_max > max &&
		state->used > state->collected + state->limits.growth_max / 4)
		collect(state);
	else
		lua_gc(state->lua, LUA_GCSTEP, STEP_KIB);
}

void budget_enter(struct state *state, int cpu_ms, void *owner)
{
	if (state->depth++ > 0)
		return;
	make_room(state);
	state->overrun = OVERRUN_NONE;
	state->is_relaxed = false;
	state->has_start = false;
	state->budget_us = (int64_t)cpu_ms * 1000;
	set_ceiling(state);
	state->work = 0;
	state->c_stack = __builtin_frame_address(0);
	state->outer = running;
	running = state;
	arm_for_start(state);
	atomic_store_explicit(&state->run_owner, owner, memory_order_relaxed);
	atomic_store_explicit(&state->run_since_us, clock_tick_ms() * 1000,
		memory_order_release);
}

void budget_leave(struct state *state)
{
	assert(state->depth > 0);
	if (--state->depth > 0)
		return;
	atomic_store_explicit(&state->run_since_us, 0, memory_order_release);
	state->ceiling = SIZE_MAX;
	running = state->outer;
	arm_for_start(state);
	collector_look(state);
}

void budget_note_refusal(struct state *state, size_t wanted)
{
	if (state->overrun == OVERRUN_NONE)
		state->overrun = wanted > state->limits.memory_max ? OVERRUN_MEMORY
								   : OVERRUN_GROWTH;
	arm(state, 1);
}

void budget_look(struct state *state)
{
	/* The hook then chooses its count itself. */
	if (state->lua)
		arm(state, 1);
}

void budget_describe(struct state *state, lua_State *L, int status, struct err *err)
{
	/* The text of a table would come from its __tostring, which is the policy's. */
	const char *text = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : NULL;
	char reason[96];

	if (status == LUA_ERRMEM && state->overrun >= OVERRUN_GROWTH) {
		write_reason(state, reason, sizeof(reason));
		err_set(err, 0, "%s", reason);
	} else if (text) {
		err_set(err, 0, "%s", text);
	} else {
		err_set(err, 0, "(error object is a %s value)", luaL_typename(L, -1));
	}
}

void state_set_boundary(lua_State *L)
{
	struct state *state = state_of(L);

	luaL_unref(L, LUA_REGISTRYINDEX, state->boundary_ref);
	state->boundary = lua_topointer(L, -1);
	state->boundary_ref = luaL_ref(L, LUA_REGISTRYINDEX);
}

void state_relax(lua_State *L)
{
	struct state *state = state_of(L);

	if (state->overrun == OVERRUN_NONE || state->is_relaxed || state->depth == 0)
		return;
	if (state->overrun != OVERRUN_CPU)
		collect(state);
	set_ceiling(state);
	state->overrun = OVERRUN_NONE;
	state->is_relaxed = true;
	if (state->budget_us > 0) {
		state->budget_us = STATE_RELAX_MS * 1000;
		start_clock(state);
	}
	arm_as_usual(state);
}

bool state_limit_cpu(lua_State *L, int cpu_ms)
{
	struct state *state = state_of(L);

	if (state->depth == 0 || (state->budget_us > 0) == (cpu_ms > 0))
		return false;
	state->overrun = OVERRUN_NONE;
	state->is_relaxed = false;
	state->budget_us = (int64_t)cpu_ms * 1000;
	set_ceiling(state);
	start_clock(state);
	arm_as_usual(state);
	return true;
}

bool state_is_overrun(lua_State *L)
{
	const struct state *state = state_of(L);

	return state->depth > 0 && state->overrun != OVERRUN_NONE;
}
