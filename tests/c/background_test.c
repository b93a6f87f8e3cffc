/* Giving way: a thread that waits for the processor is let in between two steps, for a while. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "base/background.h"
#include "base/clock.h"

#define STEPS \
	3200 /* some microseconds of them, a hundredth of what Linux calls a slice */
#define WINDOW_US 10000
#define TRIES 50

static atomic_ulong turns; /* of the thread that waits */
static atomic_bool is_over;

static void *wait_for_the_processor(void *arg)
{
	(void)arg;
	while (!atomic_load(&is_over))
		atomic_fetch_add(&turns, 1);
	return NULL;
}

static void open_story(pthread_t *thread)
{
	cpu_set_t one;

	CPU_ZERO(&one);
	CPU_SET((size_t)sched_getcpu(), &one);
	assert_int_equal(sched_setaffinity(0, sizeof(one), &one), 0);
	atomic_store(&is_over, false);
	assert_int_equal(pthread_create(thread, NULL, wait_for_the_processor, NULL), 0);
	while (!atomic_load(&turns))
		sched_yield();
}

static void close_story(pthread_t thread)
{
	atomic_store(&is_over, true);
	pthread_join(thread, NULL);
}

static bool others_had_a_turn(void)
{
	unsigned long before = atomic_load(&turns);

	for (int i = 0; i < STEPS; i++)
		background_step();
	return atomic_load(&turns) != before;
}

static void who_waits_comes_between_steps(void **state)
{
	pthread_t thread;
	int lucky = 0;

	(void)state;
	open_story(&thread);
	for (int i = 0; i < TRIES; i++) {
		background_begin_steps();
		lucky += others_had_a_turn();
	}
	close_story(thread);
	/* A slice that ends by itself gives a turn as well, but seldom. */
	assert_in_range(lucky, TRIES / 2, TRIES);
}

static void after_a_while_work_goes_on_to_its_end(void **state)
{
	pthread_t thread;
	int64_t over_us;
	int lucky = 0;

	(void)state;
	open_story(&thread);
	background_begin_steps();
	for (over_us = clock_us() + WINDOW_US; clock_us() < over_us;)
		;
	for (int i = 0; i < TRIES; i++)
		lucky += others_had_a_turn();
	close_story(thread);
	assert_in_range(lucky, 0, TRIES / 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(who_waits_comes_between_steps),
		cmocka_unit_test(after_a_while_work_goes_on_to_its_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
