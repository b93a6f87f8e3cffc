/* rollup.h - sums of records over minutes, hours and days, kept up to date in the
 * transactions that write the records.
 *
 * Only one minute is *open*: the last that has a record. What comes is added to its rows
 * alone; once a later minute begins, its rows are added to its hour's and its day's. So
 * what an hour or a day amounts to are its own rows, and the open minute's where that
 * lies in it. A record that comes late (the clock was set back) goes to all three.
 *
 * Minutes are kept for 48 hours, hours for 90 days, days for ever. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/mem.h"
#include "storage/rollup_batch.h"
#include "storage/rollup_row.h"

/* Adds the batch to the rows. Not to be called again for the same batch but in a
 * transaction that was undone. */
MUST_CHECK
int rollup_write(struct txn *txn, const struct rollup_batch *batch);

/* The same for records of long ago, which were added at rollup_past_us(): they go to the
 * rows of those spans that are still kept, and the open minute is not before now_s. */
MUST_CHECK
int rollup_write_past(struct txn *txn, const struct rollup_batch *batch, int64_t now_s);
/* Where the finest span begins that is kept of a time: so a batch has one cell for a day
 * of long ago and not one for each of its minutes. */
int64_t rollup_past_us(int64_t time_us, int64_t now_s);

/* Where the open minute begins. -ENOENT: nothing was ever written. */
MUST_CHECK
int rollup_open_minute(struct txn *txn, int64_t *minute_s);
/* Closes the open minute, so that everything before minute_s is in hours and days. */
MUST_CHECK
int rollup_settle(struct txn *txn, int64_t minute_s);

/* From when on the rows of a span are there: whole hours of minutes, whole days of
 * hours. For days: 0. */
int64_t rollup_kept_from(enum rollup_span span, int64_t now_s);
/* Deletes up to rows_max rows (at most CURSOR_PAGE_MAX) of those that are too old, and
 * says how many. Fewer than rows_max: that was all. */
MUST_CHECK
int rollup_trim(struct txn *txn, int64_t now_s, uint32_t rows_max, uint32_t *deleted);

/* A row of the table. Not 0: that was enough. */
typedef int rollup_row_fn(struct bytes key, struct bytes value, void *arg);
/* All rows whose keys begin with prefix, in their order; fn may write to the table where
 * that lies behind. Returns what fn did, if that was not 0, or an error. */
MUST_CHECK
int rollup_each(struct txn *txn, struct bytes prefix, rollup_row_fn *fn, void *arg);
