/* The index against lists in memory: what is added is found from everywhere, in both
 * directions, and forgotten when it is too old. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>

#include "storage/posting.h"
#include "storage/posting_batch.h"
#include "storage/storage.h"
#include "storage_place.h"

#define KEYS 6000

static char place[128];
static struct store *store;
static uint64_t keys[KEYS];
static size_t key_count;
static uint64_t seed;

static uint64_t draw(uint64_t limit)
{
	seed = seed * 6364136223846793005 + 1442695040888963407;
	return (seed >> 20) % limit;
}

static struct index_value value(const char *text)
{
	return (struct index_value) { INDEX_TOKEN, bytes_of(text) };
}

static int write_batch(struct txn *txn, void *arg, struct err *err)
{
	(void)err;
	return posting_batch_write(arg, txn);
}

/* In batches of any size, steps of any size; another value beside it. */
static void fill(uint64_t step_max)
{
	struct posting_batch *batch = posting_batch_new();
	struct index_values both = { .count = 2, .values = { value("a"), value("ab") } };
	uint64_t last = 0;

	key_count = 0;
	while (key_count < KEYS) {
		size_t size = 1 + draw(900);

		posting_batch_reset(batch);
		for (size_t i = 0; i < size && key_count < KEYS; i++) {
			last += 1 + draw(step_max);
			both.count = 1 + key_count % 2;
			posting_batch_add(batch, &both, last);
			keys[key_count++] = last;
		}
		assert_int_equal(store_write(store, write_batch, batch, NULL), 0);
	}
	posting_batch_free(batch);
}

/* The position of the least that is not less. */
static size_t lower(uint64_t target)
{
	size_t at = 0;

	while (at < key_count && keys[at] < target)
		at++;
	return at;
}

static void assert_seek(struct posting *posting, uint64_t target, bool is_down)
{
	size_t at = lower(target);
	uint64_t found;
	int rc = posting_seek(posting, target, is_down, &found);

	if (is_down && (at == key_count || keys[at] != target))
		at--; /* SIZE_MAX where there is none */
	if (at >= key_count) {
		assert_int_equal(rc, 0);
		return;
	}
	assert_int_equal(rc, 1);
	assert_int_equal(found, keys[at]);
}

static int seek_about(struct txn *txn, void *arg, struct err *err)
{
	static struct posting posting;
	uint64_t end = keys[key_count - 1] + 10, found = 0, *step_max = arg;

	(void)err;
	posting = (struct posting) { .txn = txn, .value = value("a") };
	for (int i = 0; i < 4000; i++)
		assert_seek(&posting, draw(end), draw(2));
	for (uint64_t at = 0; at < end; at += 1 + draw(*step_max * 40))
		assert_seek(&posting, at, false);
	for (uint64_t at = end; at < end + 1; at -= 1 + draw(*step_max * 40))
		assert_seek(&posting, at, true);
	assert_seek(&posting, UINT64_MAX, false);
	assert_seek(&posting, UINT64_MAX, true);
	assert_seek(&posting, 0, false);
	assert_seek(&posting, 0, true);
	/* All of them, one after the other. */
	for (size_t i = 0; i < key_count; i++) {
		assert_int_equal(posting_seek(&posting, found + 1, false, &found), 1);
		assert_int_equal(found, keys[i]);
	}
	posting = (struct posting) { .txn = txn, .value = value("ab") };
	assert_int_equal(posting_seek(&posting, 0, false, &found), 1);
	assert_int_equal(found, keys[1]);
	posting = (struct posting) { .txn = txn, .value = value("b") };
	assert_int_equal(posting_seek(&posting, 0, false, &found), 0);
	return 0;
}

static int forget(struct txn *txn, void *arg, struct err *err)
{
	struct index_value wanted = value("a");

	(void)err;
	return posting_forget(txn, &wanted, *(uint64_t *)arg);
}

static int first_left(struct txn *txn, void *arg, struct err *err)
{
	static struct posting posting;
	int rc;

	(void)err;
	posting = (struct posting) { .txn = txn, .value = value("a") };
	rc = posting_seek(&posting, 0, false, arg);
	return rc == 1 ? 0 : rc ? rc : -ENOENT;
}

static void test_steps(uint64_t step_max)
{
	uint64_t first;

	fill(step_max);
	assert_int_equal(store_read(store, seek_about, &step_max, NULL), 0);
	assert_int_equal(store_write(store, forget, &keys[KEYS / 2], NULL), 0);
	assert_int_equal(store_read(store, first_left, &first, NULL), 0);
	/* Whole chunks. */
	assert_in_range(first, keys[KEYS / 2 - POSTING_CHUNK], keys[KEYS / 2 + 1]);
	assert_int_equal(store_write(store, forget, &keys[KEYS - 1], NULL), 0);
	assert_int_equal(store_read(store, first_left, &first, NULL), -ENOENT);
}

