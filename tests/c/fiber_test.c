/* fiber_test.c - fibers: waiting, tickets, cancelling, pooling, limits, the watchdog's
 * view. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include <lauxlib.h>

#include "base/clock.h"
#include "crowd.h"
#include "script/fiber.h"

/* What the binding under test remembers of its last wait, and what the last end gave. */
static struct {
	struct fiber *fiber;
	uint64_t ticket;
	int cancelled;
	int ended;
	enum fiber_status status;
	char message[256];
	double result;
	void *owner;
} seen;

static void on_cancel(void *arg)
{
	assert_ptr_equal(arg, &seen);
	seen.cancelled++;
}

static void on_end(struct fiber *fiber, enum fiber_status status, const char *message,
	void *arg)
{
	seen.ended++;
	seen.status = status;
	seen.owner = arg;
	snprintf(seen.message, sizeof(seen.message), "%s", message ? message : "");
	if (status == FIBER_DONE)
		seen.result = lua_tonumber(fiber_lua(fiber), -1);
}

static int l_wait(lua_State *L)
{
	seen.fiber = fiber_check(L);
	seen.ticket = fiber_wait(L, on_cancel, &seen);
	return lua_yield(L, 0);
}

/* A binding that forgets to ask whether it can wait. */
static int l_wait_blindly(lua_State *L)
{
	seen.ticket = fiber_wait(L, on_cancel, &seen);
	return lua_yield(L, 0);
}

static void on_other_end(struct fiber *fiber, enum fiber_status status,
	const char *message, void *arg)
{
	(void)fiber, (void)status, (void)message, (void)arg;
}

static int l_owner(lua_State *L)
{
	struct fiber *fiber = fiber_check(L);

	assert_null(fiber_owner(fiber, on_other_end));
	lua_pushlightuserdata(L, fiber_owner(fiber, on_end));
	return 1;
}

static struct turn *turn;

static int l_give_way(lua_State *L)
{
	return turn_is_crowded(turn) ? fiber_give_way(L, turn, TURN_ROUTES) : 0;
}

/* nest(f): runs f in a fiber of its own, gives its status. */
static int l_nest(lua_State *L)
{
	struct fiber *inner;

	lua_xmove(L, state_lua(state_of(L)), 1);
	lua_pushinteger(L, fiber_start(&inner, state_of(L), 0, on_end, NULL, NULL));
	return 1;
}

static int open_state(void **arg)
{
	struct state *state = state_new(&state_default_limits);

	lua_register(state_lua(state), "wait", l_wait);
	lua_register(state_lua(state), "wait_blindly", l_wait_blindly);
	lua_register(state_lua(state), "owner", l_owner);
	lua_register(state_lua(state), "nest", l_nest);
	lua_register(state_lua(state), "give_way", l_give_way);
	memset(&seen, 0, sizeof(seen));
	*arg = state;
	return 0;
}

static int close_state(void **arg)
{
	assert_int_equal(fiber_count(*arg), 0);
	state_free(*arg);
	return 0;
}

static void push(struct state *state, const char *text)
{
	assert_int_equal(luaL_loadbuffer(state_lua(state), text, strlen(text), "=test"),
		0);
}

static enum fiber_status start(struct state *state, const char *text,
	struct fiber **fiber, struct err *err)
{
	push(state, text);
	return fiber_start(fiber, state, 0, on_end, state, err);
}

static void resume(double result)
{
	lua_pushnumber(fiber_lua(seen.fiber), result);
	fiber_resume(seen.fiber, seen.ticket, 1);
}

static void test_returns_at_once(void **arg)
{
	struct fiber *fiber;
	lua_State *L = state_lua(*arg);

	push(*arg, "local a, b = ... assert(a == 1 and b == 2)");
	lua_pushinteger(L, 1);
	lua_pushinteger(L, 2);
	assert_int_equal(fiber_start(&fiber, *arg, 2, on_end, NULL, NULL), FIBER_DONE);
	assert_null(fiber);
	assert_int_equal(seen.ended, 0);
	assert_int_equal(lua_gettop(L), 0);
}

