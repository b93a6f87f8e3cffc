/* fiber.c - starting, resuming, pooling and dropping the coroutines of a state. */
#include "script/fiber.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include <lauxlib.h>

#include "base/list.h"
#include "base/log.h"
#include "base/mem.h"
#include "script/state_inside.h"

#define POOL_MAX 256 /* coroutines kept per state */

struct fiber {
	struct list
		link; /* in one of its state's three lists, or in none while it runs */
	struct state *state;
	lua_State *lua;  /* NULL: hollow, its coroutine was dropped */
	int ref;         /* keeps the coroutine in the registry */
	uint64_t ticket; /* of its wait; 0: it does not wait */
	fiber_cancel_fn *cancel;
	void *cancel_arg;
	struct turn_task step; /* where it has given way */
	fiber_fn *on_end;
	void *owner;
};

void fiber_init_state(struct state *state)
{
	list_init(&state->waiting);
	list_init(&state->pooled);
	list_init(&state->hollow);
}

static void free_all(struct list *list)
{
	struct list *next;

	for (struct list *at = list->next; at != list; at = next) {
		next = at->next;
		free(CONTAINER_OF(at, struct fiber, link));
	}
	list_init(list);
}

/* Comes after lua_close: the coroutines are gone already. */
void fiber_clear_state(struct state *state)
{
	free_all(&state->pooled);
	free_all(&state->hollow);
}

static void run_step(struct turn_task *task)
{
	struct fiber *fiber = CONTAINER_OF(task, struct fiber, step);

	fiber_resume(fiber, fiber->ticket, 0);
}

static void cancel_step(void *arg)
{
	struct fiber *fiber = arg;

	turn_cancel(&fiber->step);
}

static struct fiber *take_fiber(struct state *state)
{
	struct fiber *fiber;

	if (!list_is_empty(&state->pooled)) {
		fiber = CONTAINER_OF(state->pooled.previous, struct fiber, link);
		list_remove(&fiber->link);
		state->pooled_count--;
		return fiber;
	}
	if (!list_is_empty(&state->hollow)) {
		fiber = CONTAINER_OF(state->hollow.previous, struct fiber, link);
		list_remove(&fiber->link);
	} else {
		fiber = xcalloc(1, sizeof(*fiber));
		list_init(&fiber->link);
		turn_task_init(&fiber->step, run_step);
		fiber->state = state;
	}
	/* Between runs, and so on the way into one, memory is not refused; in a nested
	 * start it may be, and that would leave by longjmp. */
	size_t ceiling = state->ceiling;
	state->ceiling = SIZE_MAX;
	lua_checkstack(state->lua, 2);
	fiber->lua = lua_newthread(state->lua);
	fiber->ref = luaL_ref(state->lua, LUA_REGISTRYINDEX);
	state->ceiling = ceiling;
	return fiber;
}

static void drop_coroutine(struct fiber *fiber)
{
	luaL_unref(fiber->state->lua, LUA_REGISTRYINDEX, fiber->ref);
	fiber->lua = NULL;
	list_append(&fiber->state->hollow, &fiber->link);
}

static void put_fiber(struct fiber *fiber, enum fiber_status status)
{
	struct state *state = fiber->state;

	if (status == FIBER_FAILED || state->pooled_count == POOL_MAX) {
		drop_coroutine(fiber);
		return;
	}
	lua_settop(fiber->lua, 0);
	list_append(&state->pooled, &fiber->link);
	state->pooled_count++;
}

/* The wait is over, or taken back. */
static void end_wait(struct fiber *fiber)
{
	fiber->ticket = 0;
	fiber->cancel = NULL;
	fiber->cancel_arg = NULL;
}

static void take_wait_back(struct fiber *fiber)
{
	fiber_cancel_fn *cancel = fiber->cancel;
	void *arg = fiber->cancel_arg;

	end_wait(fiber);
	if (cancel)
		cancel(arg);
}

static enum fiber_status run(struct fiber *fiber, int argument_count, struct err *err)
{
	struct state *state = fiber->state;
	struct fiber *outer = state->running;

	budget_enter(state, state->limits.cpu_ms, fiber->owner);
	state->running = fiber;
	int status = lua_resume(fiber->lua, argument_count);
	state->running = outer;
	budget_leave(state);

