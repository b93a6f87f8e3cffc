/* table.h - the rows of a table by their key, inside of a transaction.
 *
 * Keys and values are bytes; key.h makes keys. All functions return 0 or a negative
 * errno: -ENOENT where there is no such row, -ENAMETOOLONG for a key that is empty or
 * longer than KEY_MAX, -ENOSPC, -EIO and others for what the disk says. After an error of
 * the last kind the transaction fails whatever its function returns. A table must be one
 * of the transaction's store (asserted). */
#pragma once

#include <stdint.h>

#include "base/mem.h"
#include "storage/key.h"
#include "storage/store.h"

/* value is borrowed: good until the transaction's next write or its end. */
MUST_CHECK
int table_get(struct txn *txn, const struct table *table, struct bytes key,
	struct bytes *value);
/* Adds or replaces. */
MUST_CHECK
int table_put(struct txn *txn, const struct table *table, struct bytes key,
	struct bytes value);
/* Only adds: -EEXIST. */
MUST_CHECK
int table_insert(struct txn *txn, const struct table *table, struct bytes key,
	struct bytes value);
/* As table_put, and ten times as fast where the key is greater than all others. */
MUST_CHECK
int table_append(struct txn *txn, const struct table *table, struct bytes key,
	struct bytes value);
MUST_CHECK
int table_delete(struct txn *txn, const struct table *table, struct bytes key);
/* Removes all rows. */
MUST_CHECK
int table_empty(struct txn *txn, const struct table *table);
MUST_CHECK
int table_count(struct txn *txn, const struct table *table, uint64_t *count);
/* What the rows take on disk, in whole pages; of no more cost than table_count(). */
MUST_CHECK
int table_bytes(struct txn *txn, const struct table *table, uint64_t *bytes);
