#include "storage/stats.h"

#include <errno.h>
#include <stdbool.h>

#include "storage/rollup.h"
#include "storage/stats_json.h"
#include "storage/stats_time.h"
#include "storage/table.h"

/* One call's way through the rows. */
struct walk {
	struct txn *txn;
	const struct stats_query *query;
	struct err *err;
	uint32_t rows;
};

static int too_much(struct walk *walk)
{
	return err_set(walk->err, -E2BIG,
		"more than %d rows: ask for a shorter time, or for whole days",
		STATS_ROWS_MAX);
}

/* -- one value -------------------------------------------------------------------- */

static int add_row(struct walk *walk, enum rollup_span rows, int64_t start_s,
	struct rollup_sums *sums)
{
	const struct stats_query *query = walk->query;
	bool is_all = query->filter == ROLLUP_ALL;
	struct bytes value;
	struct key key;
	int rc;

	if (++walk->rows > STATS_ROWS_MAX)
		return too_much(walk);
	rollup_key(&key, rows, start_s, query->filter,
		is_all ? (struct bytes) { 0 } : query->value);
	rc = table_get(walk->txn, &rollup_table, key_bytes(&key), &value);
	if (rc == 0)
		rc = rollup_unpack(sums, value, ROLLUP_WHOLE);
	return rc == -ENOENT ? 0 : rc;
}

static int add_span(struct walk *walk, int64_t from_s, int64_t until_s,
	struct rollup_sums *sums)
{
	struct stats_span span;
	enum rollup_span rows;
	int64_t start_s;
	int rc = stats_span_open(&span, walk->txn, from_s, until_s);

	while (rc == 0 && stats_span_next(&span, &rows, &start_s))
		rc = add_row(walk, rows, start_s, sums);
	return rc;
}

/* What of the span has passed, for rates. */
static int64_t elapsed(const struct stats_query *query, int64_t from_s, int64_t until_s)
{
	return (until_s < query->now_s ? until_s : query->now_s) - from_s;
}

/* from_s and until_s are as stats_snap_span() gives them. */
static int write_span(struct walk *walk, int64_t from_s, int64_t until_s,
	struct rollup_sums *sums, struct buf *out)
{
	int rc;

	rollup_sums_clear(sums);
	if ((rc = add_span(walk, from_s, until_s, sums)) != 0)
		return rc;
	buf_append(out, "{", 1);
	stats_json_number(out, "from", (uint64_t)from_s);
	stats_json_number(out, "until", (uint64_t)until_s);
	stats_json_sums(out, sums, elapsed(walk->query, from_s, until_s));
	buf_append(out, "}", 1);
	return 0;
}

int stats_overview(struct txn *txn, const struct stats_query *query, struct buf *out,
	struct err *err)
{
	struct walk walk = { .txn = txn, .query = query, .err = err };
	int64_t from_s = query->from_s, until_s = query->until_s;
	struct rollup_sums sums = { 0 };
	int rc = stats_snap_span(&from_s, &until_s, query->now_s, err);

	return rc ? rc : write_span(&walk, from_s, until_s, &sums, out);
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
	struct walk walk = { .txn = txn, .query = query, .err = err };
	struct rollup_sums sums = { 0 };
	int rc = check_edges(query, edges_s, edge_count, err);
	const char *comma = "";

	if (rc)
		return rc;
	buf_append_text(out, "{\"spans\":[");
	for (size_t i = 0; i + 1 < edge_count; i++) {
		int64_t from_s = edges_s[i], until_s = edges_s[i + 1];
		bool is_cut = i == 0 || i + 2 == edge_count;

		rc = stats_snap_span(&from_s, &until_s, query->now_s, err);
		if (rc == -ERANGE && is_cut)
			continue;
		buf_append_text(out, comma);
		comma = ",";
		if (rc == 0)
			rc = write_span(&walk, from_s, until_s, &sums, out);
		if (rc)
			return rc;
	}
	buf_append_text(out, "]}");
	return 0;
}
