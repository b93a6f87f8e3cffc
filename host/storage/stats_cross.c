#include "storage/stats_cross.h"

#include <errno.h>
#include <string.h>

#include "storage/journal_search.h"

#define US 1000000

struct pass {
	const struct stats_query *query;
	enum rollup_dimension by;
	struct rollup_batch *batch;
	uint32_t looked; /* records, and places in the index that led to none */
	stats_cell_fn *fn;
	void *arg;
	struct err *err;
};

/* What the index can find; for an endpoint it has no list, and all records are looked at. */
static struct journal_filter filter_of(const struct stats_query *query)
{
	struct journal_filter filter = { 0 };

	switch (query->filter) {
	case ROLLUP_PROVIDER:
		filter.provider = query->value;
		break;
	case ROLLUP_MODEL:
		filter.model = query->value;
		break;
	case ROLLUP_GROUP:
		filter.group = query->value;
		break;
	case ROLLUP_TOKEN:
		filter.token = query->value;
		break;
	case ROLLUP_KEY:
		filter.key = query->value;
		break;
	case ROLLUP_ALL:
	case ROLLUP_ENDPOINT:
	case ROLLUP_DIMENSIONS:
		break;
	}
	return filter;
}

static bool has_value(const struct record *record, const struct stats_query *query)
{
	struct bytes value = rollup_dimension_value(record, query->filter);

	return value.size == query->value.size &&
		(!value.size || memcmp(value.data, query->value.data, value.size) == 0);
}

static int hand_on(struct pass *pass)
{
	int rc = 0;

	for (size_t i = 0; i < rollup_batch_cells(pass->batch) && !rc; i++) {
		const struct rollup_cell *cell = rollup_batch_cell(pass->batch, i);

		if (cell->dimension == pass->by || cell->dimension == ROLLUP_ALL)
			rc = pass->fn(pass->batch, cell, pass->arg);
	}
	rollup_batch_reset(pass->batch);
	return rc;
}

/* One that cannot be read is in no sum. */
static int add(struct pass *pass, struct bytes row)
{
	struct record_attempt room[RECORD_ATTEMPTS_MAX];
	struct record record;
	int rc;

	if (record_decode(&record, row, room) != 0 || !has_value(&record, pass->query))
		return 0;
	if (rollup_batch_is_full(pass->batch) && (rc = hand_on(pass)) != 0)
		return rc;
	/* As if all were of one minute: when they were does not matter. */
	rollup_add(pass->batch, &record, 0);
	return 0;
}

static int look(struct pass *pass, struct journal_search *search)
{
	struct bytes row;
	uint64_t key;
	int rc;

	while ((rc = journal_search_next(search, &key, &row)) > 0 || rc == -EAGAIN) {
		if (++pass->looked > STATS_RECORDS_MAX)
			return err_set(pass->err, -E2BIG,
				"of one %s by %s there are no sums, and more than %d records "
				"are not looked at: ask for a shorter time",
				rollup_dimension_name(pass->query->filter),
				rollup_dimension_name(pass->by), STATS_RECORDS_MAX);
		if (rc > 0 && (rc = add(pass, row)) != 0)
			return rc;
	}
	return rc;
}

int stats_cross(struct txn *txn, const struct stats_query *query,
	enum rollup_dimension by, stats_cell_fn *fn, void *arg, struct err *err)
{
	struct journal_filter filter = filter_of(query);
	struct pass pass = { .query = query, .by = by, .fn = fn, .arg = arg, .err = err };
	struct journal_search *search = journal_search_new(txn, &filter, false,
		(uint64_t)query->from_s * US, (uint64_t)query->until_s * US - 1);
	int rc;

	pass.batch = rollup_batch_new();
	rc = look(&pass, search);
	if (!rc)
		rc = hand_on(&pass);
	rollup_batch_free(pass.batch);
	journal_search_free(search);
	return rc;
}
