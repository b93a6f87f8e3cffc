/* Records of long ago come into a journal that goes on: all is found and adds up as if they
 * had always been there, and coming twice they are there once. */
#include "rollup_world.h"
#include "journal_world.h"

#include "base/clock.h"
#include "journal_check.h"
#include "storage/journal_query.h"
#include "storage/past_batch.h"
#include "storage/record_id.h"
#include "storage/rollup_rebuild.h"

#define PAST 3500
#define SPAN_S (200 * ROLLUP_DAY_S)
#define DAY_US (86400 * (int64_t)1000000)

static int64_t now_s;

static int open_world(void **state)
{
	world_set_up(state);
	now_s = clock_wall_us() / 1000000;
	return 0;
}

/* The record of a number, whose end lies anywhere in the span; some share a second. */
static struct record *past_record(struct mixed *mixed, uint64_t number)
{
	struct record *record = (struct record *)(uintptr_t)mix(mixed, number);
	char seed[32];
	int64_t back_s = 61 + (int64_t)(number * 7919 % SPAN_S) / 10 * 10;
	int size = snprintf(seed, sizeof(seed), "%llu", (unsigned long long)number);

	if (number % 5 == 0)
		back_s = 61 + (int64_t)number;
	record->ms %= 60000;
	record->start_us = (now_s - back_s) * 1000000 - (int64_t)record->ms * 1000;
	record->is_import = true;
	record->is_test = false;
	record->conversation = draw_text(mixed, "talk", 40);
	if (record->outcome == RECORD_FAILED)
		record->error = bytes_of("it was too much");
	record_id_make(record->id, record->start_us,
		(struct bytes) { seed, (size_t)size });
	return record;
}

static struct past_figures write_batch(struct past_batch *batch)
{
	struct past_figures figures;
	struct err err;

	if (store_write(store, past_batch_write, batch, &err) != 0)
		fail_msg("%s", err.text);
	figures = past_batch_figures(batch);
	past_batch_reset(batch);
	return figures;
}

/* All of them, in batches of about a quarter of a thousand, with what is there between. */
static struct past_figures write_past(int64_t age_s, void (*between)(void))
{
	struct past_batch *batch = past_batch_new(now_s, age_s);
	struct past_figures sum = { 0 };
	struct mixed mixed;

	for (uint64_t i = 0; i < PAST; i++) {
		assert_true(past_batch_add(batch, past_record(&mixed, i)));
		if (i % 257 == 256 || i == PAST - 1) {
			struct past_figures figures = write_batch(batch);

			sum.carried += figures.carried;
			sum.summed += figures.summed;
			sum.there += figures.there;
			if (between)
				between();
		}
	}
	past_batch_free(batch);
	return sum;
}

/* -- a journal that goes on ------------------------------------------------------------ */

static struct journal *journal;
static struct record_source source;
static uint64_t present;

static void push_present(void)
{
	for (int i = 0; i < 40; i++) {
		struct record record;

		source.end_us = clock_wall_us();
		record = source_next(&source);
		assert_true(journal_push(journal, 0, &record, NULL));
		present++;
	}
	journal_flush(journal);
}

static void assert_sums(void)
{
	int64_t today_s = rollup_floor(now_s, ROLLUP_DAY_S);
	const int64_t from_s[] = { today_s - SPAN_S - ROLLUP_DAY_S,
		today_s - 20 * ROLLUP_DAY_S, today_s - 3600 };

	for (size_t i = 0; i < COUNT_OF(from_s); i++)
		for (unsigned by = 0; by < ROLLUP_DIMENSIONS; by++) {
			static const char *const values[] = { "", "provider-1", "model-3",
				"group-0", "token-7", "endpoint-0", "key-5" };
			struct stats_query query = { .now_s = now_s + 60,
				.from_s = from_s[i],
				.until_s = today_s + 2 * ROLLUP_DAY_S,
				.filter = (enum rollup_dimension)by,
				.value = ALL_OF(values[by]) };

			assert_ties_out(store, &query);
		}
}

static int check_no_more(struct txn *txn, void *arg, struct err *err)
{
	struct journal_tally *tally = arg;
	int rc = check_journal(txn, tally, err);

	return rc ? rc : postings_beyond(txn, tally) == 0 ? 0 : -ENOTUNIQ;
}

