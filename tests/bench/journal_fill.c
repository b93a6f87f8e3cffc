/* Fills a journal through the same code as neap, and says what that costs.
 *
 *	journal_fill FOLDER COUNT        as fast as it goes, without a drop
 *	journal_fill FOLDER COUNT RATE   RATE records in a second; drops are counted
 *
 * The records are those of the last 90 days, whose sums are then trimmed as a neap that
 * has run for so long trims them, or with a rate those of now. One line of JSON: records,
 * seconds, rps, push_us and writer_us (microseconds of processor time for each on the
 * worker's side and on the writer's), dropped, transactions, bytes on disk for each. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "../c/record_source.h"
#include "base/clock.h"
#include "storage/journal.h"
#include "storage/retention.h"
#include "storage/storage.h"

#define DAYS_US (90LL * 86400 * 1000000)

static double cpu_seconds(clockid_t id)
{
	struct timespec now;

	clock_gettime(id, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void nap_us(long us)
{
	nanosleep(&(struct timespec) { 0, us * 1000 }, NULL);
}

/* Seconds of processor time that the pushes took. */
static double push_all(struct journal *journal, struct record_source *source,
	uint64_t count, double rate)
{
	int64_t begin_us = clock_us();
	double seconds = 0;

	for (uint64_t i = 0; i < count; i += 100) {
		struct journal_figures figures = journal_figures(journal);

		while (!rate && figures.waiting > figures.ring_size / 2) {
			nap_us(500);
			figures = journal_figures(journal);
		}
		while (rate > 0 &&
			(double)(clock_us() - begin_us) * rate / 1e6 < (double)i)
			nap_us(300);
		for (int j = 0; j < 100; j++) {
			struct record record = source_next(source);
			double before = cpu_seconds(CLOCK_THREAD_CPUTIME_ID);

			journal_push(journal, 0, &record, NULL);
			seconds += cpu_seconds(CLOCK_THREAD_CPUTIME_ID) - before;
		}
	}
	return seconds;
}

/* What asking for the time costs, which the pushes were charged with. */
static double clock_seconds(uint64_t count)
{
	double begin = cpu_seconds(CLOCK_THREAD_CPUTIME_ID), sum = 0;

	for (int i = 0; i < 10000; i++)
		sum += cpu_seconds(CLOCK_THREAD_CPUTIME_ID);
	(void)sum;
	return (cpu_seconds(CLOCK_THREAD_CPUTIME_ID) - begin) / 10000 * (double)count;
}

static void report(struct journal *journal, struct store *store, uint64_t count,
	double seconds, double push_seconds, double writer_seconds)
{
	struct journal_figures figures = journal_figures(journal);
	double each = 1e6 / (double)count;

	printf("{\"records\":%llu,\"seconds\":%.2f,\"rps\":%.0f,\"push_us\":%.2f,"
	       "\"writer_us\":%.2f,\"dropped\":%llu,\"transactions\":%llu,\"bytes\":%.0f}\n",
		(unsigned long long)count, seconds, (double)count / seconds,
		push_seconds * each, writer_seconds * each,
		(unsigned long long)figures.dropped,
		(unsigned long long)figures.transactions,
		(double)store_figures(store).used / (double)count);
}

static int trim(struct store *store, struct err *err)
{
	struct retention_slice slice = { .now_us = clock_wall_us() };
	int rc;

	do
		rc = store_write(store, retention_slice, &slice, err);
	while (rc == 0 && slice.has_more);
	return rc;
}

int main(int argc, char **argv)
{
	uint64_t count = argc > 2 ? strtoull(argv[2], NULL, 10) : 0;
	double rate = argc > 3 ? strtod(argv[3], NULL) : 0;
	struct journal_options options = { .worker_count = 1 };
	struct record_source source = { .seed = 1 };
	struct journal *journal;
	struct store *store;
	struct err err;
	double cpu, own, push_seconds;
	int64_t begin_us;

	if (!count) {
		fprintf(stderr, "usage: journal_fill FOLDER COUNT [RATE]\n");
		return 2;
	}
	source.step_us = rate > 0 ? (int64_t)(1e6 / rate) : DAYS_US / (int64_t)count;
	source.end_us = clock_wall_us() - (rate > 0 ? 0 : DAYS_US);
	if (store_open(&store, argv[1], &journal_layout, &err) != 0 ||
		journal_start(&journal, store, &options, &err) != 0) {
		fprintf(stderr, "journal_fill: %s\n", err.text);
		return 1;
	}
	begin_us = clock_us();
	cpu = cpu_seconds(CLOCK_PROCESS_CPUTIME_ID);
	own = cpu_seconds(CLOCK_THREAD_CPUTIME_ID);
	push_seconds = push_all(journal, &source, count, rate) - clock_seconds(count);
	journal_flush(journal);
	cpu = cpu_seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu -
		(cpu_seconds(CLOCK_THREAD_CPUTIME_ID) - own);
	report(journal, store, count, (double)(clock_us() - begin_us) / 1e6, push_seconds,
		cpu);
	journal_close(journal);
	if (!rate && trim(store, &err) != 0) {
		fprintf(stderr, "journal_fill: %s\n", err.text);
		return 1;
	}
	store_close(store);
	return 0;
}
