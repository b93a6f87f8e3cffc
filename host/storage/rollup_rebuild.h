/* rollup_rebuild.h - makes the sums of past days anew from their records.
 *
 * For sums of a dimension that is new, and after mistakes; a cost that changes needs it
 * not (rollup_recost). Each day's rows are built beside those in force, a page of records
 * in each transaction, and then take their places minute by minute and hour by hour;
 * meanwhile records are written as ever, and statistics read sums that are whole. Where
 * records were deleted since, so that there are fewer than the row in force has counted,
 * that row stays.
 *
 * How far it is stands in the table: it goes on after the process ended at any point. One
 * at a time. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/mem.h"

struct txn;

struct rollup_rebuild {
	int64_t from_s; /* the day that is worked on */
	int64_t until_s;
	uint64_t next_us; /* the first record that is not counted */
	bool is_counted;  /* all records of the day are; rows take their places */
	uint64_t records; /* so far */
};

/* From the UTC day of from_s to that of the second before until_s, at most to the open
 * minute. -EINVAL: not a span; -EBUSY: another one is under way. */
MUST_CHECK
int rollup_rebuild_begin(struct txn *txn, int64_t from_s, int64_t until_s,
	struct err *err);
/* One page of work. 1: there is more; 0: it is done, or none is under way. */
MUST_CHECK
int rollup_rebuild_step(struct txn *txn, int64_t now_s);
/* How far it is. -ENOENT: none is under way. */
MUST_CHECK
int rollup_rebuild_read(struct txn *txn, struct rollup_rebuild *rebuild);
