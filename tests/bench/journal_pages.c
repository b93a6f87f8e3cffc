/* Reads pages of records out of a journal that journal_fill has filled, and says how long
 * that takes.
 *
 *	journal_pages FOLDER [ROUNDS]
 *
 * A line for each filter: the milliseconds of half and of 95 of 100 pages of 100 records,
 * and of the slowest. Half of the pages are the newest ones, half begin anywhere. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../c/record_source.h"
#include "base/clock.h"
#include "storage/journal_query.h"
#include "storage/storage.h"

#define DAYS_US (90LL * 86400 * 1000000)
#define TEXT(text) ((struct bytes) { text, sizeof(text) - 1 })

static const struct {
	const char *name;
	struct journal_filter filter;
} filters[] = {
	{ "time", { 0 } },
	{ "token", { .token = TEXT("team-7") } },
	{ "rare token", { .token = TEXT("team-199") } },
	{ "group", { .group = TEXT("group-3") } },
	{ "provider", { .provider = TEXT("provider-7") } },
	{ "model", { .model = TEXT("vendor-model-20251001-29") } },
	{ "outcome", { .has_outcome = true, .outcome = RECORD_FAILED } },
	{ "status", { .status = 502 } },
	{ "key", { .key = TEXT("key-39") } },
	{ "token, model, failed",
		{ .token = TEXT("team-150"),
			.model = TEXT("vendor-model-20251001-20"),
			.has_outcome = true,
			.outcome = RECORD_FAILED } },
	{ "rare token, rare model",
		{ .token = TEXT("team-199"),
			.model = TEXT("vendor-model-20251001-29") } },
	{ "cost", { .min_cost_micros = 65000 } },
	{ "text", { .text = TEXT("overloaded") } },
	{ "text, none", { .text = TEXT("xyzzy") } },
};

static int compare(const void *a, const void *b)
{
	int64_t left = *(const int64_t *)a, right = *(const int64_t *)b;

	return (left > right) - (left < right);
}

/* Microseconds; -1: an error. */
static int64_t read_one(struct store *store, const struct journal_filter *filter,
	const char *cursor, struct buf *out, uint32_t *count)
{
	struct journal_page page = { .filter = *filter,
		.cursor = { cursor, strlen(cursor) },
		.limit = 100,
		.out = out };
	int64_t begin_us = clock_us();
	int rc = store_read(store, journal_page, &page, NULL);

	*count = page.count;
	return rc ? -1 : clock_us() - begin_us;
}

static bool measure(struct store *store, size_t which, int rounds, int64_t *times)
{
	struct record_source source = { .seed = which };
	int64_t now_us = clock_wall_us();
	struct buf out = { 0 };
	uint64_t records = 0;

	for (int i = 0; i < rounds; i++) {
		char cursor[JOURNAL_CURSOR_SIZE] = "";
		uint64_t ago = source_random(&source) % DAYS_US;
		uint32_t count;

		if (i % 2)
			snprintf(cursor, sizeof(cursor), "d%016" PRIx64,
				(uint64_t)now_us - ago);
		times[i] = read_one(store, &filters[which].filter, cursor, &out, &count);
		if (times[i] < 0)
			break;
		records += count;
	}
	buf_clear(&out);
	qsort(times, (size_t)rounds, sizeof(*times), compare);
	printf("%-24s p50 %6.2f  p95 %6.2f  max %6.2f ms  %5.1f records a page\n",
		filters[which].name, (double)times[rounds / 2] / 1e3,
		(double)times[rounds * 95 / 100] / 1e3, (double)times[rounds - 1] / 1e3,
		(double)records / rounds);
	return times[0] >= 0;
}

int main(int argc, char **argv)
{
	int rounds = argc > 2 ? (int)strtol(argv[2], NULL, 10) : 200;
	int64_t *times = calloc((size_t)rounds + 1, sizeof(*times));
	int64_t begin_us = clock_us();
	struct store *store;
	struct err err = { "usage: journal_pages FOLDER [ROUNDS]" };
	bool is_well = true;

	if (argc < 2 || rounds < 1 ||
		store_open(&store, argv[1], &journal_layout, &err) != 0) {
		fprintf(stderr, "journal_pages: %s\n", err.text);
		return 1;
	}
	printf("opened in %.2f ms\n", (double)(clock_us() - begin_us) / 1e3);
	for (size_t i = 0; i < COUNT_OF(filters) && is_well; i++)
		is_well = measure(store, i, rounds, times);
	store_close(store);
	free(times);
	return is_well ? 0 : 1;
}
