/* Keys and the order in which tables have them: parts, ranges, pages, deletion. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "storage/cursor.h"
#include "storage_place.h"

static int compare_bytes(struct bytes a, struct bytes b)
{
	size_t size = a.size < b.size ? a.size : b.size;
	int order = size ? memcmp(a.data, b.data, size) : 0;

	return order ? order : (a.size > b.size) - (a.size < b.size);
}

/* -- keys ------------------------------------------------------------------------- */

static void keys_give_their_parts_back(void **state)
{
	struct key key = { 0 };
	struct bytes rest, raw;
	struct buf text = { 0 };
	uint8_t u8;
	uint16_t u16;
	uint32_t u32;
	uint64_t u64;

	(void)state;
	key_u8(&key, 7);
	key_text(&key, "a\0b\0", 4);
	key_u16(&key, 0x1234);
	key_text(&key, "", 0);
	key_u32(&key, 0xdeadbeef);
	key_u64(&key, UINT64_MAX - 1);
	key_raw(&key, "end", 3);
	rest = key_bytes(&key);
	assert_int_equal(key_take_u8(&rest, &u8), 0);
	assert_int_equal(u8, 7);
	assert_int_equal(key_take_text(&rest, &text), 0);
	assert_int_equal(buf_size(&text), 4);
	assert_memory_equal(buf_data(&text), "a\0b\0", 4);
	assert_int_equal(key_take_u16(&rest, &u16), 0);
	assert_int_equal(u16, 0x1234);
	buf_reset(&text);
	assert_int_equal(key_take_text(&rest, &text), 0);
	assert_int_equal(buf_size(&text), 0);
	assert_int_equal(key_take_u32(&rest, &u32), 0);
	assert_int_equal(u32, 0xdeadbeef);
	assert_int_equal(key_take_u64(&rest, &u64), 0);
	assert_true(u64 == UINT64_MAX - 1);
	assert_int_equal(key_take_raw(&rest, 3, &raw), 0);
	assert_memory_equal(raw.data, "end", 3);
	assert_int_equal(key_take_u8(&rest, &u8), -EBADMSG);
	buf_clear(&text);
}

static void torn_keys_have_no_parts(void **state)
{
	static const char *const torn[] = { "", "abc", "abc\0", "ab\0\1" };
	static const size_t sizes[] = { 0, 3, 4, 4 };
	struct buf text = { 0 };
	uint64_t number;

	(void)state;
	for (size_t i = 0; i < COUNT_OF(torn); i++) {
		struct bytes rest = { torn[i], sizes[i] };

		assert_int_equal(key_take_text(&rest, &text), -EBADMSG);
		rest = (struct bytes) { torn[i], sizes[i] };
		assert_int_equal(key_take_u64(&rest, &number), -EBADMSG);
	}
	buf_clear(&text);
}

static void keys_sort_as_their_values(void **state)
{
	static const struct {
		const char *text;
		size_t size;
		uint64_t number;
	} rows[] = {
		{ "", 0, UINT64_MAX },
		{ "\0", 1, 0 },
		{ "\0\xff", 2, 0 },
		{ "\1", 1, 0 },
		{ "a", 1, 255 },
		{ "a", 1, 256 },
		{ "a", 1, UINT64_MAX },
		{ "a\0", 2, 0 },
		{ "a\0\0", 3, 0 },
		{ "a\0b", 3, 0 },
		{ "a\1", 2, 0 },
		{ "ab", 2, 0 },
		{ "\xff", 1, 0 },
		{ "\xff\xff", 2, 0 },
	};
	struct key before = { 0 };

	(void)state;
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		struct key key = { 0 };

		key_text(&key, rows[i].text, rows[i].size);
		key_u64(&key, rows[i].number);
		assert_true(compare_bytes(key_bytes(&before), key_bytes(&key)) < 0);
		before = key;
	}
}