static void test_fails_at_once(void **arg)
{
	struct fiber *fiber;
	struct err err;

	assert_int_equal(start(*arg, "\nerror('no')", &fiber, &err), FIBER_FAILED);
	assert_null(fiber);
	assert_string_equal(err.text, "test:2: no");
	assert_int_equal(start(*arg, "error(setmetatable({}, {__tostring = error}))",
				 &fiber, &err),
		FIBER_FAILED);
	assert_string_equal(err.text, "(error object is a table value)");
	assert_int_equal(start(*arg, "error('no')", &fiber, NULL), FIBER_FAILED);
	assert_int_equal(seen.ended, 0);
}

static void test_waits_and_returns(void **arg)
{
	struct fiber *fiber;

	assert_int_equal(start(*arg, "local a = wait() local b = wait() return a * b",
				 &fiber, NULL),
		FIBER_WAITS);
	assert_ptr_equal(fiber, seen.fiber);
	assert_int_equal(fiber_count(*arg), 1);
	uint64_t first = seen.ticket;
	assert_true(fiber_is_waiting(fiber, first));
	resume(6);
	assert_int_equal(seen.ended, 0);
	assert_false(fiber_is_waiting(fiber, first));

	/* The first wait's completion comes a second time. */
	lua_pushnumber(fiber_lua(fiber), 1000);
	fiber_resume(fiber, first, 1);
	assert_int_equal(seen.ended, 0);

	resume(7);
	assert_int_equal(seen.ended, 1);
	assert_int_equal(seen.status, FIBER_DONE);
	assert_ptr_equal(seen.owner, *arg);
	assert_true(seen.result == 42);
	assert_int_equal(seen.cancelled, 0);
}

static void test_waits_and_fails(void **arg)
{
	struct fiber *fiber;

	start(*arg, "wait()\nerror('late')", &fiber, NULL);
	resume(0);
	assert_int_equal(seen.ended, 1);
	assert_int_equal(seen.status, FIBER_FAILED);
	assert_string_equal(seen.message, "test:2: late");
}

static void test_late_completion_after_the_end(void **arg)
{
	struct fiber *fiber;

	start(*arg, "wait()", &fiber, NULL);
	uint64_t ticket = seen.ticket;
	resume(0);
	fiber_resume(fiber, ticket, 0);

	/* The same memory serves another fiber, which is not woken by the old ticket. */
	struct fiber *again;
	start(*arg, "wait()", &again, NULL);
	assert_ptr_equal(again, fiber);
	fiber_resume(fiber, ticket, 0);
	assert_int_equal(seen.ended, 1);
	resume(0);
	assert_int_equal(seen.ended, 2);

	start(*arg, "wait() error()", &fiber, NULL);
	ticket = seen.ticket;
	resume(0);
	fiber_resume(fiber, ticket, 0);
	assert_int_equal(seen.ended, 3);
}

static void test_cancel(void **arg)
{
	struct fiber *fiber;

	start(*arg, "pcall(wait) assert(false)", &fiber, NULL);
	uint64_t ticket = seen.ticket;
	fiber_cancel(fiber);
	assert_int_equal(seen.cancelled, 1);
	assert_int_equal(seen.ended, 0);
	assert_int_equal(fiber_count(*arg), 0);
	fiber_resume(fiber, ticket, 0);
	assert_int_equal(seen.ended, 0);
}

static void test_waiting_across_pcall_and_iterators(void **arg)
{
	struct fiber *fiber;

	start(*arg,
		"local sum = 0\n"
		"pcall(function() for n in wait do if n == 0 then break end"
		" sum = sum + n end end)\n"
		"return sum",
		&fiber, NULL);
	resume(3);
	resume(4);
	resume(0);
	assert_int_equal(seen.status, FIBER_DONE);
	assert_true(seen.result == 7);
}

