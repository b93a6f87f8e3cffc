/* journal_lookup.h - the record of an id. What is shown of it is in journal_query.h. */
#pragma once

#include <stdint.h>

#include "base/mem.h"
#include "storage/record.h"

struct txn;

/* The record and its key. Its texts borrow from the store, its attempts lie in room, which has
 * RECORD_ATTEMPTS_MAX. -ENOENT: there is none. */
MUST_CHECK
int journal_find(struct txn *txn, const unsigned char id[16], uint64_t *number,
	struct record *record, struct record_attempt *room);
