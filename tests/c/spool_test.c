#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <event2/event.h>

#include "base/clock.h"
#include "base/mem.h"
#include "http/spool.h"
#include "http/spool_writer.h"

#define MIB (1024 * 1024)

struct place {
	struct event_base *base;
	struct spools *spools;
	char folder[64];
};

static void place_open(struct place *place, uint64_t memory_max, uint64_t disk_max)
{
	struct err err;

	strcpy(place->folder, "/tmp/spool-test-XXXXXX");
	assert_non_null(mkdtemp(place->folder));
	place->base = event_base_new();
	assert_int_equal(spools_open(&place->spools, place->folder, memory_max, disk_max,
				 &err),
		0);
}

/* Nothing is left: no file, no bytes in the totals once the thread has let go. */
static void place_close(struct place *place)
{
	int64_t give_up_ms = clock_ms() + 20000;

	while (atomic_load(&place->spools->memory_used) ||
		atomic_load(&place->spools->disk_used)) {
		assert_true(clock_ms() < give_up_ms);
		usleep(1000);
	}
	spools_close(place->spools);
	event_base_free(place->base);
	assert_int_equal(rmdir(place->folder), 0);
}

static char *make_body(size_t size)
{
	char *body = xmalloc(size);

	for (size_t i = 0; i < size; i++)
		body[i] = (char)(i * 2654435761u >> 11);
	return body;
}

static void check_source(struct spool *spool, const char *body, size_t size, size_t step)
{
	struct source *source = spool_source(spool);
	char *room = xmalloc(step);
	size_t at = 0;

	assert_int_equal(spool_size(spool), size);
	while (at < size) {
		ssize_t got = source->ops->read(source, at, room, step);

		assert_in_range(got, 1, step);
		assert_memory_equal(room, body + at, got);
		at += (size_t)got;
	}
	assert_int_equal(source->ops->read(source, size, room, step), 0);
	free(room);
}

static void on_ready(struct spool *spool, void *arg)
{
	(void)spool;
	(*(int *)arg)++;
}

static void wait_ready(struct place *place, struct spool *spool)
{
	int64_t give_up_ms = clock_ms() + 20000;
	int calls = 0;

	spool_when_ready(spool, on_ready, &calls);
	assert_int_equal(calls, 0);
	while (!calls) {
		assert_true(clock_ms() < give_up_ms);
		event_base_loop(place->base, EVLOOP_ONCE);
	}
	assert_int_equal(calls, 1);
}

static void test_memory(void **state)
{
	struct place place;
	struct spool *spool;
	char *body = make_body(SPOOL_MEMORY);

	(void)state;
	place_open(&place, 16 * MIB, 16 * MIB);
	spool = spool_new(place.spools, place.base);
	assert_non_null(spool_memory(spool));
	assert_int_equal(spool_append(spool, "", 0), 0);
	for (size_t at = 0; at < SPOOL_MEMORY; at += 65536)
		assert_int_equal(spool_append(spool, body + at, 65536), 0);
	assert_memory_equal(spool_memory(spool), body, SPOOL_MEMORY);
	check_source(spool, body, SPOOL_MEMORY, 100000);
	assert_false(spool_is_behind(spool));
	spool_free(spool);
	place_close(&place);
	free(body);
}

static void test_room(void **state)
{
	struct place place;
	struct spool *spool;
	char *body = make_body(SPOOL_MEMORY), *room;
	size_t size;

	(void)state;
	place_open(&place, 16 * MIB, 16 * MIB);
	spool = spool_new(place.spools, place.base);
	spool_expect(spool, SPOOL_MEMORY);
	assert_int_equal(spool_append(spool, body, 10), 0);
	for (size_t at = 10; at < SPOOL_MEMORY; at += size) {
		room = spool_room(spool, &size);
		assert_non_null(room);
		assert_in_range(size, 1, SPOOL_MEMORY - at);
		/* What is asked for and not filled is no byte of the body. */
		size = (size + 1) / 2;
		memcpy(room, body + at, size);
		spool_fill(spool, size);
		assert_int_equal(spool_size(spool), at + size);
	}
	check_source(spool, body, SPOOL_MEMORY, 100000);
	/* The next byte goes to a file. */
	assert_null(spool_room(spool, &size));
	assert_int_equal(spool_append(spool, "x", 1), 0);
	assert_null(spool_room(spool, &size));
	assert_null(spool_memory(spool));
	spool_free(spool);
	place_close(&place);
	free(body);
}

