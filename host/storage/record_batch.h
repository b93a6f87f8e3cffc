/* record_batch.h - the records that go to disk in one transaction, and all that follows
 * from them: details, bodies, index, statistics.
 *
 * A worker writes a message into its ring; the journal's thread gathers messages in a
 * batch and writes it. What can be done before the transaction is done on gathering: a
 * transaction may have to run twice, and nobody else can write meanwhile. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/mem.h"
#include "storage/body.h"
#include "storage/record.h"
#include "storage/store.h"

#define RECORD_BATCH_MAX 4096 /* records */

/* A message of size_max bytes at most, which begins with the time of the record's end, in
 * microseconds; out is aligned to 8. Takes bodies, which may be NULL. Returns its size. */
size_t record_message_size_max(const struct record *record);
size_t record_message_write(const struct record *record, struct body *bodies,
	unsigned char *out);

struct record_batch;

struct record_batch *record_batch_new(void);
/* NULL is fine. */
void record_batch_free(struct record_batch *batch);

/* A transaction's function; arg is the batch, which goes on behind the last record that is
 * in the store. */
int record_batch_begin(struct txn *txn, void *arg, struct err *err);

/* message must stay until the reset; record_message_write() has written it. The batch is
 * not full. The record's key is the time of its end in microseconds, or the next one that
 * is free: keys only increase, whatever the clock does. Frees the bodies and returns what
 * they weighed. */
size_t record_batch_add(struct record_batch *batch, struct bytes message);
bool record_batch_is_full(const struct record_batch *batch);
size_t record_batch_count(const struct record_batch *batch);
/* A transaction's function; arg is the batch, in which it changes nothing. */
int record_batch_write(struct txn *txn, void *arg, struct err *err);
/* Forgets the records, written or not. */
void record_batch_reset(struct record_batch *batch);
