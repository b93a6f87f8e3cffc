/* The journal: what is pushed is on disk after a flush, or it is counted as dropped. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/clock.h"
#include "journal_check.h"

static char place[128];
static struct store *store;
static struct journal *journal;

static void start(const struct journal_options *options)
{
	struct err err = { "" };

	if (store_open(&store, place, &journal_layout, &err) != 0 ||
		journal_start(&journal, store, options, &err) != 0)
		fail_msg("%s", err.text);
}

static void stop(void)
{
	journal_close(journal);
	store_close(store);
	journal = NULL;
	store = NULL;
}

static struct journal_tally tally_now(void)
{
	struct journal_tally tally;
	struct err err = { "" };

	if (store_read(store, check_journal, &tally, &err) != 0)
		fail_msg("%s", err.text);
	return tally;
}

static void what_is_pushed_is_there(void **state)
{
	struct record_source source = { .seed = 1, .end_us = 1, .step_us = 1000 };
	int64_t begin_us = clock_wall_us();
	struct journal_figures figures;
	struct journal_tally tally;

	(void)state;
	start(&(struct journal_options) { .worker_count = 1 });
	source.end_us = begin_us;
	for (int round = 0; round < 5; round++) {
		for (int i = 0; i < 1000; i++) {
			struct record record = source_next(&source);

			assert_true(journal_push(journal, 0, &record, NULL));
		}
		journal_flush(journal);
		assert_int_equal(tally_now().records, (round + 1) * 1000);
	}
	figures = journal_figures(journal);
	assert_int_equal(figures.written, 5000);
	assert_int_equal(figures.dropped, 0);
	assert_int_equal(figures.error, 0);
	assert_int_equal(figures.waiting, 0);
	assert_in_range(figures.last_us, begin_us, clock_wall_us());
	/* Many in each. */
	assert_in_range(figures.transactions, 5, 1000);
	tally = tally_now();
	assert_int_equal(tally.last_key, tally.last_end_us);
	/* It goes on behind them. */
	stop();
	start(&(struct journal_options) { .worker_count = 1 });
	for (int i = 0; i < 100; i++) {
		struct record record = source_next(&source);

		record.start_us -= 3600LL * 1000000;
		journal_push(journal, 0, &record, NULL);
	}
	stop();
	start(&(struct journal_options) { .worker_count = 1 });
	assert_int_equal(tally_now().records, 5100);
	assert_int_equal(tally_now().last_key, tally.last_key + 100);
	stop();
}

/* Nobody asks for it. */
static void a_record_is_written_soon(void **state)
{
	struct record_source source = { .seed = 2, .end_us = 1, .step_us = 1000 };
	struct record record = source_next(&source);
	int64_t begin_ms;

	(void)state;
	start(&(struct journal_options) { .worker_count = 2 });
	begin_ms = clock_ms();
	journal_push(journal, 1, &record, NULL);
	while (!journal_figures(journal).written && clock_ms() < begin_ms + 20000)
		usleep(100);
	assert_int_equal(tally_now().records, 1);
	stop();
}

/* -- what is dropped -------------------------------------------------------------- */

/* In a transaction, so that the journal cannot write meanwhile. */
static int push_too_much(struct txn *txn, void *arg, struct err *err)
{
	struct record_source source = { .seed = 3, .end_us = 1, .step_us = 1000 };
	uint64_t *pushed = arg;
	int refused = 0;

	(void)txn;
	(void)err;
	while (refused < 10) {
		struct record record = source_next(&source);
		struct body *body = body_new(BODY_REQUEST, "text", 4, 4);

		if (journal_push(journal, 0, &record, body))
			++*pushed;
		else
			refused++;
	}
	return 0;
}

static void a_full_ring_drops_and_counts(void **state)
{
	struct record_source source = { .seed = 4, .end_us = 1, .step_us = 1000 };
	struct record record = source_next(&source);
	uint64_t pushed = 0;

	(void)state;
	start(&(struct journal_options) { .worker_count = 2, .ring_size = 65536 });
	assert_int_equal(store_write(store, push_too_much, &pushed, NULL), 0);
	assert_in_range(pushed, 50, 1000);
	/* The other worker has a ring of its own. */
	assert_true(journal_push(journal, 1, &record, NULL));
	journal_flush(journal);
	assert_int_equal(journal_figures(journal).dropped, 10);
	assert_int_equal(journal_figures(journal).written, pushed + 1);
	assert_int_equal(tally_now().records, pushed + 1);
	/* And on it goes. */
	assert_true(journal_push(journal, 0, &record, NULL));
	journal_flush(journal);
	assert_int_equal(tally_now().records, pushed + 2);
	stop();
}