/* Returns whether the disk fell behind on the way. */
static bool write_file(const char *body, size_t size)
{
	struct place place;
	struct spool *spool;
	bool was_behind = false;
	size_t piece;

	place_open(&place, 16 * MIB, 16 * MIB);
	spool = spool_new(place.spools, place.base);
	for (size_t at = 0; at < size; at += piece) {
		piece = size - at < 50000 ? size - at : 50000;
		if (spool_is_behind(spool)) {
			was_behind = true;
			wait_ready(&place, spool);
			assert_false(spool_is_behind(spool));
		}
		assert_int_equal(spool_append(spool, body + at, piece), 0);
	}
	assert_null(spool_memory(spool));
	/* While blocks wait and when they are written, whole and in pieces. */
	check_source(spool, body, size, 65536);
	wait_ready(&place, spool);
	check_source(spool, body, size, 777777);
	assert_int_equal(spool_error(spool), 0);
	spool_free(spool);
	place_close(&place);
	return was_behind;
}

static void test_file(void **state)
{
	const size_t size = 12 * MIB + 12345;
	char *body = make_body(size);
	bool was_behind = false;

	(void)state;
	/* A disk that has nothing else to do may keep up with a test that has no time. */
	for (int i = 0; i < 10 && !was_behind; i++)
		was_behind = write_file(body, size);
	assert_true(was_behind);
	free(body);
}

static void test_totals(void **state)
{
	struct place place;
	struct spool *first, *second;
	char *body = make_body(2 * MIB);

	(void)state;
	place_open(&place, MIB, 2 * MIB);
	first = spool_new(place.spools, place.base);
	second = spool_new(place.spools, place.base);
	assert_int_equal(spool_append(first, body, MIB), 0);
	assert_non_null(spool_memory(first));
	/* The memory is used up: a file at once. */
	assert_int_equal(spool_append(second, body, MIB), 0);
	assert_null(spool_memory(second));
	check_source(second, body, MIB, MIB);
	assert_int_equal(spool_append(second, body, MIB + 1), -ENOSPC);
	assert_int_equal(spool_append(second, body + MIB, MIB), 0);
	check_source(second, body, 2 * MIB, 65536);
	assert_int_equal(spool_append(first, body, MIB), -ENOSPC);
	spool_free(second);
	spool_free(first);
	place_close(&place);
	free(body);
}

/* The disk is full (here: no file may grow past so much): what was taken stays
 * readable. */
static void test_failing_file(void **state)
{
	const size_t size = 6 * MIB;
	struct rlimit before, tight;
	struct place place;
	struct spool *spool;
	char *body = make_body(size);
	size_t taken = 0;
	int rc = 0;

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	tight = before;
	tight.rlim_cur = 3 * MIB;
	place_open(&place, 16 * MIB, 16 * MIB);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &tight), 0);
	spool = spool_new(place.spools, place.base);
	while (taken < size && (rc = spool_append(spool, body + taken, 65536)) == 0) {
		taken += 65536;
		if (spool_is_behind(spool))
			wait_ready(&place, spool);
	}
	if (rc == 0) {
		wait_ready(&place, spool);
		rc = spool_append(spool, body, 1);
	}
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
	assert_int_equal(rc, -EFBIG);
	assert_int_equal(spool_error(spool), -EFBIG);
	check_source(spool, body, taken, 65536);
	spool_free(spool);
	place_close(&place);
	free(body);
}

static void test_free_while_writing(void **state)
{
	struct place place;
	char *body = make_body(3 * MIB);

	(void)state;
	place_open(&place, 64 * MIB, 64 * MIB);
	for (int i = 0; i < 20; i++) {
		struct spool *spool = spool_new(place.spools, place.base);
		int calls = 0;

		assert_int_equal(spool_append(spool, body, 3 * MIB), 0);
		if (i % 2)
			spool_when_ready(spool, on_ready, &calls);
		if (i % 4 > 1)
			event_base_loop(place.base, EVLOOP_NONBLOCK);
		spool_free(spool);
	}
	place_close(&place);
	free(body);
}

static void test_bad_folder(void **state)
{
	struct spools *spools;
	struct err err;

	(void)state;
	assert_true(spools_open(&spools, "/nowhere/at/all", 1, 1, &err) < 0);
	assert_non_null(strstr(err.text, "/nowhere/at/all"));
	assert_true(spools_open(&spools, "/dev/null", 1, 1, &err) < 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_memory),
		cmocka_unit_test(test_room),
		cmocka_unit_test(test_file),
		cmocka_unit_test(test_totals),
		cmocka_unit_test(test_failing_file),
		cmocka_unit_test(test_free_while_writing),
		cmocka_unit_test(test_bad_folder),
	};

	return cmocka_run_group_tests_name("spool", tests, NULL, NULL);
}
