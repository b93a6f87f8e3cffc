/* Sums are those of the records to the unit: in every span, after a kill, when costs
 * change, and when what is old was thrown away. */
#include "rollup_world.h"
#include "journal_world.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#define COUNT 10000
#define STEP_US 70000000 /* 10,000 of them are eight days */

static const char *const dimension_values[ROLLUP_DIMENSIONS] = { [ROLLUP_ALL] = "",
	[ROLLUP_PROVIDER] = "provider-1",
	[ROLLUP_MODEL] = "model-3",
	[ROLLUP_GROUP] = "",
	[ROLLUP_TOKEN] = "token-7",
	[ROLLUP_ENDPOINT] = "endpoint-0",
	[ROLLUP_KEY] = "key-5" };

/* Of small worlds some spans are empty. */
static void check_span(int64_t from_s, int64_t until_s, int64_t now_s)
{
	if (from_s >= until_s)
		return;
	for (unsigned i = 0; i < ROLLUP_DIMENSIONS; i++) {
		struct stats_query query = { .now_s = now_s,
			.from_s = from_s,
			.until_s = until_s,
			.filter = (enum rollup_dimension)i,
			.value = ALL_OF(dimension_values[i]) };

		assert_ties_out(store, &query);
	}
}

static void check_world(void)
{
	int64_t end_s = last_second(store);
	int64_t today_s = rollup_floor(end_s, ROLLUP_DAY_S);
	int64_t hour_s = rollup_floor(end_s, ROLLUP_HOUR_S);
	int64_t minute_s = rollup_floor(end_s, ROLLUP_MINUTE_S);

	check_span(WORLD_START_S, today_s + ROLLUP_DAY_S, end_s);
	check_span(WORLD_START_S, today_s, end_s);
	check_span(today_s, today_s + ROLLUP_DAY_S, end_s);
	check_span(hour_s, hour_s + ROLLUP_HOUR_S, end_s);
	check_span(minute_s, minute_s + ROLLUP_MINUTE_S, end_s);
	/* From hours to minutes, over days, and back. */
	check_span(today_s - 5 * ROLLUP_DAY_S - 7 * ROLLUP_HOUR_S, minute_s, end_s);
	check_span(end_s / 60 * 60 - 40 * 3600 - 17 * 60, hour_s + 1800, end_s);
}

static void sums_are_those_of_the_records(void **state)
{
	(void)state;
	write_world(store, COUNT, STEP_US, 700);
	check_world();
}

static void so_they_are_in_one_minute_and_over_years(void **state)
{
	(void)state;
	write_world(store, 500, 900, 37);
	check_world();
	write_world(store, 300, 86400000000u, 50);
	check_world();
	write_world(store, 500, 900, 500);
	check_world();
}

/* -- kill -9 ---------------------------------------------------------------------- */

/* Writes until it is killed, and says after each transaction that it is done. */
static void write_for_ever(int acknowledge)
{
	uint64_t first = 0;

	store = world_open();
	for (;; first++) {
		write_world(store, 40, STEP_US, 40);
		if (write(acknowledge, "", 1) != 1)
			_exit(1);
	}
}

static void kill_after(int transactions, useconds_t more_us)
{
	int pipes[2];
	pid_t child;
	char byte;

	assert_int_equal(pipe(pipes), 0);
	store_close(store);
	child = fork();
	assert_true(child >= 0);
	if (child == 0)
		write_for_ever(pipes[1]);
	close(pipes[1]);
	while (transactions--)
		assert_int_equal(read(pipes[0], &byte, 1), 1);
	usleep(more_us);
	assert_int_equal(kill(child, SIGKILL), 0);
	assert_int_equal(waitpid(child, NULL, 0), child);
	close(pipes[0]);
	store = world_open();
}

