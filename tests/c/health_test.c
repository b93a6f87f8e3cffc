/* Resting, disabled, probed, counted: one entry for all who ask. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <string.h>

#include "base/clock.h"
#include "storage/health.h"

#define SOON_MS 500 /* a time within which even a busy machine does the next few lines */
#define PATIENCE_MS 20000

static void names_are_bytes(void **state)
{
	struct health *one = health_of("key\0openai\0a", 12);

	(void)state;
	assert_ptr_equal(health_of("key\0openai\0a", 12), one);
	assert_ptr_not_equal(health_of("key\0openai\0b", 12), one);
	assert_int_equal(health_look(one).state, HEALTH_READY);
	assert_true(health_is_ready(one, clock_ms()));
}

static void a_rest_is_over_by_itself(void **state)
{
	struct health *health = health_of("rest", 4);
	struct health_view view;
	int64_t until = clock_ms() + PATIENCE_MS;

	(void)state;
	health_rest(health, SOON_MS, "429 from the provider");
	view = health_look(health);
	assert_int_equal(view.state, HEALTH_RESTING);
	assert_int_equal(view.rests, 1);
	assert_string_equal(view.why, "429 from the provider");
	assert_false(health_is_ready(health, clock_ms()));
	assert_false(health_probe(health));
	assert_true(health_is_ready(health, view.until_ms));
	/* The same trouble, reported by another attempt. */
	health_rest(health, 10, "shorter");
	assert_int_equal(health_look(health).rests, 1);
	assert_int_equal(health_look(health).until_ms, view.until_ms);
	while (!health_is_ready(health, clock_ms()))
		assert_true(clock_ms() < until);
	assert_int_equal(health_look(health).state, HEALTH_READY);
	assert_false(health_is_well(health));
	assert_true(health_probe(health));
	assert_false(health_probe(health));
	health_rest(health, 60000, "again");
	assert_int_equal(health_look(health).rests, 2);
	health_well(health, clock_us());
	assert_int_equal(health_rests(health), 0);
	assert_true(health_is_well(health));
	assert_true(health_is_ready(health, clock_ms()));
	assert_false(health_probe(health));
}

static void a_disabled_one_is_probed(void **state)
{
	struct health *health = health_of("disabled", 8);
	int64_t until = clock_ms() + PATIENCE_MS;

	(void)state;
	health_disable(health, SOON_MS, "401");
	health_rest(health, 1, "late");
	assert_int_equal(health_look(health).state, HEALTH_DISABLED);
	assert_int_equal(health_look(health).probe_ms, SOON_MS);
	while (!health_probe(health))
		assert_true(clock_ms() < until);
	assert_false(health_probe(health));
	assert_false(health_is_ready(health, clock_ms()));
	health_disable(health, 0, "for ever");
	assert_false(health_probe(health));
	assert_int_equal(health_look(health).until_ms, 0);
	health_well(health, clock_us());
	assert_true(health_is_ready(health, clock_ms()));
}

static void failures_count_until_a_success(void **state)
{
	struct health *health = health_of("fails", 5);
	int64_t now = clock_us();

	(void)state;
	assert_true(health_is_well(health));
	assert_int_equal(health_fail(health, now, 60000), 1);
	assert_int_equal(health_fail(health, now + 5, 60000), 2);
	assert_false(health_is_well(health));
	assert_true(health_is_ready(health, clock_ms()));
	/* An answer from before the last failure, and then one from after it. */
	health_well(health, now + 4);
	assert_false(health_is_well(health));
	assert_int_equal(health_fail(health, now + 6, 60000), 3);
	health_well(health, now + 10);
	assert_true(health_is_well(health));
	/* A failure from before that answer is no news. */
	assert_int_equal(health_fail(health, now + 9, 60000), 0);
	assert_true(health_is_well(health));
	assert_int_equal(health_fail(health, now + 11, 60000), 1);
	/* What ends a rest has to be newer, too. */
	health_rest(health, 60000, "failed");
	health_well(health, now + 10);
	assert_int_equal(health_look(health).state, HEALTH_RESTING);
	health_well(health, now + 12);
	assert_int_equal(health_look(health).state, HEALTH_READY);
	assert_true(health_is_well(health));
}

