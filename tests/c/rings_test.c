/* Several rings read as one: by time, and nothing is lost where the reader stops between. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "storage/rings.h"

#define SIZE 4096

static bool push(struct rings *rings, size_t place, int64_t time)
{
	void *at = ring_reserve(rings_at(rings, place), sizeof(time));

	if (!at)
		return false;
	memcpy(at, &time, sizeof(time));
	ring_commit(rings_at(rings, place), sizeof(time));
	return true;
}

static void assert_next(struct rings *rings, int64_t time)
{
	struct bytes message;
	int64_t seen;

	assert_true(rings_read(rings, &message));
	memcpy(&seen, message.data, sizeof(seen));
	assert_int_equal(seen, time);
}

static void the_earliest_comes_first(void **state)
{
	struct rings *rings = rings_new(3, SIZE);
	struct bytes message;

	(void)state;
	rings_look(rings);
	assert_false(rings_read(rings, &message));
	/* Ring after ring, and one whose own are not in order. */
	assert_true(push(rings, 0, 10) && push(rings, 0, 40) && push(rings, 0, 50));
	assert_true(push(rings, 1, -5) && push(rings, 1, 60));
	assert_true(push(rings, 2, 30) && push(rings, 2, 20));
	rings_look(rings);
	assert_next(rings, -5);
	assert_next(rings, 10);
	assert_next(rings, 30);
	assert_next(rings, 20);
	assert_next(rings, 40);
	assert_next(rings, 50);
	assert_next(rings, 60);
	assert_false(rings_read(rings, &message));
	rings_release(rings);
	assert_int_equal(rings_fullest(rings), 0);
	rings_free(rings);
}

/* What was seen at the front of a ring and not read is still there after the release. */
static void reading_may_stop_between(void **state)
{
	struct rings *rings = rings_new(2, SIZE);
	int64_t written = 0, read = 0;

	(void)state;
	for (int round = 0; round < 1000; round++) {
		for (; written < read + 100; written++)
			assert_true(push(rings, (size_t)(written % 3 == 0), written));
		rings_look(rings);
		for (int i = 0; i < 93; i++)
			assert_next(rings, read++);
		rings_release(rings);
	}
	assert_int_equal(rings_dropped(rings), 0);
	rings_free(rings);
}

static void what_finds_no_room_is_counted(void **state)
{
	struct rings *rings = rings_new(2, SIZE);
	uint64_t pushed[2] = { 0 };

	(void)state;
	for (size_t place = 0; place < 2; place++) {
		while (push(rings, place, 1))
			pushed[place]++;
	}
	assert_int_equal(rings_dropped(rings), 2);
	assert_in_range(rings_fullest(rings), SIZE / 2, SIZE);
	rings_look(rings);
	for (uint64_t i = 0; i < pushed[0] + pushed[1]; i++)
		assert_next(rings, 1);
	rings_free(rings);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_earliest_comes_first),
		cmocka_unit_test(reading_may_stop_between),
		cmocka_unit_test(what_finds_no_room_is_counted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
