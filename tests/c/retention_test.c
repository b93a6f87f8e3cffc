/* Old records go with all that belongs to them, and nothing else does. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <unistd.h>

#include "base/clock.h"
#include "journal_check.h"

#define RECORDS 20000
#define STEP_US 1000000 /* between records, on average */
#define BODY_EVERY 10

static char place[128];
static struct store *store;
static struct journal *journal;
static int64_t now_us;

/* One in each second, up to now_us, each with a body of its own and one of some pages. */
static void fill_large(int count)
{
	struct record_source source = { .seed = 22, .step_us = 1000000 };
	size_t size = 48000;
	unsigned char *noise = xmalloc(size);

	source.end_us = now_us - (int64_t)count * source.step_us;
	for (int i = 0; i < count; i++) {
		struct record record = source_next(&source);
		struct body *bodies = body_new(BODY_REQUEST, "text", 4, 4);

		for (size_t j = 0; j < size; j++)
			noise[j] = (unsigned char)source_random(&source);
		bodies->next = body_new(BODY_RESPONSE, noise, size, size);
		assert_true(journal_push(journal, 0, &record, bodies));
		journal_flush(journal);
	}
	free(noise);
}

static void fill(int count)
{
	struct record_source source = { .seed = 21, .step_us = STEP_US };
	static unsigned char noise[3000];

	source.end_us = now_us - (int64_t)count * STEP_US;
	for (int i = 0; i < count; i++) {
		struct record record = source_next(&source);
		struct body *body = NULL;

		for (size_t j = 0; j < sizeof(noise) && i % BODY_EVERY == 0; j++)
			noise[j] = (unsigned char)source_random(&source);
		if (i % BODY_EVERY == 0)
			body = body_new(BODY_RESPONSE, noise, sizeof(noise), 3000);
		assert_true(journal_push(journal, 0, &record, body));
		if (i % 1000 == 999)
			journal_flush(journal);
	}
	journal_flush(journal);
}

struct count {
	struct journal_tally tally;
	uint64_t beyond; /* postings of records that are gone */
	uint64_t bodies, bodies_bytes, first_body;
	uint64_t records_bytes;
};

static int first_body(struct txn *txn, struct bytes key, struct bytes row, void *arg)
{
	int rc = key_take_u64(&key, arg);

	(void)txn;
	(void)row;
	return rc ? rc : -ECANCELED;
}

static int count_all(struct txn *txn, void *arg, struct err *err)
{
	struct count *count = arg;
	uint64_t traces, index;
	int rc = check_journal(txn, &count->tally, err);

	count->beyond = postings_beyond(txn, &count->tally);
	if (rc || (rc = table_count(txn, &bodies_table, &count->bodies)) != 0 ||
		(rc = table_bytes(txn, &bodies_table, &count->bodies_bytes)) != 0 ||
		(rc = table_bytes(txn, &records_table, &count->records_bytes)) != 0 ||
		(rc = table_bytes(txn, &traces_table, &traces)) != 0 ||
		(rc = table_bytes(txn, &index_table, &index)) != 0)
		return rc;
	count->records_bytes += traces + index;
	rc = each_row(txn, &bodies_table, first_body, &count->first_body);
	return rc == -ECANCELED ? 0 : rc;
}

static struct count count_now(void)
{
	struct count count = { 0 };

	assert_int_equal(store_read(store, count_all, &count, NULL), 0);
	return count;
}

/* Until slices remove nothing any more. */
static void retain(const struct retention *retention)
{
	struct retention_slice slice = { .retention = *retention, .now_us = now_us };

	do {
		assert_int_equal(store_write(store, retention_slice, &slice, NULL), 0);
		assert_in_range(slice.records, 0, RETENTION_SLICE);
	} while (slice.has_more);
	assert_int_equal(store_write(store, retention_slice, &slice, NULL), 0);
	assert_int_equal(slice.records + slice.bodies, 0);
}

static void records_go_by_age(void **state)
{
	struct retention retention = { .record_age_s = RECORDS / 4 };
	struct count before, after;

	(void)state;
	fill(RECORDS);
	before = count_now();
	assert_int_equal(before.tally.records, RECORDS);
	assert_int_equal(before.beyond, 0);
	assert_int_equal(before.bodies, RECORDS / BODY_EVERY);
	retain(&retention);
	after = count_now();
	assert_in_range(after.tally.records, RECORDS / 4 - 500, RECORDS / 4 + 500);
	assert_int_equal(after.tally.last_key, before.tally.last_key);
	/* The chunks that are left have some of the living each. */
	assert_in_range(after.beyond, 0, 400 * POSTING_CHUNK);
	assert_true(after.beyond < before.tally.postings / 4);
	assert_in_range(after.bodies, after.tally.records / BODY_EVERY - 1,
		after.tally.records / BODY_EVERY + 1);

	retention.record_age_s = 1;
	now_us += 3600LL * 1000000;
	retain(&retention);
	after = count_now();
	assert_int_equal(after.tally.records, 0);
	assert_int_equal(after.beyond, 0);
	assert_int_equal(after.bodies, 0);
}

