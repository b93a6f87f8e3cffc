/* past_batch.h - records of long ago, from the log of another router, and all that follows
 * from them: details, index, statistics, in one transaction.
 *
 *	past_batch_add(batch, &record);              // any order, until it is full
 *	store_write(journal, past_batch_write, batch, &err);
 *	past_batch_reset(batch);
 *
 * They lie before what the journal's writer appends, so that this may run beside it, also in
 * another process: nothing of a record's past is kept in memory there, and none is younger
 * than PAST_YOUNGEST_S. What retention would remove at once is only summed up. A record whose
 * id is there already is left out; and so that what retention has removed is not summed up
 * twice, a mark says up to which row of its source all is carried. For one thread. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "storage/record.h"
#include "storage/store.h"

#define PAST_BATCH_MAX 1000 /* records: short enough for a writer that waits */
#define PAST_YOUNGEST_S 60
#define PAST_MARK_MAX 200 /* bytes of a mark's name */

struct past_batch;

struct past_figures {
	uint64_t carried; /* records that are written, or only summed up */
	uint64_t summed;  /* those of them that are only summed up */
	uint64_t there;   /* were there already */
};

/* now_s: since 1970. record_age_s: of retention, or 0 for no end. */
struct past_batch *past_batch_new(int64_t now_s, int64_t record_age_s);
/* NULL is fine. */
void past_batch_free(struct past_batch *batch);

/* Copies the record, whose id is record_id_make()'s. The batch is not full. False: it is too
 * young, and is not taken. */
bool past_batch_add(struct past_batch *batch, const struct record *record);
bool past_batch_is_full(const struct past_batch *batch);
size_t past_batch_count(const struct past_batch *batch);

/* A mark, which becomes a row of meta_table with the id of the record that it stands for, and
 * takes the place of the one before (or of none: empty). Copies all. */
void past_batch_mark(struct past_batch *batch, struct bytes name,
	const unsigned char id[16], struct bytes before);

/* Transactions' functions; arg is the batch. The second one only counts, in a store that is
 * read. -EBUSY: sums are being made anew. */
int past_batch_write(struct txn *txn, void *arg, struct err *err);
int past_batch_look(struct txn *txn, void *arg, struct err *err);
/* Of the last of these two. */
struct past_figures past_batch_figures(const struct past_batch *batch);
/* Forgets records and marks, written or not. */
void past_batch_reset(struct past_batch *batch);