static void keys_that_are_close(void **state)
{
	(void)state;
	test_steps(3);
}

static void keys_that_are_far_apart(void **state)
{
	(void)state;
	test_steps((uint64_t)1 << 45);
}

static int insert_batch(struct txn *txn, void *arg, struct err *err)
{
	(void)err;
	return posting_batch_insert(arg, txn);
}

/* The keys from first to below end, each step-th of them, as either kind of writer. */
static void write_each(size_t first, size_t end, size_t step, store_fn *fn)
{
	struct posting_batch *batch = posting_batch_new();
	struct index_values both = { .count = 2, .values = { value("a"), value("ab") } };

	for (size_t i = first; i < end; i += step) {
		both.count = 1 + i % 2;
		posting_batch_add(batch, &both, keys[i]);
	}
	assert_int_equal(store_write(store, fn, batch, NULL), 0);
	posting_batch_free(batch);
}

/* The later half as it comes, the earlier one from behind, between, and in front of what is
 * there; then it goes on at the end. */
static void test_insert(uint64_t step_max)
{
	uint64_t last = 0;

	for (key_count = 0; key_count < KEYS; key_count++)
		keys[key_count] = last += 1 + draw(step_max);
	write_each(KEYS / 2, KEYS - 700, 1, write_batch);
	write_each(KEYS / 3, KEYS / 2, 2, insert_batch);
	write_each(KEYS / 3 + 1, KEYS / 2, 2, insert_batch);
	for (size_t i = 13; i-- > 0;)
		write_each(i, KEYS / 3, 13, insert_batch);
	write_each(KEYS - 700, KEYS, 1, write_batch);
	assert_int_equal(store_read(store, seek_about, &step_max, NULL), 0);
}

static void keys_come_in_front_and_between(void **state)
{
	(void)state;
	test_insert(3);
}

static void keys_that_are_far_apart_do_so_too(void **state)
{
	(void)state;
	test_insert((uint64_t)1 << 45);
}

static int write_twice(struct txn *txn, void *arg, struct err *err)
{
	int rc = posting_batch_write(arg, txn);

	(void)err;
	return rc ? rc : posting_batch_write(arg, txn);
}

static void keys_only_increase(void **state)
{
	struct posting_batch *batch = posting_batch_new();
	struct index_values one = { .count = 1, .values = { value("a") } };
	uint64_t first;

	(void)state;
	posting_batch_add(batch, &one, 7);
	assert_int_equal(store_write(store, write_twice, batch, NULL), -EBADMSG);
	assert_int_equal(store_read(store, first_left, &first, NULL), -ENOENT);
	posting_batch_free(batch);
}

static int put_damaged(struct txn *txn, void *arg, struct err *err)
{
	struct key key = { 0 };

	(void)arg;
	(void)err;
	key_u8(&key, INDEX_TOKEN);
	key_text(&key, "a", 1);
	key_u64(&key, 5);
	return table_put(txn, &index_table, key_bytes(&key), bytes_of("\x01\xff"));
}

/* Its records are lost to the index, the others are not. */
static void a_damaged_chunk_stops_nobody(void **state)
{
	struct posting_batch *batch = posting_batch_new();
	struct index_values one = { .count = 1, .values = { value("a") } };
	uint64_t first, last = 6;

	(void)state;
	assert_int_equal(store_write(store, put_damaged, NULL, NULL), 0);
	posting_batch_add(batch, &one, 7);
	assert_int_equal(store_write(store, write_batch, batch, NULL), 0);
	assert_int_equal(store_read(store, first_left, &first, NULL), -EBADMSG);
	assert_int_equal(store_write(store, forget, &last, NULL), 0);
	assert_int_equal(store_read(store, first_left, &first, NULL), 0);
	assert_int_equal(first, 7);
	posting_batch_free(batch);
}

static int setup(void **state)
{
	(void)state;
	seed = 1;
	place_make(place);
	return store_open(&store, place, &journal_layout, NULL);
}

static int teardown(void **state)
{
	(void)state;
	store_close(store);
	place_remove(place);
	return 0;
}

#define WITH_STORE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_STORE(keys_that_are_close),
		WITH_STORE(keys_that_are_far_apart),
		WITH_STORE(keys_come_in_front_and_between),
		WITH_STORE(keys_that_are_far_apart_do_so_too),
		WITH_STORE(keys_only_increase),
		WITH_STORE(a_damaged_chunk_stops_nobody),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