static int use_long_keys(struct txn *txn, void *arg, struct err *err)
{
	char text[KEY_MAX + 1];
	struct range range = { .prefix = { text, sizeof(text) }, .limit = 1 };
	struct key key = { 0 };
	struct cursor *cursor;
	struct bytes value;

	(void)arg;
	(void)err;
	memset(text, 'x', sizeof(text));
	assert_int_equal(cursor_open(&cursor, txn, &first_table, &range), -ENAMETOOLONG);
	key_raw(&key, text, KEY_MAX);
	assert_int_equal(table_put(txn, &first_table, key_bytes(&key), bytes_of("v")), 0);
	key_raw(&key, text, 1);
	assert_int_equal(table_put(txn, &first_table, key_bytes(&key), bytes_of("v")),
		-ENAMETOOLONG);
	/* It stays too long, whatever comes. */
	key_raw(&key, text, 0);
	key_u8(&key, 1);
	assert_int_equal(table_get(txn, &first_table, key_bytes(&key), &value),
		-ENAMETOOLONG);
	assert_int_equal(table_delete(txn, &first_table, key_bytes(&key)), -ENAMETOOLONG);
	assert_int_equal(table_put(txn, &first_table, bytes_of(""), bytes_of("v")),
		-ENAMETOOLONG);
	return 0;
}

static void keys_that_are_too_long_are_refused(void **state)
{
	struct store *store = *state;

	/* A refusal is an answer: the transaction is good. */
	assert_int_equal(store_write(store, use_long_keys, NULL, NULL), 0);
}

/* -- rows ------------------------------------------------------------------------- */

static int use_rows(struct txn *txn, void *arg, struct err *err)
{
	struct bytes value;
	uint64_t count;

	(void)arg;
	(void)err;
	assert_int_equal(table_get(txn, &first_table, bytes_of("a"), &value), -ENOENT);
	assert_int_equal(table_insert(txn, &first_table, bytes_of("a"), bytes_of("1")),
		0);
	assert_int_equal(table_insert(txn, &first_table, bytes_of("a"), bytes_of("2")),
		-EEXIST);
	assert_int_equal(table_get(txn, &first_table, bytes_of("a"), &value), 0);
	assert_memory_equal(value.data, "1", 1);
	assert_int_equal(table_put(txn, &first_table, bytes_of("a"), bytes_of("")), 0);
	assert_int_equal(table_get(txn, &first_table, bytes_of("a"), &value), 0);
	assert_int_equal(value.size, 0);
	/* In order, late, and twice. */
	assert_int_equal(table_append(txn, &first_table, bytes_of("c"), bytes_of("3")),
		0);
	assert_int_equal(table_append(txn, &first_table, bytes_of("b"), bytes_of("2")),
		0);
	assert_int_equal(table_append(txn, &first_table, bytes_of("c"), bytes_of("4")),
		0);
	assert_int_equal(table_get(txn, &first_table, bytes_of("c"), &value), 0);
	assert_memory_equal(value.data, "4", 1);
	assert_int_equal(table_count(txn, &first_table, &count), 0);
	assert_int_equal(count, 3);
	assert_int_equal(table_delete(txn, &first_table, bytes_of("a")), 0);
	assert_int_equal(table_delete(txn, &first_table, bytes_of("a")), -ENOENT);
	assert_int_equal(table_get(txn, &second_table, bytes_of("b"), &value), -ENOENT);
	assert_int_equal(table_empty(txn, &first_table), 0);
	assert_int_equal(table_count(txn, &first_table, &count), 0);
	assert_int_equal(count, 0);
	return 0;
}

static void rows_are_put_and_found(void **state)
{
	assert_int_equal(store_write(*state, use_rows, NULL, NULL), 0);
}

/* -- ranges ----------------------------------------------------------------------- */

#define ROWS 300

struct model {
	struct key keys[ROWS]; /* sorted, none twice */
	size_t count;
};

static uint32_t seed = 1;

static uint32_t roll(uint32_t below)
{
	seed = seed * 1664525u + 1013904223u;
	return (seed >> 8) % below;
}