static void assert_whole(uint64_t records)
{
	struct journal_tally tally;
	struct err err;

	if (store_read(store, check_no_more, &tally, &err) != 0)
		fail_msg("%s", err.text);
	assert_int_equal(tally.records, records);
}

static void they_lie_before_what_goes_on_being_written(void **state)
{
	struct journal_options options = { .worker_count = 1 };
	struct past_figures figures;

	(void)state;
	source = (struct record_source) { .seed = 3, .step_us = 1 };
	present = 0;
	assert_int_equal(journal_start(&journal, store, &options, NULL), 0);
	push_present();
	figures = write_past(0, push_present);
	assert_int_equal(figures.carried, PAST);
	assert_int_equal(figures.summed + figures.there, 0);
	push_present();
	assert_int_equal(journal_figures(journal).dropped, 0);
	assert_whole(PAST + present);
	assert_sums();

	figures = write_past(0, push_present);
	assert_int_equal(figures.carried, 0);
	assert_int_equal(figures.there, PAST);
	assert_whole(PAST + present);
	assert_sums();
	journal_close(journal);
}

static void an_empty_journal_takes_them(void **state)
{
	struct journal_options options = { .worker_count = 1 };

	(void)state;
	assert_int_equal(write_past(0, NULL).carried, PAST);
	assert_whole(PAST);
	assert_sums();
	present = 0;
	source = (struct record_source) { .seed = 4, .step_us = 1 };
	assert_int_equal(journal_start(&journal, store, &options, NULL), 0);
	push_present();
	journal_close(journal);
	assert_whole(PAST + present);
	assert_sums();
}

/* -- pages ----------------------------------------------------------------------------- */

/* Reads all that passes the filter, the newest first, and how many these are. */
static uint64_t count_pages(struct journal_filter filter)
{
	struct journal_page page = { .filter = filter, .limit = 100 };
	char cursor[JOURNAL_CURSOR_SIZE] = "";
	struct buf out = { 0 };
	uint64_t count = 0;

	page.out = &out;
	do {
		page.cursor = bytes_of(cursor);
		assert_int_equal(store_read(store, journal_page, &page, NULL), 0);
		buf_append(&out, "", 1);
		for (const char *at = buf_data(&out);
			(at = strstr(at, "\"origin\":\"import\"")); at++)
			count++;
		memcpy(cursor, page.next, sizeof(cursor));
	} while (cursor[0]);
	buf_clear(&out);
	return count;
}

static void they_are_found_by_what_they_have(void **state)
{
	struct journal_filter filters[] = { { .import = JOURNAL_YES },
		{ .token = bytes_of("token-7") }, { .provider = bytes_of("provider-1") },
		{ .conversation = bytes_of("talk-3") }, { .import = JOURNAL_NO } };
	uint64_t wanted[COUNT_OF(filters)] = { PAST, 0, 0, 0, 0 };
	struct mixed mixed;

	(void)state;
	write_past(0, NULL);
	for (uint64_t i = 0; i < PAST; i++) {
		const struct record *record = past_record(&mixed, i);
		bool is_there = false;

		for (size_t at = 0; at < record->attempt_count; at++)
			is_there |= is_text(record->attempts[at].provider,
				filters[2].provider);
		wanted[1] += is_text(record->token, filters[1].token);
		wanted[2] += is_there;
		wanted[3] += is_text(record->conversation, filters[3].conversation);
	}
	for (size_t i = 0; i < COUNT_OF(filters); i++)
		assert_int_equal(count_pages(filters[i]), wanted[i]);
	assert_true(wanted[1] && wanted[2] && wanted[3]);
}

/* -- what is too old, too young, or comes again ---------------------------------------- */

static int read_sums(struct txn *txn, void *arg, struct err *err)
{
	struct asking *asking = arg;

	(void)err;
	return stats_overview(txn, &asking->query, &asking->out, &asking->err);
}