static void a_kill_at_any_moment_loses_no_sum(void **state)
{
	struct plain plain = { 0 };

	(void)state;
	srand(3);
	for (int round = 0; round < 8; round++) {
		kill_after(2 + rand() % 9, (useconds_t)(rand() % 5000));
		check_world();
	}
	assert_int_equal(store_read(store, plain_count, &plain, NULL), 0);
	write_world(store, COUNT - plain.records, STEP_US, 900);
	check_world();
}

/* -- what else happens to sums ----------------------------------------------------- */

/* A transaction that runs twice, the first time in vain. */
static int write_in_vain(struct txn *txn, void *arg, struct err *err)
{
	int rc = write_mixed(txn, arg, err);

	return rc ? rc : -ECANCELED;
}

static void what_is_undone_is_not_counted(void **state)
{
	struct writing writing = { .count = 100,
		.step_us = STEP_US,
		.last_us = (uint64_t)WORLD_START_S * 1000000,
		.batch = rollup_batch_new() };

	(void)state;
	assert_int_equal(store_write(store, write_in_vain, &writing, NULL), -ECANCELED);
	assert_int_equal(store_write(store, write_mixed, &writing, NULL), 0);
	check_world();
	rollup_batch_free(writing.batch);
}

/* The clock was set back by an hour: sums have the record in its own minute. */
static int write_late(struct txn *txn, void *arg, struct err *err)
{
	struct rollup_batch *batch = rollup_batch_new();
	uint64_t time_us = *(uint64_t *)arg;
	struct mixed mixed;
	int rc;

	(void)err;
	mix(&mixed, 4711);
	put_record(txn, time_us, &mixed.record);
	rollup_add(batch, &mixed.record, (int64_t)time_us);
	rc = rollup_write(txn, batch);
	rollup_batch_free(batch);
	return rc;
}

static void what_comes_late_is_counted_where_it_belongs(void **state)
{
	uint64_t time_us;

	(void)state;
	write_world(store, 1000, STEP_US, 200);
	time_us = (uint64_t)last_second(store) * 1000000 - 3600000000u;
	assert_int_equal(store_write(store, write_late, &time_us, NULL), 0);
	check_world();
}

/* Every second record of the world costs something else. */
static int recost(struct txn *txn, void *arg, struct err *err)
{
	struct range range = { .limit = CURSOR_PAGE_MAX };
	struct rollup_batch *batch = rollup_batch_new();
	struct record_attempt room[RECORD_ATTEMPTS_MAX];
	struct bytes key, value;
	struct cursor *cursor;
	int rc;

	(void)err;
	assert_int_equal(cursor_open(&cursor, txn, &records_table, &range), 0);
	for (int64_t i = 0; cursor_next(cursor, &key, &value) > 0; i++) {
		unsigned char packed[4096];
		struct key name = { 0 };
		struct record record;
		uint64_t time_us;
		bool has_cost = i % 6 != 0;

		if (i % 2)
			continue;
		key_raw(&name, key.data, key.size);
		assert_int_equal(key_take_u64(&key, &time_us), 0);
		assert_int_equal(record_decode(&record, value, room), 0);
		rollup_recost(batch, &record, (int64_t)time_us, has_cost, 7 * i);
		record.has_cost = has_cost;
		record.cost_micros = has_cost ? 7 * i : 0;
		value = (struct bytes) { packed, record_encode(&record, packed) };
		assert_int_equal(table_put(txn, &records_table, key_bytes(&name), value),
			0);
	}
	cursor_close(cursor);
	rc = rollup_write(txn, batch);
	rollup_batch_free(batch);
	*(int64_t *)arg = 1;
	return rc;
}

static void costs_may_change(void **state)
{
	int64_t is_done = 0;

	(void)state;
	write_world(store, 900, STEP_US, 200);
	assert_int_equal(store_write(store, recost, &is_done, NULL), 0);
	assert_true(is_done);
	check_world();
	write_world(store, 900, STEP_US, 200);
	check_world();
}

/* -- age -------------------------------------------------------------------------- */

struct trimming {
	int64_t now_s;
	uint32_t rows_max;
	uint32_t deleted;
};

