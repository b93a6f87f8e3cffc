/* Other costs for records: rows and sums say the same before, between and after. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <inttypes.h>
#include <stdlib.h>

#include "journal_check.h"
#include "journal_world.h"
#include "storage/recost.h"
#include "storage/rollup_rebuild.h"
#include "storage/stats.h"

#define RECORDS 3000
#define START_US 1795219200000000 /* 2026-11-21 */

static unsigned char ids[RECORDS][16];

/* -- what there is ----------------------------------------------------------------- */

struct sums {
	uint64_t priced;
	int64_t cost_micros, first_cost_micros; /* first: of SOURCE's first provider */
	uint64_t records, details;
	uint64_t versions; /* the sum of all */
};

static struct bytes first_provider;

static int add_row(struct txn *txn, struct bytes key, struct bytes row, void *arg)
{
	struct record_attempt room[RECORD_ATTEMPTS_MAX];
	struct sums *sums = arg;
	struct record record;
	int rc = record_decode(&record, row, room);

	(void)txn;
	(void)key;
	if (rc)
		return rc;
	sums->records++;
	sums->details += record.has_details;
	sums->priced += record.has_cost;
	sums->versions += record.price_version;
	sums->cost_micros += record.cost_micros;
	if (record.provider.size == first_provider.size &&
		memcmp(record.provider.data, first_provider.data, first_provider.size) ==
			0)
		sums->first_cost_micros += record.cost_micros;
	return 0;
}

static void assert_says(struct txn *txn, enum rollup_dimension filter,
	int64_t cost_micros)
{
	struct stats_query query = { .now_s = START_US / 1000000 + 86400,
		.from_s = START_US / 1000000 - 86400,
		.until_s = START_US / 1000000 + 2 * 86400,
		.filter = filter,
		.value = first_provider };
	struct buf out = { 0 };
	char wanted[64];

	snprintf(wanted, sizeof(wanted), "\"cost_micros\":%" PRId64 ",", cost_micros);
	assert_int_equal(stats_overview(txn, &query, &out, NULL), 0);
	buf_append(&out, "", 1);
	if (!strstr(buf_data(&out), wanted))
		fail_msg("no %s in %s", wanted, buf_data(&out));
	buf_clear(&out);
}

static int add_all(struct txn *txn, void *arg, struct err *err)
{
	struct sums *sums = arg;
	int rc = each_row(txn, &records_table, add_row, sums);

	(void)err;
	assert_says(txn, ROLLUP_ALL, sums->cost_micros);
	assert_says(txn, ROLLUP_PROVIDER, sums->first_cost_micros);
	return rc;
}

/* Rows and statistics agree. */
static struct sums sums_now(void)
{
	struct sums sums = { 0 };

	assert_int_equal(store_read(store, add_all, &sums, NULL), 0);
	assert_int_equal(sums.records, RECORDS);
	return sums;
}

/* -- stories ----------------------------------------------------------------------- */

static struct recost change_all(struct recost_change *changes, size_t count)
{
	struct recost recost_of = { .changes = changes, .count = count };

	assert_int_equal(store_write(store, recost, &recost_of, NULL), 0);
	return recost_of;
}

static void costs_change_in_rows_and_sums(void **state)
{
	static struct recost_change changes[RECOST_MAX];
	struct sums before = sums_now(), after;
	struct recost done;

	(void)state;
	for (size_t i = 0; i < RECOST_MAX; i++) {
		changes[i] = (struct recost_change) { .has_cost = i % 7 != 0 };
		memcpy(changes[i].id, ids[i * 3], 16);
		if (changes[i].has_cost) {
			changes[i].cost_micros = (int64_t)i * 1000003;
			changes[i].price_version = 4000000000u;
		}
	}
	done = change_all(changes, RECOST_MAX);
	assert_in_range(done.changed, RECOST_MAX * 6 / 7, RECOST_MAX);
	assert_int_equal(done.missing, 0);
	after = sums_now();
	assert_true(after.cost_micros > before.cost_micros + 400000000000);
	assert_int_equal(after.details, before.details);
	/* Once more changes nothing, and nothing is counted twice. */
	assert_int_equal(change_all(changes, RECOST_MAX).changed, 0);
	assert_memory_equal(&(struct sums[]) { sums_now() }[0], &after, sizeof(after));
	for (size_t i = 0; i < RECOST_MAX; i++)
		changes[i].has_cost = false, changes[i].cost_micros = 0,
		changes[i].price_version = 0;
	change_all(changes, RECOST_MAX);
	assert_true(sums_now().priced <= RECORDS - RECOST_MAX);
}

static void a_record_that_is_gone_is_counted(void **state)
{
	struct recost_change changes[2] = {
		{ .has_cost = true, .cost_micros = 5, .price_version = 9 },
		{ .has_cost = true, .cost_micros = 77, .price_version = 9 }
	};
	struct sums before = sums_now();
	struct recost done;

	(void)state;
	memset(changes[0].id, 0xee, 16);
	memcpy(changes[1].id, ids[RECORDS - 1], 16);
	done = change_all(changes, 2);
	assert_int_equal(done.missing, 1);
	assert_int_equal(done.changed, 1);
	assert_int_not_equal(sums_now().cost_micros, before.cost_micros);
	/* The same record twice: the last word counts, once. */
	memcpy(changes[0].id, ids[0], 16);
	memcpy(changes[1].id, ids[0], 16);
	assert_int_equal(change_all(changes, 2).changed, 2);
	sums_now();
}

static int begin_rebuild(struct txn *txn, void *arg, struct err *err)
{
	(void)arg;
	return rollup_rebuild_begin(txn, START_US / 1000000 - 86400,
		START_US / 1000000 + 86400, err);
}

static void not_while_sums_are_made_anew(void **state)
{
	struct recost_change change = { .has_cost = true, .cost_micros = 1 };
	struct recost asked = { .changes = &change, .count = 1 };
	struct err err;

	(void)state;
	memcpy(change.id, ids[5], 16);
	assert_int_equal(store_write(store, begin_rebuild, NULL, NULL), 0);
	assert_int_equal(store_write(store, recost, &asked, &err), -EBUSY);
	assert_non_null(strstr(err.text, "made anew"));
}

/* -- life -------------------------------------------------------------------------- */

static int setup(void **state)
{
	struct record_source source = { .seed = 31,
		.end_us = START_US,
		.step_us = 1500000 };
	struct journal_options options = { .worker_count = 1 };
	static char name[64];
	struct journal *journal;

	world_set_up(state);
	assert_int_equal(journal_start(&journal, store, &options, NULL), 0);
	for (int i = 0; i < RECORDS; i++) {
		struct record record = source_next(&source);

		memcpy(ids[i], record.id, 16);
		if (record.provider.size && !first_provider.size) {
			memcpy(name, record.provider.data, record.provider.size);
			first_provider = (struct bytes) { name, record.provider.size };
		}
		assert_true(journal_push(journal, 0, &record, NULL));
		if (i % 500 == 499)
			journal_flush(journal);
	}
	journal_close(journal);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(costs_change_in_rows_and_sums),
		cmocka_unit_test(a_record_that_is_gone_is_counted),
		cmocka_unit_test(not_while_sums_are_made_anew),
	};

	return cmocka_run_group_tests(tests, setup, world_tear_down);
}
