/* stats.h - what the rows of rollup.h answer: sums of a span of time, a series of them,
 * and who had how much, as JSON text.
 *
 * All functions run in a reader's transaction and append one JSON object to out; after an
 * error there may be half of one. Times are seconds since 1970. Of older times only whole
 * hours (after 48 hours) or whole UTC days (after 90 days) are kept: what is asked for is
 * moved to the nearest of these, and `from` and `until` of the answer say to where. Spans
 * that follow each other still do, so that their sums are those of the whole.
 *
 * Work is bounded: STATS_ROWS_MAX rows are read by one call at the most.
 *
 * Errors, with a text: -EINVAL for a span that is none; -ERANGE where nothing so short is
 * kept of that time; -E2BIG for more than one call reads or writes; or what the disk
 * says. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "storage/rollup_row.h"

#define STATS_ROWS_MAX 500000
#define STATS_SPANS_MAX 3000    /* of one series */
#define STATS_TOP_MAX 1000      /* of one breakdown */
#define STATS_RECORDS_MAX 50000 /* of a breakdown that no rows have */

struct stats_query {
	int64_t now_s;
	int64_t from_s;
	int64_t until_s; /* the first second that does not belong to it */
	/* Only records with this value of this dimension; ROLLUP_ALL: all records. */
	enum rollup_dimension filter;
	struct bytes value;
};

/* {"from", "until", and the sums of stats_json.h} */
MUST_CHECK
int stats_overview(struct txn *txn, const struct stats_query *query, struct buf *out,
	struct err *err);

/* {"spans": [{"from", "until", sums}, …]}, one between each two of the edges, which take
 * the place of the query's from_s and until_s and grow. The first or the last is missing
 * where a day was cut and nothing so short is kept of that time. */
MUST_CHECK
int stats_series(struct txn *txn, const struct stats_query *query, const int64_t *edges_s,
	size_t edge_count, struct buf *out, struct err *err);

enum stats_order { STATS_BY_REQUESTS, STATS_BY_TOKENS, STATS_BY_COST };

/* {"from", "until", "by", "count": values that there are, "values": [{"value", sums}, …]
 * the first of them in that order, "other": {sums} of the rest or null, "total": {sums}}.
 * Where the query's filter is another dimension there are no rows, since these are sums by
 * one: the records of the span are looked through, as they are kept, with its very ends. */
MUST_CHECK
int stats_breakdown(struct txn *txn, const struct stats_query *query,
	enum rollup_dimension by, enum stats_order order, uint32_t top, struct buf *out,
	struct err *err);