static void what_retention_would_remove_is_summed_up(void **state)
{
	struct past_figures figures = write_past(30 * ROLLUP_DAY_S, NULL);
	struct plain plain = { .from_s = now_s - SPAN_S - 2 * ROLLUP_DAY_S,
		.until_s = now_s + 3600 };
	struct asking asking = { .query = { .now_s = now_s + 60, .value = ALL_OF("") } };
	struct buf wanted = { 0 };
	struct mixed mixed;
	uint64_t old = 0;

	(void)state;
	plain.from_s = asking.query.from_s = rollup_floor(plain.from_s, ROLLUP_DAY_S);
	plain.until_s = asking.query.until_s = rollup_floor(now_s, ROLLUP_DAY_S) +
		2 * ROLLUP_DAY_S;
	for (uint64_t i = 0; i < PAST; i++) {
		const struct record *record = past_record(&mixed, i);

		plain_add(&plain.sums, record, ROLLUP_ALL, ALL_OF(""));
		old += record_end_us(record) < (now_s - 30 * ROLLUP_DAY_S) * 1000000;
	}
	assert_true(old > PAST / 2);
	assert_int_equal(figures.carried, PAST);
	assert_int_equal(figures.summed, old);
	assert_whole(PAST - old);
	plain_overview(&wanted, &plain, asking.query.now_s);
	assert_int_equal(store_read(store, read_sums, &asking, NULL), 0);
	assert_text(&asking.out, &wanted);
	buf_clear(&wanted);
	buf_clear(&asking.out);
}

static int has_mark(struct txn *txn, void *arg, struct err *err)
{
	struct bytes value;

	(void)err;
	return table_get(txn, &meta_table, bytes_of(arg), &value);
}

static void a_mark_takes_the_place_of_the_one_before(void **state)
{
	struct past_batch *batch = past_batch_new(now_s, 0);
	struct mixed mixed;

	(void)state;
	assert_true(past_batch_add(batch, past_record(&mixed, 1)));
	past_batch_mark(batch, bytes_of("import/x/1"), mixed.record.id,
		(struct bytes) { 0 });
	write_batch(batch);
	assert_int_equal(store_read(store, has_mark, "import/x/1", NULL), 0);
	assert_true(past_batch_add(batch, past_record(&mixed, 2)));
	past_batch_mark(batch, bytes_of("import/x/2"), mixed.record.id,
		bytes_of("import/x/1"));
	assert_int_equal(store_read(store, past_batch_look, batch, NULL), 0);
	assert_int_equal(past_batch_figures(batch).carried, 1);
	assert_int_equal(store_read(store, has_mark, "import/x/2", NULL), -ENOENT);
	write_batch(batch);
	assert_int_equal(store_read(store, has_mark, "import/x/2", NULL), 0);
	assert_int_equal(store_read(store, has_mark, "import/x/1", NULL), -ENOENT);
	past_batch_free(batch);
}

static int begin_rebuild(struct txn *txn, void *arg, struct err *err)
{
	(void)arg;
	return rollup_rebuild_begin(txn, now_s - 2 * ROLLUP_DAY_S, now_s, err);
}

static void what_is_too_young_or_in_the_way_of_a_rebuild_is_refused(void **state)
{
	struct past_batch *batch = past_batch_new(now_s, 0);
	struct record *record;
	struct mixed mixed;
	struct err err;

	(void)state;
	record = past_record(&mixed, 1);
	record->start_us = (now_s - 59) * 1000000;
	record->ms = 0;
	assert_false(past_batch_add(batch, record));
	record->start_us = now_s * 1000000 + DAY_US;
	assert_false(past_batch_add(batch, record));
	assert_int_equal(past_batch_count(batch), 0);

	assert_true(past_batch_add(batch, past_record(&mixed, 1)));
	write_batch(batch);
	assert_int_equal(store_write(store, begin_rebuild, NULL, NULL), 0);
	assert_true(past_batch_add(batch, past_record(&mixed, 2)));
	assert_int_equal(store_write(store, past_batch_write, batch, &err), -EBUSY);
	assert_string_equal(err.text, "sums are being made anew");
	past_batch_free(batch);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, open_world, world_tear_down)
	const struct CMUnitTest tests[] = {
		TEST(they_lie_before_what_goes_on_being_written),
		TEST(an_empty_journal_takes_them),
		TEST(they_are_found_by_what_they_have),
		TEST(what_retention_would_remove_is_summed_up),
		TEST(a_mark_takes_the_place_of_the_one_before),
		TEST(what_is_too_young_or_in_the_way_of_a_rebuild_is_refused),
	};
#undef TEST

	return cmocka_run_group_tests(tests, NULL, NULL);
}