static void test_waiting_where_nothing_can_wait(void **arg)
{
	struct fiber *fiber;
	struct err err;

	assert_int_equal(start(*arg, "table.sort({ 1, 2 }, wait)", &fiber, &err),
		FIBER_FAILED);
	assert_non_null(strstr(err.text, "cannot wait here: inside of a callback"));
	assert_int_equal(start(*arg, "coroutine.wrap(wait)()", &fiber, &err),
		FIBER_FAILED);
	assert_non_null(strstr(err.text, "cannot wait here: not in a request"));
	assert_int_equal(start(*arg, "coroutine.yield()", &fiber, &err), FIBER_FAILED);
	assert_non_null(strstr(err.text, "without a wait"));

	push(*arg, "wait()");
	assert_int_equal(state_call(*arg, 0, 0, 50, &err), -22);
	assert_non_null(strstr(err.text, "cannot wait here: not in a request"));
}

static void test_a_wait_without_a_yield_is_taken_back(void **arg)
{
	struct fiber *fiber;

	assert_int_equal(start(*arg, "pcall(table.sort, { 1, 2 }, wait_blindly)", &fiber,
				 NULL),
		FIBER_DONE);
	assert_int_equal(seen.cancelled, 1);
}

static void test_coroutines_are_pooled(void **arg)
{
	struct fiber *fiber;
	lua_State *first;

	start(*arg, "wait()", &fiber, NULL);
	first = fiber_lua(fiber);
	resume(0);
	start(*arg, "wait() error('dropped')", &fiber, NULL);
	assert_ptr_equal(fiber_lua(fiber), first);
	resume(0);
	assert_null(fiber_lua(fiber));
	start(*arg, "return wait()", &fiber, NULL);
	resume(5);
	assert_true(seen.result == 5);
}

static void test_many_fibers(void **arg)
{
	struct fiber *fibers[1000];

	for (int i = 0; i < 1000; i++)
		start(*arg, "wait()", &fibers[i], NULL);
	assert_int_equal(fiber_count(*arg), 1000);
	size_t full = state_memory(*arg);
	for (int i = 0; i < 1000; i++)
		fiber_cancel(fibers[i]);
	lua_gc(state_lua(*arg), LUA_GCCOLLECT, 0);
	assert_true(state_memory(*arg) < full / 2);
}

static void test_fiber_is_stopped(void **arg)
{
	struct fiber *fiber;
	struct err err;
	int64_t began = clock_ms();

	assert_int_equal(
		start(*arg, "while true do pcall(function() while true do end end) end",
			&fiber, &err),
		FIBER_FAILED);
	assert_string_equal(err.text, "test:1: stopped after 50 ms of CPU time");
	assert_true(clock_ms() - began < 10000);

	/* Each resume has a budget of its own. */
	start(*arg, "for i = 1, 8 do for n = 1, 5e5 do end wait() end return 1", &fiber,
		NULL);
	for (int i = 0; i < 8; i++)
		resume(0);
	assert_int_equal(seen.status, FIBER_DONE);
}

static void test_fiber_fails_without_memory(void **arg)
{
	struct state_limits limits = state_default_limits;
	struct fiber *fiber;
	struct err err;

	(void)arg;
	limits.growth_max = (size_t)4 * 1024 * 1024;
	struct state *state = state_new(&limits);
	assert_int_equal(start(state, "local s = 'x' while true do s = s .. s end",
				 &fiber, &err),
		FIBER_FAILED);
	assert_non_null(strstr(err.text, "not enough memory: a request may use 4 MiB"));
	assert_int_equal(start(state, "local s = ('x'):rep(1e6)", &fiber, &err),
		FIBER_DONE);
	state_free(state);
}

