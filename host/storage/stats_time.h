/* stats_time.h - which rows make up a span of time, and where days and months begin.
 *
 * Plain functions, but for stats_span_open(), which looks what there is. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/mem.h"
#include "storage/rollup_row.h"

struct txn;

enum stats_step { STATS_MINUTE, STATS_HOUR, STATS_DAY, STATS_MONTH };

/* Cuts [from_s, until_s) where minutes, hours, days or months begin that far east of
 * UTC; the first edge is from_s, the last until_s. edges_s has room for room; -E2BIG: it
 * is not enough. -EINVAL: not a span, or an offset of more than a day. Where the offset
 * changes in between the caller makes the edges. */
MUST_CHECK
int stats_edges(enum stats_step step, int32_t offset_s, int64_t from_s, int64_t until_s,
	int64_t *edges_s, size_t room, size_t *count, struct err *err);

/* Moves both to the nearest moment at which something begins that is still kept. -EINVAL:
 * not a span; -ERANGE: nothing is left of it. */
MUST_CHECK
int stats_snap_span(int64_t *from_s, int64_t *until_s, int64_t now_s, struct err *err);

/* A span of time, taken apart into rows: whole days, and where it does not begin or end
 * with one, hours and minutes. */
struct stats_span {
	int64_t at_s;
	int64_t until_s;
	int64_t open_s;   /* the open minute, or INT64_MIN */
	bool is_open_due; /* its rows come next */
};

/* from_s and until_s are as stats_snap_span() gives them. */
MUST_CHECK
int stats_span_open(struct stats_span *span, struct txn *txn, int64_t from_s,
	int64_t until_s);
/* 1 and the next rows' span and start; 0: that was all. */
int stats_span_next(struct stats_span *span, enum rollup_span *rows, int64_t *start_s);
