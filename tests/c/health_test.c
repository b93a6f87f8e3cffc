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
	int64_t until = clock_ms() + 5000;

	(void)state;
	health_rest(health, 30, "429 from the provider");
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
	assert_true(health_probe(health));
	assert_false(health_probe(health));
	health_rest(health, 60000, "again");
	assert_int_equal(health_look(health).rests, 2);
	health_well(health);
	assert_int_equal(health_look(health).rests, 0);
	assert_true(health_is_ready(health, clock_ms()));
	assert_false(health_probe(health));
}

static void a_disabled_one_is_probed(void **state)
{
	struct health *health = health_of("disabled", 8);
	int64_t until = clock_ms() + 5000;

	(void)state;
	health_disable(health, 20, "401");
	health_rest(health, 1, "late");
	assert_int_equal(health_look(health).state, HEALTH_DISABLED);
	assert_int_equal(health_look(health).probe_ms, 20);
	while (!health_probe(health))
		assert_true(clock_ms() < until);
	assert_false(health_probe(health));
	assert_false(health_is_ready(health, clock_ms()));
	health_disable(health, 0, "for ever");
	assert_false(health_probe(health));
	assert_int_equal(health_look(health).until_ms, 0);
	health_well(health);
	assert_true(health_is_ready(health, clock_ms()));
}

static void latency_rises_at_once_and_falls_slowly(void **state)
{
	struct health *health = health_of("latency", 7);
	double latency;

	(void)state;
	health_latency(health, 100);
	health_latency(health, 500);
	assert_true(health_look(health).latency_ms == 500);
	health_latency(health, 100);
	latency = health_look(health).latency_ms;
	assert_true(latency < 500 && latency > 400);
}

static void *use(void *arg)
{
	for (int i = 0; i < 20000; i++) {
		health_begin(arg);
		health_latency(arg, i);
		if (i % 100 == 0)
			health_rest(arg, 0, "rest");
		(void)health_look(arg);
		health_well(arg);
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
		cmocka_unit_test(latency_rises_at_once_and_falls_slowly),
		cmocka_unit_test(threads_count_together),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
