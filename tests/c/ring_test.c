/* The ring between two threads: what goes in comes out, in order, or is counted. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>

#include "storage/ring.h"

#define SIZE 4096

static bool push(struct ring *ring, unsigned char byte, size_t size)
{
	unsigned char *at = ring_reserve(ring, size);

	if (!at)
		return false;
	assert_int_equal((uintptr_t)at % 8, 0);
	memset(at, byte, size);
	ring_commit(ring, size);
	return true;
}

static void assert_next(struct ring *ring, unsigned char byte, size_t size)
{
	struct bytes message;

	assert_true(ring_read(ring, &message));
	assert_int_equal(message.size, size);
	for (size_t i = 0; i < size; i++)
		assert_int_equal(((const unsigned char *)message.data)[i], byte);
}

static void messages_come_out_in_order(void **state)
{
	struct ring *ring = ring_new(SIZE);
	struct bytes message;

	(void)state;
	assert_false(ring_read(ring, &message));
	/* Every size at every place, many times around. */
	for (size_t i = 0; i < 20000; i++) {
		assert_true(push(ring, (unsigned char)i, i % 700));
		assert_true(push(ring, (unsigned char)(i + 1), i % 3));
		assert_next(ring, (unsigned char)i, i % 700);
		assert_next(ring, (unsigned char)(i + 1), i % 3);
		assert_false(ring_read(ring, &message));
		ring_release(ring);
		assert_int_equal(ring_used(ring), 0);
	}
	assert_int_equal(ring_dropped(ring), 0);
	ring_free(ring);
}

static void what_finds_no_room_is_counted(void **state)
{
	struct ring *ring = ring_new(SIZE);
	size_t count = 0;

	(void)state;
	assert_null(ring_reserve(ring, SIZE));
	assert_null(ring_reserve(ring, SIZE_MAX));
	assert_int_equal(ring_dropped(ring), 2);
	while (push(ring, 7, 92))
		count++;
	assert_int_equal(count, SIZE / 104);
	assert_int_equal(ring_dropped(ring), 3);
	assert_in_range(ring_used(ring), SIZE - 104, SIZE);
	/* Read is not yet released. */
	assert_next(ring, 7, 92);
	assert_false(push(ring, 7, 92));
	ring_release(ring);
	assert_true(push(ring, 8, 92));
	for (size_t i = 1; i < count; i++)
		assert_next(ring, 7, 92);
	assert_next(ring, 8, 92);
	ring_free(ring);
}

static void a_message_takes_what_it_has_become(void **state)
{
	struct ring *ring = ring_new(SIZE);

	(void)state;
	for (int i = 0; i < 40; i++) {
		char *at = ring_reserve(ring, 200);

		assert_non_null(at);
		memset(at, 'x', 80);
		ring_commit(ring, 80);
	}
	assert_int_equal(ring_used(ring), 40 * 88);
	/* What is not committed never was. */
	assert_non_null(ring_reserve(ring, 300));
	for (int i = 0; i < 40; i++)
		assert_next(ring, 'x', 80);
	assert_false(ring_read(ring, &(struct bytes) { 0 }));
	ring_free(ring);
}

/* -- two threads ------------------------------------------------------------------ */

#define MESSAGES 200000

static void *write_all(void *arg)
{
	struct ring *ring = arg;

	for (uint32_t i = 0; i < MESSAGES; i++) {
		uint32_t *at = ring_reserve(ring, 256);

		if (!at) {
			sched_yield();
			continue;
		}
		for (uint32_t j = 0; j <= i % 64; j++)
			at[j] = i;
		ring_commit(ring, (i % 64 + 1) * 4);
	}
	return NULL;
}

static void two_threads_lose_nothing_uncounted(void **state)
{
	struct ring *ring = ring_new(SIZE);
	uint64_t received = 0, next = 0;
	struct bytes message;
	pthread_t writer;

	(void)state;
	assert_int_equal(pthread_create(&writer, NULL, write_all, ring), 0);
	while (received + ring_dropped(ring) < MESSAGES) {
		assert_in_range(ring_used(ring), 0, SIZE);
		while (ring_read(ring, &message)) {
			const uint32_t *numbers = message.data;

			assert_true(numbers[0] >= next);
			next = numbers[0] + 1;
			assert_int_equal(message.size, (numbers[0] % 64 + 1) * 4);
			for (size_t i = 0; i < message.size / 4; i++)
				assert_int_equal(numbers[i], numbers[0]);
			received++;
		}
		ring_release(ring);
		sched_yield();
	}
	pthread_join(writer, NULL);
	assert_true(received > 0);
	assert_false(ring_read(ring, &message));
	ring_free(ring);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(messages_come_out_in_order),
		cmocka_unit_test(what_finds_no_room_is_counted),
		cmocka_unit_test(a_message_takes_what_it_has_become),
		cmocka_unit_test(two_threads_lose_nothing_uncounted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
