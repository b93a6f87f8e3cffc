#include "storage/stats.h"

#include <errno.h>
#include <stdbool.h>

#include "storage/rollup.h"
#include "storage/stats_json.h"
#include "storage/stats_sum.h"
#include "storage/stats_time.h"
#include "storage/table.h"

int stats_work_add(struct stats_work *work)
{
	if (++work->rows <= STATS_ROWS_MAX)
		return 0;
	return err_set(work->err, -E2BIG, "more than %d rows: ask for a shorter time",
		STATS_ROWS_MAX);
}

static int add_row(struct txn *txn, const struct stats_query *query,
	enum rollup_span rows, int64_t start_s, struct rollup_sums *sums)
{
	struct bytes value = query->value;
	struct key key;
	int rc;

	if (query->filter == ROLLUP_ALL)
		value.size = 0;
	rollup_key(&key, rows, start_s, query->filter, value);
	rc = table_get(txn, &rollup_table, key_bytes(&key), &value);
	if (rc == 0)
		rc = rollup_unpack(sums, value, ROLLUP_WHOLE);
	return rc == -ENOENT ? 0 : rc;
}

int stats_sum(struct txn *txn, const struct stats_query *query, struct stats_work *work,
	struct rollup_sums *sums)
{
	struct stats_span span;
	enum rollup_span rows;
	int64_t start_s;
	int rc = stats_span_open(&span, txn, query->from_s, query->until_s);

	while (rc == 0 && stats_span_next(&span, &rows, &start_s)) {
		if ((rc = stats_work_add(work)) == 0)
			rc = add_row(txn, query, rows, start_s, sums);
	}
	return rc;
}

int64_t stats_elapsed(const struct stats_query *query)
{
	int64_t until_s = query->until_s;

	return (until_s < query->now_s ? until_s : query->now_s) - query->from_s;
}

static int write_span(struct txn *txn, const struct stats_query *query,
	struct stats_work *work, struct rollup_sums *sums, struct buf *out)
{
	int rc;

	rollup_sums_clear(sums);
	if ((rc = stats_sum(txn, query, work, sums)) != 0)
		return rc;
	buf_append(out, "{", 1);
	stats_json_number(out, "from", (uint64_t)query->from_s);
	stats_json_number(out, "until", (uint64_t)query->until_s);
	stats_json_sums(out, sums, stats_elapsed(query));
	buf_append(out, "}", 1);
	return 0;
}

int stats_overview(struct txn *txn, const struct stats_query *query, struct buf *out,
	struct err *err)
{
	struct stats_work work = { .err = err };
	struct stats_query kept = *query;
	struct rollup_sums sums = { 0 };
	int rc = stats_snap_span(&kept.from_s, &kept.until_s, kept.now_s, err);

	return rc ? rc : write_span(txn, &kept, &work, &sums, out);
}

static int check_edges(const struct stats_query *query, const int64_t *edges_s,
	size_t edge_count, struct err *err)
{
	int64_t from_s, until_s;

	if (edge_count < 2)
		return err_set(err, -EINVAL, "a series needs two edges at least");
	if (edge_count > STATS_SPANS_MAX + 1)
		return err_set(err, -E2BIG, "a series has %d spans at the most",
			STATS_SPANS_MAX);
	from_s = edges_s[0];
	until_s = edges_s[edge_count - 1];
	return stats_snap_span(&from_s, &until_s, query->now_s, err);
}

int stats_series(struct txn *txn, const struct stats_query *query, const int64_t *edges_s,
	size_t edge_count, struct buf *out, struct err *err)
{
	struct stats_work work = { .err = err };
	struct stats_query part = *query;
	struct rollup_sums sums = { 0 };
	int rc = check_edges(query, edges_s, edge_count, err);
	const char *comma = "";

	if (rc)
		return rc;
	buf_append_text(out, "{\"spans\":[");
	for (size_t i = 0; i + 1 < edge_count; i++) {
		bool is_cut = i == 0 || i + 2 == edge_count;

		part.from_s = edges_s[i];
		part.until_s = edges_s[i + 1];
		rc = stats_snap_span(&part.from_s, &part.until_s, part.now_s, err);
		if (rc == -ERANGE && is_cut)
			continue;
		buf_append_text(out, comma);
		comma = ",";
		if (rc == 0)
			rc = write_span(txn, &part, &work, &sums, out);
		if (rc)
			return rc;
	}
	buf_append_text(out, "]}");
	return 0;
}