static int trim(struct txn *txn, void *arg, struct err *err)
{
	struct trimming *trimming = arg;

	(void)err;
	return rollup_trim(txn, trimming->now_s, trimming->rows_max, &trimming->deleted);
}

static uint64_t trim_all(int64_t now_s)
{
	struct trimming trimming = { .now_s = now_s, .rows_max = 1000 };
	uint64_t deleted = 0;

	do {
		assert_int_equal(store_write(store, trim, &trimming, NULL), 0);
		assert_true(trimming.deleted <= 1000);
		deleted += trimming.deleted;
	} while (trimming.deleted == 1000);
	return deleted;
}

static int count_rows(struct txn *txn, void *arg, struct err *err)
{
	(void)err;
	return table_count(txn, &rollup_table, arg);
}

static void old_minutes_and_hours_are_thrown_away(void **state)
{
	uint64_t before, after;
	int64_t end_s;

	(void)state;
	write_world(store, COUNT, STEP_US, 900);
	end_s = last_second(store);
	assert_int_equal(store_read(store, count_rows, &before, NULL), 0);
	assert_true(trim_all(end_s) > 10000);
	assert_int_equal(trim_all(end_s), 0);
	assert_int_equal(store_read(store, count_rows, &after, NULL), 0);
	assert_true(after < before);
	check_world();
	/* A hundred days later nothing but days is left, the open minute in them. */
	trim_all(end_s + 100 * ROLLUP_DAY_S);
	check_span(WORLD_START_S, rollup_floor(end_s, ROLLUP_DAY_S) + ROLLUP_DAY_S,
		end_s + 100 * ROLLUP_DAY_S);
	write_world(store, 100, 86400000000u, 10);
	check_span(WORLD_START_S,
		rollup_floor(last_second(store), ROLLUP_DAY_S) + ROLLUP_DAY_S,
		last_second(store));
}

/* -- rows that are damaged --------------------------------------------------------- */

static int damage(struct txn *txn, void *arg, struct err *err)
{
	struct key key;

	(void)err;
	rollup_key(&key, ROLLUP_MINUTE, *(int64_t *)arg, ROLLUP_ALL,
		(struct bytes) { 0 });
	return table_put(txn, &rollup_table, key_bytes(&key), ALL_OF("\1\1"));
}

static void a_damaged_row_does_not_stop_the_others(void **state)
{
	struct asking asking = { 0 };
	int64_t end_s, minute_s;

	(void)state;
	write_world(store, 100, 900, 100);
	end_s = last_second(store);
	minute_s = rollup_floor(end_s, ROLLUP_MINUTE_S);
	assert_int_equal(store_write(store, damage, &minute_s, NULL), 0);
	asking.query = (struct stats_query) { .now_s = end_s,
		.from_s = minute_s,
		.until_s = minute_s + 60 };
	assert_int_equal(store_read(store, ask_overview, &asking, NULL), -EBADMSG);
	write_world(store, 1, 1, 1);
	assert_int_equal(store_read(store, ask_overview, &asking, NULL), 0);
	assert_non_null(strstr(buf_data(&asking.out), "\"requests\":1,"));
	check_span(minute_s + 60, minute_s + 120, end_s);
	buf_clear(&asking.out);
}

#define WITH_WORLD(test) \
	cmocka_unit_test_setup_teardown(test, world_set_up, world_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_WORLD(sums_are_those_of_the_records),
		WITH_WORLD(so_they_are_in_one_minute_and_over_years),
		WITH_WORLD(a_kill_at_any_moment_loses_no_sum),
		WITH_WORLD(what_is_undone_is_not_counted),
		WITH_WORLD(what_comes_late_is_counted_where_it_belongs),
		WITH_WORLD(costs_may_change),
		WITH_WORLD(old_minutes_and_hours_are_thrown_away),
		WITH_WORLD(a_damaged_row_does_not_stop_the_others),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
