/* stats_sum.h - what stats*.c have in common: the sums of one value, and how much one call
 * may read. Private to them. The query's span is as stats_snap_span() gives it. */
#pragma once

#include <stdint.h>

#include "storage/stats.h"

struct stats_work {
	uint32_t rows; /* read so far */
	struct err *err;
};

/* Before each row. -E2BIG, with its text: no more. */
MUST_CHECK
int stats_work_add(struct stats_work *work);
/* Adds the query's span to sums. */
MUST_CHECK
int stats_sum(struct txn *txn, const struct stats_query *query, struct stats_work *work,
	struct rollup_sums *sums);
/* Seconds of the span that have passed, for rates. */
int64_t stats_elapsed(const struct stats_query *query);
