/* collector_test.c - when a state collects its garbage: between runs, as much as they leave. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include <lauxlib.h>

#include "script/state.h"

#define KIB ((size_t)1024)
#define MIB (1024 * KIB)

struct told {
	int count;
};

static void on_garbage(void *arg)
{
	struct told *told = arg;

	told->count++;
}

static void run(struct state *state, const char *text)
{
	lua_State *L = state_lua(state);
	struct err err = { "" };

	assert_int_equal(luaL_loadbuffer(L, text, strlen(text), "=test"), 0);
	if (state_call(state, 0, 0, 0, &err) != 0)
		fail_msg("%s", err.text);
}

/* Some 30 KiB in 400 objects, of which nothing stays. */
static void leave_garbage(struct state *state)
{
	run(state, "for i = 1, 200 do local t = { i } t[1] = { t } end");
}

static void test_garbage_is_collected_between_runs(void **arg)
{
	struct state *state = state_new(&state_default_limits);
	size_t before = state_memory(state), most = 0;

	(void)arg;
	for (int i = 0; i < 1000; i++) { /* 30 MiB */
		leave_garbage(state);
		most = state_memory(state) > most ? state_memory(state) : most;
	}
	assert_true(most > before + MIB);
	assert_true(most < before + 2 * MIB);
	state_free(state);
}

/* A worker takes its steps from the loop, behind what was sent. */
static void test_who_wants_to_is_told(void **arg)
{
	struct state *state = state_new(&state_default_limits);
	size_t before = state_memory(state), most;
	struct told told = { 0 };
	int steps = 0;

	(void)arg;
	state_on_garbage(state, on_garbage, &told);
	leave_garbage(state);
	assert_int_equal(told.count, 0);
	while (!told.count) {
		leave_garbage(state);
		assert_true(state_memory(state) < before + 2 * MIB);
	}
	most = state_memory(state);
	assert_true(most > before + MIB);
	while (state_memory(state) > most - MIB / 2 && steps++ < 1000) {
		run(state, "local t = {}");
		state_collect(state);
	}
	assert_true(steps > 1); /* in more than one */
	assert_true(steps < 1000);
	state_free(state);
}

/* Nothing is walked through a hundred times because it is large. */
static void test_more_garbage_is_left_where_much_is_alive(void **arg)
{
	struct state *state = state_new(&state_default_limits);
	struct told told = { 0 };
	size_t before;

	(void)arg;
	run(state, "kept = {} for i = 1, 60000 do kept[i] = { i } end"); /* 5 MiB */
	lua_gc(state_lua(state), LUA_GCCOLLECT, 0);
	/* One collection, so that the next one is set by what is alive. */
	before = state_memory(state);
	for (int i = 0; i < 400; i++)
		leave_garbage(state);
	state_on_garbage(state, on_garbage, &told);
	while (!told.count)
		leave_garbage(state);
	assert_true(state_memory(state) > before + 2 * MIB);
	state_free(state);
}

/* A run that leaves more than twice of what a collection waits for, as loading does, does not
 * hand all that follows over to LuaJIT's own collections. */
static void test_a_run_that_leaves_much_changes_nothing(void **arg)
{
	struct state *state = state_new(&state_default_limits);
	struct told told = { 0 };
	size_t most;

	(void)arg;
	run(state, "kept = {} for i = 1, 60000 do kept[i] = { i } end"); /* 5 MiB */
	most = state_memory(state) + 4 * MIB;
	state_on_garbage(state, on_garbage, &told);
	run(state, "kept = nil");
	for (int i = 0; i < 1000; i++) {
		int before = told.count;

		leave_garbage(state);
		if (told.count != before)
			state_collect(state);
		assert_true(state_memory(state) < most);
	}
	assert_true(told.count > 10); /* steps */
	state_free(state);
}

/* A run that allocates much more than there is does not wait for its end. */
static void test_a_long_run_is_collected_on_its_way(void **arg)
{
	struct state *state = state_new(&state_default_limits);
	struct told told = { 0 };

	(void)arg;
	state_on_garbage(state, on_garbage, &told);
	/* 150 MiB: more than a run may grow by. */
	run(state, "for i = 1, 1000000 do local t = { i, i } t[1] = { i } end");
	assert_true(state_memory(state) < 8 * MIB);
	state_free(state);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_garbage_is_collected_between_runs),
		cmocka_unit_test(test_who_wants_to_is_told),
		cmocka_unit_test(test_more_garbage_is_left_where_much_is_alive),
		cmocka_unit_test(test_a_run_that_leaves_much_changes_nothing),
		cmocka_unit_test(test_a_long_run_is_collected_on_its_way),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