static void records_go_by_size(void **state)
{
	struct count before, after;
	struct retention retention = { 0 };

	(void)state;
	fill(RECORDS);
	before = count_now();
	retain(&retention);
	assert_int_equal(count_now().tally.records, RECORDS);
	retention.record_bytes = before.records_bytes / 2;
	retain(&retention);
	after = count_now();
	assert_in_range(after.records_bytes, before.records_bytes / 3,
		before.records_bytes / 2);
	assert_in_range(after.tally.records, RECORDS / 4, RECORDS * 3 / 4);
	assert_int_equal(after.tally.last_key, before.tally.last_key);
}

/* The youngest stay, whatever their rows take. */
static void large_bodies_go_in_order(void **state)
{
	struct retention retention = { .body_bytes = 400000 };
	struct count after;

	(void)state;
	fill_large(12);
	retain(&retention);
	after = count_now();
	assert_in_range(after.bodies, 10, 16);
	assert_in_range(after.first_body,
		now_us - (int64_t)(after.bodies / 2 + 1) * 1000000, now_us);
}

static void bodies_go_alone(void **state)
{
	struct retention retention = { .body_age_s = RECORDS / 2 };
	struct count before, after;

	(void)state;
	fill(RECORDS);
	before = count_now();
	retain(&retention);
	after = count_now();
	assert_in_range(after.bodies, before.bodies / 2 - 50, before.bodies / 2 + 50);
	assert_true((int64_t)after.first_body >= now_us - retention.body_age_s * 1000000);
	retention = (struct retention) { .body_bytes = before.bodies_bytes / 4 };
	retain(&retention);
	after = count_now();
	assert_in_range(after.bodies_bytes, 1, before.bodies_bytes / 4);
	assert_int_equal(after.tally.records, RECORDS);
	assert_int_equal(after.beyond, 0);
}

/* An hour is none, and whoever sets the clock right again need not wait. */
static void after_a_leap_of_the_clock_nothing_goes_for_a_day(void **state)
{
	const int64_t hour_us = INT64_C(3600) * 1000000, day_us = 24 * hour_us;
	struct retention_hold hold = { 0 };
	int64_t wall_us = now_us;

	(void)state;
	assert_int_equal(retention_hold(&hold, wall_us, hour_us), 0);
	assert_int_equal(retention_hold(&hold, wall_us + 2 * hour_us, 2 * hour_us), 0);
	wall_us += 365 * day_us;
	assert_int_equal(retention_hold(&hold, wall_us, 3 * hour_us), day_us);
	assert_int_equal(retention_hold(&hold, wall_us + hour_us, 4 * hour_us),
		day_us - hour_us);
	assert_int_equal(retention_hold(&hold, now_us, 5 * hour_us), 0);
	assert_int_equal(retention_hold(&hold, now_us + 400 * day_us, 6 * hour_us),
		day_us);
	assert_int_equal(retention_hold(&hold, now_us + 401 * day_us,
				 6 * hour_us + day_us),
		0);
}

/* Whoever asks for it need not wait for the journal's next look. */
static void the_journal_removes_at_once_what_is_asked_for(void **state)
{
	struct retention retention = { .record_age_s = 1 };
	int64_t give_up_ms = clock_ms() + 60000;
	uint64_t wanted;

	(void)state;
	wanted = journal_retain(journal);
	while (journal_figures(journal).retained < wanted) {
		assert_true(clock_ms() < give_up_ms);
		usleep(1000);
	}
	fill(100);
	journal_set_retention(journal, &retention);
	wanted = journal_retain(journal);
	while (journal_figures(journal).retained < wanted) {
		assert_true(clock_ms() < give_up_ms);
		usleep(1000);
	}
	assert_int_equal(journal_figures(journal).removed + count_now().tally.records,
		100);
	assert_true(journal_figures(journal).removed > 0);
	assert_int_equal(journal_figures(journal).held_us, 0);
}

/* The journal does it by itself while records come. */
static void the_journal_removes_what_is_old(void **state)
{
	enum { COUNT = RECORDS / 4 }; /* its thread has a tenth of a busy processor */
	struct retention retention = { .record_age_s = COUNT / 2 };
	int64_t give_up_ms = clock_ms() + 150000;

	(void)state;
	fill(COUNT);
	journal_set_retention(journal, &retention);
	while (journal_figures(journal).removed < COUNT / 2 - 500) {
		assert_true(clock_ms() < give_up_ms);
		usleep(1000);
	}
	fill(500);
	assert_in_range(journal_figures(journal).removed, COUNT / 2 - 500,
		COUNT / 2 + 500);
	assert_int_equal(count_now().tally.records,
		COUNT + 500 - journal_figures(journal).removed);
}

/* -- life ------------------------------------------------------------------------- */

static int setup(void **state)
{
	struct journal_options options = { .worker_count = 1 };

	(void)state;
	now_us = clock_wall_us();
	place_make(place);
	assert_int_equal(store_open(&store, place, &journal_layout, NULL), 0);
	return journal_start(&journal, store, &options, NULL);
}

static int teardown(void **state)
{
	(void)state;
	journal_close(journal);
	store_close(store);
	place_remove(place);
	return 0;
}

#define WITH_JOURNAL(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_JOURNAL(records_go_by_age),
		WITH_JOURNAL(records_go_by_size),
		WITH_JOURNAL(bodies_go_alone),
		WITH_JOURNAL(large_bodies_go_in_order),
		WITH_JOURNAL(after_a_leap_of_the_clock_nothing_goes_for_a_day),
		WITH_JOURNAL(the_journal_removes_at_once_what_is_asked_for),
		WITH_JOURNAL(the_journal_removes_what_is_old),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
