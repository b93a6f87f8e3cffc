/* posting.h - which records have a value: lists of record keys in chunks.
 *
 * The index has a row for each chunk, not for each record: its key is the dimension, the
 * value and the first record's key, and it holds up to POSTING_CHUNK record keys, each as
 * the distance from the one before. Only the last chunk of a value grows, so that whoever
 * writes many records at once (posting_batch.h) touches one row for each value. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/mem.h"
#include "storage/index.h"
#include "storage/store.h"

#define POSTING_CHUNK 512 /* record keys; fewer where they are far apart */

/* The next key to be added, increasing; false: there are no more. */
typedef bool posting_next_fn(void *arg, uint64_t *key);

struct cursor;

/* A cursor for any number of posting_write() in one transaction. */
MUST_CHECK
int posting_open(struct cursor **out, struct txn *txn);
/* Adds at least one key. -EBADMSG: they are not greater than those of the value, or the
 * index is damaged. */
MUST_CHECK
int posting_write(struct txn *txn, struct cursor *cursor, const struct index_value *value,
	posting_next_fn *next, void *arg);
/* Adds keys anywhere, increasing and new to the value: what posting_write() cannot, which
 * only goes on at the end. -EBADMSG: the index is damaged where they belong. */
MUST_CHECK
int posting_insert(struct txn *txn, const struct index_value *value, const uint64_t *keys,
	size_t count);
/* Removes the chunks of a value that only have keys up to last. */
MUST_CHECK
int posting_forget(struct txn *txn, const struct index_value *value, uint64_t last);

/* The record keys of one value, in both directions. A beginning is all zero but for txn and
 * value, which is borrowed; there is nothing to close. */
struct posting {
	struct txn *txn;
	struct index_value value;
	size_t count;                 /* 0: none is loaded */
	uint64_t keys[POSTING_CHUNK]; /* of one chunk */
};

/* 1 and the least key that is not less than target, or, is_down, the greatest that is not
 * greater; 0: there is none; or a negative errno (-EBADMSG: the index is damaged). */
MUST_CHECK
int posting_seek(struct posting *posting, uint64_t target, bool is_down, uint64_t *found);
