/* stats_cross.h - sums of the records that have one value, by another dimension, which no row
 * has: they are made of the records themselves. Private to stats_breakdown.c.
 *
 * Records count as they do in rows: for the value of their answer, and attempts for where
 * they were made. Work is bounded: STATS_RECORDS_MAX records are looked at. */
#pragma once

#include "storage/rollup_batch.h"
#include "storage/stats.h"

/* Sums of some of the records, of the dimension or of ROLLUP_ALL; a value may come again. */
typedef int stats_cell_fn(const struct rollup_batch *batch,
	const struct rollup_cell *cell, void *arg);

/* The records of the query's span that have the value of its filter. Returns what fn did if
 * that was not 0; -E2BIG, with its text: they are too many. */
MUST_CHECK
int stats_cross(struct txn *txn, const struct stats_query *query,
	enum rollup_dimension by, stats_cell_fn *fn, void *arg, struct err *err);