	if (status == LUA_YIELD && fiber->ticket != 0) {
		list_append(&state->waiting, &fiber->link);
		state->waiting_count++;
		return FIBER_WAITS;
	}
	/* A binding asked for a wait but did not yield: nobody would hear of its end. */
	if (fiber->ticket != 0)
		take_wait_back(fiber);
	if (status == 0)
		return FIBER_DONE;
	if (status == LUA_YIELD)
		err_set(err, 0, "a coroutine yielded to the host without a wait");
	else
		budget_describe(state, fiber->lua, status, err);
	return FIBER_FAILED;
}

enum fiber_status fiber_start(struct fiber **out, struct state *state, int argument_count,
	fiber_fn *on_end, void *owner, struct err *err)
{
	struct fiber *fiber = take_fiber(state);

	*out = NULL;
	fiber->on_end = on_end;
	fiber->owner = owner;
	size_t ceiling = state->ceiling;
	state->ceiling = SIZE_MAX;
	lua_checkstack(fiber->lua, argument_count + 1);
	state->ceiling = ceiling;
	lua_xmove(state->lua, fiber->lua, argument_count + 1);

	enum fiber_status status = run(fiber, argument_count, err);
	if (status == FIBER_WAITS)
		*out = fiber;
	else
		put_fiber(fiber, status);
	return status;
}

struct fiber *fiber_of(lua_State *L)
{
	struct fiber *running = state_of(L)->running;

	return running && running->lua == L ? running : NULL;
}

void *fiber_owner(const struct fiber *fiber, fiber_fn *on_end)
{
	return fiber->on_end == on_end ? fiber->owner : NULL;
}

lua_State *fiber_lua(struct fiber *fiber)
{
	return fiber->lua;
}

struct fiber *fiber_check(lua_State *L)
{
	struct fiber *fiber = fiber_of(L);

	if (!fiber)
		luaL_error(L, "cannot wait here: not in a request");
	if (!lua_isyieldable(L))
		luaL_error(L,
			"cannot wait here: inside of a callback from C (sort, gsub)");
	return fiber;
}

uint64_t fiber_wait(lua_State *L, fiber_cancel_fn *cancel, void *arg)
{
	struct fiber *fiber = fiber_of(L);

	assert(fiber && fiber->ticket == 0);
	fiber->ticket = ++fiber->state->last_ticket;
	fiber->cancel = cancel;
	fiber->cancel_arg = arg;
	return fiber->ticket;
}

int fiber_give_way(lua_State *L, struct turn *turn, enum turn_stage stage)
{
	struct fiber *fiber = fiber_of(L);

	if (!fiber || !lua_isyieldable(L))
		return 0;
	fiber_wait(L, cancel_step, fiber);
	turn_run(turn, stage, &fiber->step);
	return lua_yield(L, 0);
}

bool fiber_is_waiting(const struct fiber *fiber, uint64_t ticket)
{
	return ticket != 0 && fiber->ticket == ticket;
}

static void stop_waiting(struct fiber *fiber)
{
	list_remove(&fiber->link);
	fiber->state->waiting_count--;
}

void fiber_resume(struct fiber *fiber, uint64_t ticket, int result_count)
{
	struct err err;

	if (!fiber_is_waiting(fiber, ticket)) {
		log_warn("fiber", "late completion ignored: ticket=%" PRIu64, ticket);
		if (fiber->lua)
			lua_pop(fiber->lua, result_count);
		return;
	}
	/* From inside of its own run (before the yield) it would enter itself. */
	assert(fiber != fiber->state->running && lua_status(fiber->lua) == LUA_YIELD);
	stop_waiting(fiber);
	end_wait(fiber);

	enum fiber_status status = run(fiber, result_count, &err);
	if (status == FIBER_WAITS)
		return;
	fiber->on_end(fiber, status, status == FIBER_FAILED ? err.text : NULL,
		fiber->owner);
	put_fiber(fiber, status);
}

void fiber_cancel(struct fiber *fiber)
{
	assert(fiber->ticket != 0 && fiber != fiber->state->running);
	stop_waiting(fiber);
	take_wait_back(fiber);
	drop_coroutine(fiber);
}

int fiber_count(const struct state *state)
{
	return state->waiting_count;
}

bool fiber_running(const struct state *state, void **owner, int64_t *since_us)
{
	int64_t since = atomic_load_explicit(&state->run_since_us, memory_order_acquire);

	*owner = atomic_load_explicit(&state->run_owner, memory_order_relaxed);
	*since_us = since;
	/* If a run has ended in between, the owner may be the next one's. */
	atomic_thread_fence(memory_order_acquire);
	return since != 0 &&
		since == atomic_load_explicit(&state->run_since_us, memory_order_relaxed);
}
