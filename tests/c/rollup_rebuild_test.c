/* Sums made anew from records are what they were: row by row, while records are written,
 * after a kill, and not where records are gone. */
#include "rollup_world.h"
#include "journal_world.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "storage/rollup_rebuild.h"

#define STEP_US 110000000
#define COUNT 3000 /* nearly four days */

/* -- doing ------------------------------------------------------------------------ */

struct span {
	int64_t from_s;
	int64_t until_s;
	struct err err;
};

static int begin(struct txn *txn, void *arg, struct err *err)
{
	struct span *span = arg;

	(void)err;
	return rollup_rebuild_begin(txn, span->from_s, span->until_s, &span->err);
}

struct stepping {
	int64_t now_s;
	int is_more;
};

static int step(struct txn *txn, void *arg, struct err *err)
{
	struct stepping *stepping = arg;

	(void)err;
	stepping->is_more = rollup_rebuild_step(txn, stepping->now_s);
	return stepping->is_more < 0 ? stepping->is_more : 0;
}

static void begin_all(void)
{
	struct span span = { .from_s = 0, .until_s = WORLD_START_S + 1000 * 86400 };

	assert_int_equal(store_write(store, begin, &span, NULL), 0);
}

static bool step_once(void)
{
	struct stepping stepping = { .now_s = last_second(store) };

	assert_int_equal(store_write(store, step, &stepping, NULL), 0);
	return stepping.is_more;
}

/* Returns how many transactions it took. */
static int rebuild_all(void)
{
	int steps = 1;

	begin_all();
	while (step_once())
		steps++;
	return steps;
}

struct dump {
	struct buf rows;
	uint8_t least_span;
};

static int dump_row(struct bytes key, struct bytes value, void *arg)
{
	struct dump *dump = arg;

	if (*(const uint8_t *)key.data < dump->least_span)
		return 0;
	buf_append(&dump->rows, key.data, key.size);
	buf_append(&dump->rows, value.data, value.size);
	return 0;
}

static int dump_rows(struct txn *txn, void *arg, struct err *err)
{
	(void)err;
	return rollup_each(txn, (struct bytes) { 0 }, dump_row, arg);
}

/* All rows from a span on. */
static struct buf dump_from(uint8_t span)
{
	struct dump dump = { .least_span = span };

	assert_int_equal(store_read(store, dump_rows, &dump, NULL), 0);
	return dump.rows;
}

static void assert_same_rows(struct buf *wanted)
{
	struct buf found = dump_from(ROLLUP_STATE);

	assert_int_equal(buf_size(&found), buf_size(wanted));
	assert_memory_equal(buf_data(&found), buf_data(wanted), buf_size(wanted));
	buf_clear(&found);
}

static void check_world(void)
{
	struct stats_query query = { .now_s = last_second(store),
		.from_s = WORLD_START_S,
		.until_s = rollup_floor(last_second(store), 86400) + 86400 };
	struct buf waiting = dump_from(ROLLUP_REBUILT);

	assert_int_equal(buf_size(&waiting), 0);
	assert_ties_out(store, &query);
	query.until_s = rollup_floor(last_second(store), 3600) + 3600;
	query.from_s = query.until_s - 30 * 3600;
	query.filter = ROLLUP_PROVIDER;
	query.value = ALL_OF("provider-2");
	assert_ties_out(store, &query);
	query.from_s = query.until_s - 50 * 60;
	assert_ties_out(store, &query);
	buf_clear(&waiting);
}

/* Rows of closed minutes, hours and days that are missing or wrong. */
static int wreck(struct txn *txn, void *arg, struct err *err)
{
	int64_t hour_s = WORLD_START_S + 26 * 3600;
	struct key key;

	(void)arg;
	(void)err;
	rollup_key(&key, ROLLUP_HOUR, hour_s, ROLLUP_ALL, (struct bytes) { 0 });
	assert_int_equal(table_delete(txn, &rollup_table, key_bytes(&key)), 0);
	rollup_key(&key, ROLLUP_DAY, WORLD_START_S + 86400, ROLLUP_MODEL,
		ALL_OF("model-1"));
	assert_int_equal(table_delete(txn, &rollup_table, key_bytes(&key)), 0);
	rollup_key(&key, ROLLUP_DAY, WORLD_START_S, ROLLUP_ALL, (struct bytes) { 0 });
	assert_int_equal(table_put(txn, &rollup_table, key_bytes(&key), ALL_OF("\1")), 0);
	rollup_key(&key, ROLLUP_DAY, WORLD_START_S, ROLLUP_TOKEN, ALL_OF("nobody"));
	assert_int_equal(table_put(txn, &rollup_table, key_bytes(&key),
				 ALL_OF("\1\0\0\0")),
		0);
	return 0;
}