static void test_nested_fibers(void **arg)
{
	struct fiber *fiber;
	struct err err = { "" };

	if (start(*arg,
		    "assert(nest(function() owner() end) == 1)\n"
		    "assert(nest(function() error() end) == 2)\n"
		    "assert(nest(function() wait() end) == 0)\n"
		    "owner()",
		    &fiber, &err) != FIBER_DONE)
		fail_msg("%s", err.text);
	assert_int_equal(fiber_count(*arg), 1);
	fiber_cancel(seen.fiber);

	/* The loop inside is paid for by the fiber that started it. */
	assert_int_equal(
		start(*arg, "while true do nest(function() while true do end end) end",
			&fiber, &err),
		FIBER_FAILED);
	assert_non_null(strstr(err.text, "stopped after 50 ms"));
}

static atomic_bool watcher_saw_owner;

static void *watch(void *arg)
{
	const struct state *state = arg;
	int64_t deadline = clock_ms() + 10000;

	while (!watcher_saw_owner && clock_ms() < deadline) {
		void *owner;
		int64_t since_us;

		if (fiber_running(state, &owner, &since_us) && owner == arg)
			watcher_saw_owner = since_us > 0 && since_us <= clock_us();
	}
	return NULL;
}

static void test_gives_way(void **arg)
{
	static const char text[] = "give_way() return 7";
	struct event_base *base = event_base_new();
	struct crowd crowd;
	struct fiber *fiber;

	turn = turn_new(base);
	/* Nobody else is there. */
	assert_int_equal(start(*arg, text, &fiber, NULL), FIBER_DONE);
	crowd_gather(&crowd, turn);
	assert_int_equal(start(*arg, text, &fiber, NULL), FIBER_WAITS);
	assert_int_equal(start(*arg, "table.sort({ 1, 2 }, give_way)", &fiber, NULL),
		FIBER_DONE); /* where nothing can wait */
	assert_int_equal(seen.ended, 0);
	event_base_loop(base, EVLOOP_NONBLOCK);
	assert_int_equal(seen.ended, 1);
	assert_int_equal(seen.status, FIBER_DONE);
	assert_true(seen.result == 7);
	crowd_clear(&crowd);

	crowd_gather(&crowd, turn);
	assert_int_equal(start(*arg, text, &fiber, NULL), FIBER_WAITS);
	fiber_cancel(fiber);
	crowd_clear(&crowd);
	assert_false(turn_is_crowded(turn));
	turn_free(turn);
	event_base_free(base);
}

static void test_watchdog_sees_what_runs(void **arg)
{
	struct fiber *fiber;
	pthread_t watcher;
	void *owner;
	int64_t since_us;

	assert_false(fiber_running(*arg, &owner, &since_us));
	assert_int_equal(pthread_create(&watcher, NULL, watch, *arg), 0);
	for (int64_t deadline = clock_ms() + 10000;
		!watcher_saw_owner && clock_ms() < deadline;)
		start(*arg, "for i = 1, 1e5 do end", &fiber, NULL);
	pthread_join(watcher, NULL);
	assert_true(watcher_saw_owner);
	assert_false(fiber_running(*arg, &owner, &since_us));
}

#define FIBER_TEST(name) cmocka_unit_test_setup_teardown(name, open_state, close_state)

int main(void)
{
	const struct CMUnitTest tests[] = {
		FIBER_TEST(test_returns_at_once),
		FIBER_TEST(test_fails_at_once),
		FIBER_TEST(test_waits_and_returns),
		FIBER_TEST(test_waits_and_fails),
		FIBER_TEST(test_late_completion_after_the_end),
		FIBER_TEST(test_cancel),
		FIBER_TEST(test_waiting_across_pcall_and_iterators),
		FIBER_TEST(test_waiting_where_nothing_can_wait),
		FIBER_TEST(test_a_wait_without_a_yield_is_taken_back),
		FIBER_TEST(test_coroutines_are_pooled),
		FIBER_TEST(test_many_fibers),
		FIBER_TEST(test_fiber_is_stopped),
		FIBER_TEST(test_fiber_fails_without_memory),
		FIBER_TEST(test_nested_fibers),
		FIBER_TEST(test_gives_way),
		FIBER_TEST(test_watchdog_sees_what_runs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
