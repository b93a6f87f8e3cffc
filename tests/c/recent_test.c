/* What was seen lately: keys, expiry, forgetting, threads. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "base/clock.h"
#include "base/mem.h"
#include "storage/recent.h"

#define ENTRIES 1024
#define HOUR_MS 3600000

static uint64_t key_of(const struct recent *recent, const char *scope, const char *text)
{
	struct recent_scope made = recent_scope(recent, scope, strlen(scope));

	return recent_key(&made, text, strlen(text));
}

static void put(struct recent *recent, const char *scope, const char *text,
	const char *value, int64_t ttl_ms)
{
	recent_put(recent, key_of(recent, scope, text), value, strlen(value), ttl_ms);
}

static bool has(struct recent *recent, const char *scope, const char *text,
	const char *value)
{
	char out[RECENT_TEXT_MAX];
	size_t size = recent_get(recent, key_of(recent, scope, text), out);

	return size == strlen(value) && memcmp(out, value, size) == 0;
}

static void keeps_by_scope_and_text(void **state)
{
	struct recent *recent = recent_new(ENTRIES);

	(void)state;
	assert_true(has(recent, "a", "text", ""));
	put(recent, "a", "text", "one", HOUR_MS);
	assert_true(has(recent, "a", "text", "one"));
	assert_true(has(recent, "b", "text", ""));
	assert_true(has(recent, "", "atext", ""));
	assert_true(has(recent, "at", "ext", ""));
	put(recent, "b", "text", "two", HOUR_MS);
	put(recent, "a", "text", "three", HOUR_MS);
	assert_true(has(recent, "a", "text", "three"));
	assert_true(has(recent, "b", "text", "two"));
	recent_free(recent);
}

static void forgets_in_time(void **state)
{
	struct recent *recent = recent_new(ENTRIES);
	int64_t began = clock_tick_ms();

	(void)state;
	put(recent, "a", "soon", "x", 20);
	put(recent, "a", "late", "x", HOUR_MS);
	while (has(recent, "a", "soon", "x"))
		assert_true(clock_tick_ms() < began + 20000);
	assert_true(clock_tick_ms() >= began + 20);
	assert_true(has(recent, "a", "late", "x"));
	recent_free(recent);
}

static void keeps_no_text_that_is_too_long(void **state)
{
	struct recent *recent = recent_new(ENTRIES);
	char text[RECENT_TEXT_MAX + 2];

	(void)state;
	memset(text, 'x', sizeof(text));
	text[RECENT_TEXT_MAX + 1] = '\0';
	put(recent, "a", "text", text, HOUR_MS);
	assert_true(has(recent, "a", "text", ""));
	text[RECENT_TEXT_MAX] = '\0';
	put(recent, "a", "text", text, HOUR_MS);
	assert_true(has(recent, "a", "text", text));
	recent_free(recent);
}

/* Ten times as many as there is room for: the memory is the same, nearly all of the last
 * tenth is there, and what was used again in time as well. */
static void forgets_the_oldest_when_it_is_full(void **state)
{
	struct recent *recent = recent_new(ENTRIES);
	char text[32];
	int found = 0, old = 0;

	(void)state;
	for (int i = 0; i < 10 * ENTRIES; i++) {
		snprintf(text, sizeof(text), "text %d", i);
		put(recent, "a", text, text, HOUR_MS + i);
	}
	for (int i = 0; i < 10 * ENTRIES; i++) {
		snprintf(text, sizeof(text), "text %d", i);
		if (!has(recent, "a", text, text))
			continue;
		found++;
		old += i < 5 * ENTRIES;
	}
	assert_in_range(found, ENTRIES * 9 / 10, ENTRIES);
	assert_in_range(old, 0, ENTRIES / 20);
	recent_free(recent);
}

static _Atomic int lost;

static void *work(void *arg)
{
	struct recent *recent = arg;
	char text[32];

	for (int i = 0; i < 20000; i++) {
		snprintf(text, sizeof(text), "text %d", i % 300);
		put(recent, "a", text, text, HOUR_MS);
		lost += !has(recent, "a", text, text);
	}
	return NULL;
}

static void serves_threads(void **state)
{
	struct recent *recent = recent_new(64 * ENTRIES); /* no five keys of one group */
	pthread_t threads[4];

	(void)state;
	for (size_t i = 0; i < COUNT_OF(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, work, recent), 0);
	for (size_t i = 0; i < COUNT_OF(threads); i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(lost, 0);
	recent_free(recent);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keeps_by_scope_and_text),
		cmocka_unit_test(forgets_in_time),
		cmocka_unit_test(keeps_no_text_that_is_too_long),
		cmocka_unit_test(forgets_the_oldest_when_it_is_full),
		cmocka_unit_test(serves_threads),
	};

	if (sodium_init() < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