/* Short, over three bytes, of which two are the edges: so that keys are prefixes of each
 * other, and neighbours. */
static struct key random_key(size_t size_min)
{
	static const unsigned char letters[] = { 0x00, 0x61, 0xff };
	size_t size = size_min + roll(6);
	struct key key = { 0 };

	for (size_t i = 0; i < size; i++)
		key_u8(&key, letters[roll(3)]);
	return key;
}

static int compare_keys(const void *a, const void *b)
{
	return compare_bytes(key_bytes(a), key_bytes(b));
}

static int fill(struct txn *txn, void *arg, struct err *err)
{
	struct model *model = arg;

	(void)err;
	for (int i = 0; i < ROWS; i++) {
		struct key key = random_key(1);
		int rc = table_insert(txn, &first_table, key_bytes(&key), bytes_of("v"));

		if (rc == 0)
			model->keys[model->count++] = key;
		else if (rc != -EEXIST)
			return rc;
	}
	qsort(model->keys, model->count, sizeof(model->keys[0]), compare_keys);
	return 0;
}

/* What the header says, row by row. */
static bool is_in_range(const struct range *range, struct bytes key)
{
	int from = range->from.size ? compare_bytes(key, range->from) : 0;
	int until = range->until.size ? compare_bytes(key, range->until) : 0;

	if (key.size < range->prefix.size ||
		(range->prefix.size &&
			memcmp(key.data, range->prefix.data, range->prefix.size) != 0))
		return false;
	if (range->is_down) {
		from = -from;
		until = -until;
	}
	if (range->from.size && (range->is_from_excluded ? from <= 0 : from < 0))
		return false;
	return !range->until.size || until < 0;
}

static void compare_range(struct txn *txn, const struct model *model,
	const struct range *range)
{
	struct cursor *cursor;
	struct bytes key, value;
	uint32_t count = 0;
	bool is_more = false;

	assert_int_equal(cursor_open(&cursor, txn, &first_table, range), 0);
	for (size_t i = 0; i < model->count; i++) {
		size_t at = range->is_down ? model->count - 1 - i : i;
		struct bytes wanted = key_bytes(&model->keys[at]);

		if (!is_in_range(range, wanted))
			continue;
		if (count == range->limit) {
			is_more = true;
			break;
		}
		count++;
		assert_int_equal(cursor_next(cursor, &key, &value), 1);
		assert_int_equal(compare_bytes(key, wanted), 0);
		assert_int_equal(value.size, 1);
	}
	assert_int_equal(cursor_next(cursor, &key, &value), 0);
	assert_int_equal(cursor_next(cursor, &key, &value), 0);
	if (is_more)
		assert_true(cursor_is_page_full(cursor));
	if (count < range->limit)
		assert_false(cursor_is_page_full(cursor));
	cursor_close(cursor);
}

static int compare_ranges(struct txn *txn, void *arg, struct err *err)
{
	(void)err;
	for (int i = 0; i < 5000; i++) {
		struct key prefix = { 0 }, from = { 0 }, until = { 0 };
		struct range range = { 0 };

		if (roll(2))
			prefix = random_key(0);
		if (roll(2))
			from = random_key(0);
		if (roll(3) == 0)
			until = random_key(0);
		range.prefix = key_bytes(&prefix);
		range.from = key_bytes(&from);
		range.until = key_bytes(&until);
		range.is_down = roll(2);
		range.is_from_excluded = roll(2);
		range.limit = roll(2) ? ROWS : 1 + roll(10);
		compare_range(txn, arg, &range);
	}
	return 0;
}

static void ranges_are_what_a_filter_would_find(void **state)
{
	struct model *model = xcalloc(1, sizeof(*model));

	assert_int_equal(store_write(*state, fill, model, NULL), 0);
	assert_true(model->count > 50);
	assert_int_equal(store_read(*state, compare_ranges, model, NULL), 0);
	free(model);
}