static void failures_are_forgotten_after_their_window(void **state)
{
	struct health *health = health_of("window", 6);
	int64_t now = clock_us(), until = clock_ms() + PATIENCE_MS, end;

	(void)state;
	assert_int_equal(health_fail(health, now, SOON_MS), 1);
	assert_int_equal(health_fail(health, now, 60000), 2);
	end = clock_ms() + SOON_MS + 1;
	while (clock_ms() < end)
		assert_true(clock_ms() < until);
	assert_int_equal(health_fail(health, now, 60000), 1);
	assert_int_equal(health_fail(health, now, 60000), 2);
}

#define MINUTE_MS (60 * 1000)

static void latency_rises_at_once_and_falls_with_time(void **state)
{
	struct health *health = health_of("latency", 7);
	int64_t now = clock_ms();
	double at_once, later;

	(void)state;
	assert_true(health_latency_at(health, now) == 0);
	health_latency(health, 100, now);
	health_latency(health, 500, now);
	assert_true(health_latency_at(health, now) == 500);
	/* Many faster ones at the same moment stand for no time, and change nothing. */
	for (int i = 0; i < 1000; i++)
		health_latency(health, 100, now);
	at_once = health_latency_at(health, now);
	assert_true(at_once == 500);
	for (int second = 1; second <= 60; second++)
		health_latency(health, 100, now + second * 1000);
	later = health_latency_at(health, now + MINUTE_MS);
	assert_true(later > 200 && later < 300);
	/* How often it was asked in a minute makes no great difference. */
	health = health_of("latency, seldom", 15);
	health_latency(health, 500, now);
	health_latency(health, 100, now + MINUTE_MS);
	assert_true(health_latency_at(health, now + MINUTE_MS) > later - 50);
	assert_true(health_latency_at(health, now + MINUTE_MS) < later + 50);
}

static void latency_is_forgotten_where_nobody_asks(void **state)
{
	struct health *health = health_of("forgotten", 9);
	int64_t now = clock_ms();

	(void)state;
	health_latency(health, 5000, now);
	assert_true(health_latency_at(health, now + MINUTE_MS) > 4000);
	assert_true(health_latency_at(health, now + 30 * MINUTE_MS) < 500);
	/* The next one is a peak again. */
	health_latency(health, 4000, now + 30 * MINUTE_MS);
	assert_true(health_latency_at(health, now + 30 * MINUTE_MS) == 4000);
}

static void *use(void *arg)
{
	for (int i = 0; i < 20000; i++) {
		health_begin(arg);
		health_latency(arg, i, clock_ms());
		if (i % 100 == 0)
			health_rest(arg, 0, "rest");
		(void)health_look(arg);
		health_well(arg, clock_us());
		health_end(arg);
	}
	return NULL;
}

static void threads_count_together(void **state)
{
	struct health *health = health_of("threads", 7);
	pthread_t threads[4];

	(void)state;
	for (int i = 0; i < 4; i++)
		pthread_create(&threads[i], NULL, use, health);
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(health_in_flight(health), 0);
	assert_int_equal(health_look(health).uses, 80000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_are_bytes),
		cmocka_unit_test(a_rest_is_over_by_itself),
		cmocka_unit_test(a_disabled_one_is_probed),
		cmocka_unit_test(failures_count_until_a_success),
		cmocka_unit_test(failures_are_forgotten_after_their_window),
		cmocka_unit_test(latency_rises_at_once_and_falls_with_time),
		cmocka_unit_test(latency_is_forgotten_where_nobody_asks),
		cmocka_unit_test(threads_count_together),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
