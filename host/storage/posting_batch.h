/* posting_batch.h - what many records add to the index, gathered by value.
 *
 * Gathered before the transaction, because a transaction may have to run twice. */
#pragma once

#include <stdint.h>

#include "base/mem.h"
#include "storage/index.h"
#include "storage/store.h"

struct posting_batch;

struct posting_batch *posting_batch_new(void);
void posting_batch_free(struct posting_batch *batch);
/* Forgets the records and keeps the memory. */
void posting_batch_reset(struct posting_batch *batch);
/* Keys come in increasing order. The texts of the values must stay until the reset,
 * but for the id's. */
void posting_batch_add(struct posting_batch *batch, const struct index_values *values,
	uint64_t key);
/* Changes nothing in the batch. All keys must be greater than those in the index. */
MUST_CHECK
int posting_batch_write(const struct posting_batch *batch, struct txn *txn);
/* The same wherever the keys belong (posting_insert). */
MUST_CHECK
int posting_batch_insert(const struct posting_batch *batch, struct txn *txn);
/* The opposite: posting_forget() for each value, whatever its keys in the batch are. */
MUST_CHECK
int posting_batch_forget(const struct posting_batch *batch, struct txn *txn,
	uint64_t last);
