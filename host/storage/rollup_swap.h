/* rollup_swap.h - rows that were rebuilt take the places of those in force. Private to
 * rollup_rebuild.c.
 *
 * A span (all rows of one minute, hour or day) is replaced as a whole, in one transaction,
 * unless what was rebuilt counts fewer requests: then records were deleted, and the rows
 * in force stay. */
#pragma once

#include <stdint.h>

#include "base/mem.h"
#include "storage/rollup_row.h"

MUST_CHECK
int rollup_swap(struct txn *txn, enum rollup_span span, int64_t start_s);
/* Some of the spans that wait. 1: there are more; 0: that was all. */
MUST_CHECK
int rollup_swap_page(struct txn *txn);