static int push_large_bodies(struct txn *txn, void *arg, struct err *err)
{
	struct record_source source = { .seed = 5, .end_us = 1, .step_us = 1000 };
	unsigned char *data = xcalloc(1, BODY_SIZE_MAX + 1);

	(void)txn;
	(void)arg;
	(void)err;
	for (int i = 0; i < 12; i++) {
		struct record record = source_next(&source);

		assert_true(journal_push(journal, 0, &record,
			body_new(BODY_REQUEST, data, BODY_SIZE_MAX + 1, 20000000)));
	}
	free(data);
	return 0;
}

static void bodies_that_wait_are_bounded(void **state)
{
	struct record_source source = { .seed = 8, .end_us = 1, .step_us = 1000 };
	struct record record = source_next(&source);
	uint64_t bodies;

	(void)state;
	start(&(struct journal_options) { .worker_count = 1 });
	assert_int_equal(store_write(store, push_large_bodies, NULL, NULL), 0);
	journal_flush(journal);
	bodies = journal_figures(journal).bodies_dropped;
	assert_in_range(bodies, 1, 9);
	assert_int_equal(tally_now().records, 12);
	/* There is room again. */
	assert_true(
		journal_push(journal, 0, &record, body_new(BODY_RESPONSE, "last", 4, 4)));
	journal_flush(journal);
	assert_int_equal(journal_figures(journal).bodies_dropped, bodies);
	stop();
}

static void push_some(struct record_source *source, int count)
{
	for (int i = 0; i < count; i++) {
		struct record record = source_next(source);

		journal_push(journal, 0, &record, NULL);
	}
	journal_flush(journal);
}

static void a_disk_that_refuses_is_survived(void **state)
{
	struct record_source source = { .seed = 6, .end_us = 1, .step_us = 1000 };
	struct journal_figures figures;
	struct rlimit before, limit;
	uint64_t written;

	(void)state;
	start(&(struct journal_options) { .worker_count = 1 });
	push_some(&source, 1000);
	getrlimit(RLIMIT_FSIZE, &before);
	limit = before;
	limit.rlim_cur = 64 * 1024;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
	push_some(&source, 1000);
	push_some(&source, 500);
	setrlimit(RLIMIT_FSIZE, &before);
	figures = journal_figures(journal);
	assert_true(figures.error < 0);
	assert_non_null(strstr(figures.error_text.text, place));
	assert_int_equal(figures.written + figures.dropped, 2500);
	assert_true(figures.dropped >= 500);
	written = figures.written;
	assert_int_equal(tally_now().records, written);

	push_some(&source, 100);
	figures = journal_figures(journal);
	assert_int_equal(figures.error, 0);
	assert_string_equal(figures.error_text.text, "");
	assert_int_equal(figures.written, written + 100);
	stop();
	start(&(struct journal_options) { .worker_count = 1 });
	assert_int_equal(tally_now().records, written + 100);
	stop();
}

/* -- many threads ----------------------------------------------------------------- */

#define WORKERS 4
#define EACH 3000

static void *push_from_worker(void *arg)
{
	size_t worker = *(size_t *)arg;
	struct record_source source = { .seed = 100 + worker,
		.end_us = clock_wall_us(),
		.step_us = 100 };

	for (int i = 0; i < EACH; i++) {
		struct record record = source_next(&source);
		struct body *body = i % 50 ? NULL : body_new(BODY_RESPONSE, "x", 1, 1);

		while (!journal_push(journal, worker, &record, body)) {
			body = NULL;
			usleep(100);
		}
		if (i % 700 == 0)
			journal_flush(journal);
	}
	return NULL;
}

static void workers_do_not_disturb_each_other(void **state)
{
	struct journal_figures figures;
	pthread_t threads[WORKERS];
	size_t numbers[WORKERS];

	(void)state;
	start(&(struct journal_options) { .worker_count = WORKERS, .ring_size = 65536 });
	for (size_t i = 0; i < WORKERS; i++) {
		numbers[i] = i;
		assert_int_equal(pthread_create(&threads[i], NULL, push_from_worker,
					 &numbers[i]),
			0);
	}
	while (journal_figures(journal).written < WORKERS * EACH / 2)
		usleep(100);
	for (size_t i = 0; i < WORKERS; i++)
		pthread_join(threads[i], NULL);
	journal_flush(journal);
	figures = journal_figures(journal);
	assert_int_equal(figures.written, WORKERS * EACH);
	assert_int_equal(tally_now().records, WORKERS * EACH);
	stop();
}

/* -- life ------------------------------------------------------------------------- */

static int setup(void **state)
{
	(void)state;
	place_make(place);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	stop();
	place_remove(place);
	return 0;
}

#define WITH_PLACE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_PLACE(what_is_pushed_is_there),
		WITH_PLACE(a_record_is_written_soon),
		WITH_PLACE(a_full_ring_drops_and_counts),
		WITH_PLACE(bodies_that_wait_are_bounded),
		WITH_PLACE(a_disk_that_refuses_is_survived),
		WITH_PLACE(workers_do_not_disturb_each_other),
	};

	signal(SIGXFSZ, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
