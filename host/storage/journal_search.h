/* journal_search.h - the keys of the records that may be wanted, in order.
 *
 * Where the filter names values that the index has, only records that have all of these
 * come; else every record of the span. In a transaction, and not longer than that. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/mem.h"
#include "storage/journal_filter.h"
#include "storage/key.h"
#include "storage/store.h"

struct journal_search;

/* From `from` on in the direction, both ends included: from is the greater one where
 * is_down. Borrows the filter. */
struct journal_search *journal_search_new(struct txn *txn,
	const struct journal_filter *filter, bool is_down, uint64_t from, uint64_t until);
/* 1 and a record; 0: there is none any more; -EAGAIN: so much was looked at without finding
 * one that the caller should look at the clock, and may ask again; or another negative
 * errno. row is good as table_get()'s. */
MUST_CHECK
int journal_search_next(struct journal_search *search, uint64_t *key, struct bytes *row);
/* The next key that is looked at: where another search goes on. */
uint64_t journal_search_position(const struct journal_search *search);
void journal_search_free(struct journal_search *search);
