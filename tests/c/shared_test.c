/* Shared values: kinds, expiry, limits, swaps, memory, threads. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "storage/shared.h"

#define SOON_MS 500 /* a time within which even a busy machine does the next few lines */
#define PATIENCE_MS 20000

static const struct shared_value none = { 0 };
static const struct shared_value seven = { .kind = SHARED_NUMBER, .number = 7 };
static const struct shared_value yes = { .kind = SHARED_BOOLEAN, .number = 1 };
static const struct shared_value text = {
	.kind = SHARED_TEXT,
	.text = "text",
	.text_size = 4,
};

static int set(struct shared *shared, const char *key, const struct shared_value *value,
	int64_t ttl_ms)
{
	return shared_set(shared, key, strlen(key), value, ttl_ms);
}

static enum shared_kind kind_of(struct shared *shared, const char *key)
{
	struct shared_value value = shared_get(shared, key, strlen(key));

	free((char *)value.text);
	return value.kind;
}

static void values_are_kept(void **state)
{
	struct shared *shared = shared_new(1 << 20);
	struct shared_value value;

	(void)state;
	assert_int_equal(kind_of(shared, "a"), SHARED_NONE);
	assert_int_equal(set(shared, "a", &seven, 0), 0);
	assert_true(shared_get(shared, "a", 1).number == 7);
	assert_int_equal(set(shared, "a", &yes, 0), 0);
	assert_int_equal(kind_of(shared, "a"), SHARED_BOOLEAN);
	assert_int_equal(set(shared, "a", &text, 0), 0);
	value = shared_get(shared, "a", 1);
	assert_int_equal(value.text_size, 4);
	assert_memory_equal(value.text, "text", 4);
	free((char *)value.text);
	assert_int_equal(set(shared, "a", &none, 0), 0);
	assert_int_equal(kind_of(shared, "a"), SHARED_NONE);
	shared_free(shared);
}

static void entries_expire(void **state)
{
	struct shared *shared = shared_new(1 << 20);
	int64_t until = clock_ms() + PATIENCE_MS;
	double sum;

	(void)state;
	assert_int_equal(set(shared, "a", &seven, SOON_MS), 0);
	assert_int_equal(shared_add(shared, "a", 1, 1, 60000, NAN, &sum), 0);
	assert_true(sum == 8); /* and the expiry stays what it was */
	while (kind_of(shared, "a") != SHARED_NONE)
		assert_true(clock_ms() < until);
	assert_int_equal(shared_add(shared, "a", 1, 1, 60000, NAN, &sum), 0);
	assert_true(sum == 1);
	shared_free(shared);
}

static void sums_have_limits(void **state)
{
	struct shared *shared = shared_new(1 << 20);
	double sum = 0;

	(void)state;
	assert_int_equal(shared_add(shared, "n", 1, 2, 0, 3, &sum), 0);
	assert_int_equal(shared_add(shared, "n", 1, 2, 0, 3, &sum), -EDQUOT);
	assert_int_equal(shared_add(shared, "n", 1, 1, 0, 3, &sum), 0);
	assert_true(sum == 3);
	assert_int_equal(shared_add(shared, "new", 3, 4, 0, 3, &sum), -EDQUOT);
	assert_int_equal(kind_of(shared, "new"), SHARED_NONE);
	assert_int_equal(set(shared, "t", &text, 0), 0);
	assert_int_equal(shared_add(shared, "t", 1, 1, 0, NAN, &sum), -EINVAL);
	shared_free(shared);
}

static void swaps_compare(void **state)
{
	struct shared *shared = shared_new(1 << 20);

	(void)state;
	assert_int_equal(shared_swap(shared, "s", 1, &seven, &text, 0), 0);
	assert_int_equal(shared_swap(shared, "s", 1, &none, &text, 0), 1);
	assert_int_equal(shared_swap(shared, "s", 1, &none, &seven, 0), 0);
	assert_int_equal(shared_swap(shared, "s", 1, &text, &seven, 0), 1);
	assert_int_equal(shared_swap(shared, "s", 1, &seven, &none, 0), 1);
	assert_int_equal(kind_of(shared, "s"), SHARED_NONE);
	shared_free(shared);
}

static void memory_has_an_end(void **state)
{
	struct shared *shared = shared_new(20000);
	int64_t until = clock_ms() + PATIENCE_MS;
	char key[32];
	int count = 0, rc;
	double sum;

	(void)state;
	do {
		snprintf(key, sizeof(key), "key %d", count++);
		rc = set(shared, key, &text, SOON_MS);
	} while (rc == 0 && count < 1000);
	assert_int_equal(rc, -ENOSPC);
	assert_in_range(count, 20, 200);
	/* What is there may change. */
	assert_int_equal(set(shared, "key 0", &seven, SOON_MS), 0);
	while (shared_add(shared, "new", 3, 1, 0, NAN, &sum) == -ENOSPC)
		assert_true(clock_ms() < until);
	for (int i = 0; i < 40; i++) {
		snprintf(key, sizeof(key), "key %d", i);
		while (set(shared, key, &text, 0) == -ENOSPC)
			assert_true(clock_ms() < until);
	}
	shared_free(shared);
}

static void sizes_have_limits(void **state)
{
	struct shared *shared = shared_new(1 << 24);
	char *large = calloc(1, SHARED_TEXT_MAX + 1);
	struct shared_value value = { .kind = SHARED_TEXT, .text = large };

	(void)state;
	value.text_size = SHARED_TEXT_MAX + 1;
	assert_int_equal(set(shared, "a", &value, 0), -EMSGSIZE);
	value.text_size = SHARED_TEXT_MAX;
	assert_int_equal(set(shared, "a", &value, 0), 0);
	assert_int_equal(shared_set(shared, large, SHARED_KEY_MAX + 1, &seven, 0),
		-EMSGSIZE);
	assert_int_equal(shared_set(shared, large, SHARED_KEY_MAX, &seven, 0), 0);
	free(large);
	shared_free(shared);
}

static void *count_up(void *arg)
{
	char key[16];
	double sum;

	for (int i = 0; i < 20000; i++) {
		snprintf(key, sizeof(key), "%d", i % 10);
		if (shared_add(arg, key, strlen(key), 1, 0, NAN, &sum) != 0)
			abort();
	}
	return NULL;
}

static void threads_count_together(void **state)
{
	struct shared *shared = shared_new(1 << 20);
	pthread_t threads[4];
	double total = 0;
	char key[16];

	(void)state;
	for (int i = 0; i < 4; i++)
		pthread_create(&threads[i], NULL, count_up, shared);
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	for (int i = 0; i < 10; i++) {
		snprintf(key, sizeof(key), "%d", i);
		total += shared_get(shared, key, strlen(key)).number;
	}
	assert_true(total == 80000);
	shared_free(shared);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(values_are_kept),
		cmocka_unit_test(entries_expire),
		cmocka_unit_test(sums_have_limits),
		cmocka_unit_test(swaps_compare),
		cmocka_unit_test(memory_has_an_end),
		cmocka_unit_test(sizes_have_limits),
		cmocka_unit_test(threads_count_together),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