static int delete_every_second(struct txn *txn, void *arg, struct err *err)
{
	struct range range = { .limit = 1000, .is_down = *(bool *)arg };
	struct cursor *cursor;
	struct bytes key, value, rest;
	uint64_t number, count;

	(void)err;
	for (uint64_t i = 0; i < 100; i++) {
		struct key name = number_key(i);

		assert_int_equal(table_append(txn, &second_table, key_bytes(&name),
					 bytes_of("row")),
			0);
	}
	assert_int_equal(cursor_open(&cursor, txn, &second_table, &range), 0);
	for (uint64_t i = 0; i < 100; i++) {
		assert_int_equal(cursor_next(cursor, &key, &value), 1);
		rest = key;
		assert_int_equal(key_take_u64(&rest, &number), 0);
		assert_int_equal(number, range.is_down ? 99 - i : i);
		if (number % 2)
			assert_int_equal(cursor_delete(cursor), 0);
	}
	assert_int_equal(cursor_next(cursor, &key, &value), 0);
	cursor_close(cursor);
	assert_int_equal(table_count(txn, &second_table, &count), 0);
	assert_int_equal(count, 50);
	return table_empty(txn, &second_table);
}

static void rows_are_deleted_on_the_way(void **state)
{
	bool is_down = false;

	assert_int_equal(store_write(*state, delete_every_second, &is_down, NULL), 0);
	is_down = true;
	assert_int_equal(store_write(*state, delete_every_second, &is_down, NULL), 0);
}

/* Over several pages, one row late and one twice; another hand writes to the table meanwhile. */
static int append_many(struct txn *txn, void *arg, struct err *err)
{
	struct range range = { .limit = 1000 };
	struct cursor *cursor;
	struct bytes key, value;
	uint64_t number;

	(void)arg;
	(void)err;
	assert_int_equal(cursor_open(&cursor, txn, &second_table, &range), 0);
	for (uint64_t i = 0; i < 500; i++) {
		struct key name = number_key(i == 250 ? 10 : 2 * i),
			   other = number_key(i);

		assert_int_equal(cursor_append(cursor, key_bytes(&name),
					 key_bytes(&name)),
			0);
		if (i % 100 == 99)
			assert_int_equal(table_put(txn, &second_table, key_bytes(&other),
						 key_bytes(&other)),
				0);
	}
	assert_int_equal(cursor_next(cursor, &key, &value), 0);
	assert_int_equal(cursor_restart(cursor, &range), 0);
	for (uint64_t i = 0; i < 999; i++) {
		bool is_there = i % 2 ? i < 500 && i % 100 == 99 : i != 500;

		if (!is_there)
			continue;
		assert_int_equal(cursor_next(cursor, &key, &value), 1);
		assert_int_equal(compare_bytes(key, value), 0);
		assert_int_equal(key_take_u64(&key, &number), 0);
		assert_int_equal(number, i);
	}
	assert_int_equal(cursor_next(cursor, &key, &value), 0);
	cursor_close(cursor);
	return 0;
}

static void rows_are_appended_one_behind_the_other(void **state)
{
	assert_int_equal(store_write(*state, append_many, NULL, NULL), 0);
}

/* -- life ------------------------------------------------------------------------- */

static char place[128];

static int setup(void **state)
{
	struct store *store;
	struct err err;

	place_make(place);
	if (store_open(&store, place, &test_layout, &err) != 0)
		return -1;
	*state = store;
	return 0;
}

static int teardown(void **state)
{
	store_close(*state);
	place_remove(place);
	return 0;
}

#define WITH_STORE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keys_give_their_parts_back),
		cmocka_unit_test(torn_keys_have_no_parts),
		cmocka_unit_test(keys_sort_as_their_values),
		WITH_STORE(keys_that_are_too_long_are_refused),
		WITH_STORE(rows_are_put_and_found),
		WITH_STORE(ranges_are_what_a_filter_would_find),
		WITH_STORE(rows_are_deleted_on_the_way),
		WITH_STORE(rows_are_appended_one_behind_the_other),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