static int empty(struct txn *txn, void *arg, struct err *err)
{
	(void)arg;
	(void)err;
	return table_empty(txn, &rollup_table);
}

/* -- tests ------------------------------------------------------------------------ */

static void rows_are_what_they_were(void **state)
{
	struct buf before;

	(void)state;
	write_world(store, COUNT, STEP_US, 900);
	before = dump_from(ROLLUP_STATE);
	assert_true(rebuild_all() > COUNT / 1000);
	assert_same_rows(&before);
	assert_int_equal(store_write(store, wreck, NULL, NULL), 0);
	rebuild_all();
	assert_same_rows(&before);
	check_world();
	buf_clear(&before);
}

static void records_that_were_never_summed_up_are(void **state)
{
	(void)state;
	write_world(store, COUNT, STEP_US, 900);
	assert_int_equal(store_write(store, empty, NULL, NULL), 0);
	rebuild_all();
	check_world();
	write_world(store, 500, STEP_US, 50);
	check_world();
}

static void records_come_meanwhile(void **state)
{
	(void)state;
	write_world(store, COUNT, STEP_US, 900);
	assert_int_equal(store_write(store, wreck, NULL, NULL), 0);
	begin_all();
	for (bool is_more = true; is_more;) {
		is_more = step_once();
		write_world(store, 20, STEP_US, 20);
	}
	check_world();
	write_world(store, 500, STEP_US, 50);
	check_world();
}

/* The last days are read meanwhile: no reader sees less than there was. */
static void sums_are_whole_meanwhile(void **state)
{
	struct stats_query query;
	int64_t end_s;

	(void)state;
	write_world(store, COUNT, STEP_US, 900);
	end_s = last_second(store);
	query = (struct stats_query) { .now_s = end_s,
		.from_s = WORLD_START_S,
		.until_s = rollup_floor(end_s, 86400) + 86400 };
	begin_all();
	while (step_once())
		assert_ties_out(store, &query);
	check_world();
}

static void it_goes_on_after_a_kill(void **state)
{
	pid_t child;

	(void)state;
	write_world(store, COUNT, STEP_US, 900);
	assert_int_equal(store_write(store, wreck, NULL, NULL), 0);
	begin_all();
	srand(9);
	for (int round = 0; round < 6; round++) {
		store_close(store);
		child = fork();
		assert_true(child >= 0);
		if (child == 0) {
			store = world_open();
			for (int i = rand() % 5; i > 0; i--)
				step_once();
			kill(getpid(), SIGKILL);
		}
		assert_int_equal(waitpid(child, NULL, 0), child);
		store = world_open();
	}
	while (step_once())
		;
	check_world();
}

/* Retention took the first day and a half. */
static int forget(struct txn *txn, void *arg, struct err *err)
{
	struct key until = { 0 };
	struct range range = { .limit = CURSOR_PAGE_MAX };
	struct cursor *cursor;
	struct bytes key, value;

	(void)arg;
	(void)err;
	key_u64(&until, (uint64_t)(WORLD_START_S + 129600) * 1000000);
	range.until = key_bytes(&until);
	assert_int_equal(cursor_open(&cursor, txn, &records_table, &range), 0);
	while (cursor_next(cursor, &key, &value) > 0)
		assert_int_equal(cursor_delete(cursor), 0);
	cursor_close(cursor);
	return 0;
}

static void what_has_lost_its_records_stays(void **state)
{
	struct buf before;

	(void)state;
	write_world(store, COUNT, STEP_US, 900);
	before = dump_from(ROLLUP_STATE);
	assert_int_equal(store_write(store, forget, NULL, NULL), 0);
	rebuild_all();
	assert_same_rows(&before);
	buf_clear(&before);
}

static void one_at_a_time(void **state)
{
	struct span span = { .from_s = 5, .until_s = 5 };

	(void)state;
	assert_false(step_once());
	assert_int_equal(store_write(store, begin, &span, NULL), -EINVAL);
	assert_int_equal(rebuild_all(), 1);
	span.until_s = 10;
	assert_int_equal(store_write(store, begin, &span, NULL), 0);
	assert_int_equal(store_write(store, begin, &span, NULL), -EBUSY);
	assert_non_null(strstr(span.err.text, "already"));
}

#define WITH_WORLD(test) \
	cmocka_unit_test_setup_teardown(test, world_set_up, world_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_WORLD(rows_are_what_they_were),
		WITH_WORLD(records_that_were_never_summed_up_are),
		WITH_WORLD(records_come_meanwhile),
		WITH_WORLD(sums_are_whole_meanwhile),
		WITH_WORLD(it_goes_on_after_a_kill),
		WITH_WORLD(what_has_lost_its_records_stays),
		WITH_WORLD(one_at_a_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
