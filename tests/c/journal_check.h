/* journal_check.h - a journal for a test, and whether its tables agree with each other. */
#pragma once

#include <errno.h>

#include "record_source.h"
#include "storage/cursor.h"
#include "storage/index.h"
#include "storage/journal.h"
#include "storage/pack.h"
#include "storage/posting.h"
#include "storage/storage.h"
#include "storage_place.h"

struct journal_tally {
	uint64_t records;
	uint64_t details;  /* records that have some */
	uint64_t postings; /* that the records should have */
	uint64_t last_key;
	int64_t last_end_us;
	uint64_t first_generation;
	uint64_t last_generation;
};

/* Each value of a record leads back to it. */
static inline int check_postings(struct txn *txn, const struct record *record,
	uint64_t key, struct posting *posting, struct journal_tally *tally)
{
	struct index_values values;

	index_values(record, &values);
	for (size_t i = 0; i < values.count; i++) {
		uint64_t found = 0;
		int rc;

		*posting = (struct posting) { .txn = txn, .value = values.values[i] };
		rc = posting_seek(posting, key, false, &found);
		if (rc <= 0 || found != key)
			return rc < 0 ? rc : -EBADMSG;
	}
	tally->postings += values.count;
	return 0;
}

static inline int check_record(struct txn *txn, struct bytes name, struct bytes row,
	struct posting *posting, struct journal_tally *tally)
{
	struct record_attempt room[RECORD_ATTEMPTS_MAX];
	struct bytes rest = name, details;
	struct record record;
	uint64_t key;
	int rc;

	if ((rc = key_take_u64(&rest, &key)) != 0 ||
		(rc = record_decode(&record, row, room)) != 0)
		return rc;
	rc = table_get(txn, &traces_table, name, &details);
	if ((rc == 0) != record.has_details || (rc && rc != -ENOENT) ||
		key <= tally->last_key)
		return -EBADMSG;
	if (record.has_details && record_decode_details(&record, details) != 0)
		return -EBADMSG;
	tally->records++;
	tally->details += record.has_details;
	tally->last_key = key;
	tally->last_end_us = record_end_us(&record);
	if (tally->records == 1)
		tally->first_generation = record.generation;
	tally->last_generation = record.generation;
	return check_postings(txn, &record, key, posting, tally);
}

static inline int each_row(struct txn *txn, const struct table *table,
	int (*fn)(struct txn *txn, struct bytes key, struct bytes row, void *arg),
	void *arg)
{
	struct range range = { .limit = CURSOR_PAGE_MAX };
	struct bytes key, row;
	struct cursor *cursor;
	struct key last = { 0 };
	bool is_more = true;
	int rc = 0;

	while (is_more && !rc) {
		if ((rc = cursor_open(&cursor, txn, table, &range)) != 0)
			return rc;
		while ((rc = cursor_next(cursor, &key, &row)) > 0) {
			last = (struct key) { 0 };
			key_raw(&last, key.data, key.size);
			if ((rc = fn(txn, key, row, arg)) != 0)
				break;
		}
		is_more = cursor_is_page_full(cursor);
		cursor_close(cursor);
		range.from = key_bytes(&last);
		range.is_from_excluded = true;
	}
	return rc;
}

struct journal_walk {
	struct journal_tally *tally;
	struct posting posting;
	uint64_t postings; /* that the index has */
};

static inline int walk_record(struct txn *txn, struct bytes key, struct bytes row,
	void *arg)
{
	struct journal_walk *walk = arg;

	return check_record(txn, key, row, &walk->posting, walk->tally);
}

static inline int walk_chunk(struct txn *txn, struct bytes key, struct bytes row,
	void *arg)
{
	struct journal_walk *walk = arg;
	struct unpack from = unpack_start(row);

	(void)txn;
	(void)key;
	walk->postings++;
	while (!unpack_is_over(&from)) {
		unpack_number(&from);
		walk->postings++;
	}
	return from.is_bad ? -EBADMSG : 0;
}

/* A transaction's function; arg is a struct journal_tally. -EBADMSG: a record is not found
 * under its values, or under others, or its details are missing. What retention has left
 * of chunks must be accounted for by whoever calls: *tally has what should be. */
static inline int check_journal(struct txn *txn, void *arg, struct err *err)
{
	static struct journal_walk walk;
	uint64_t details;
	int rc;

	(void)err;
	memset(&walk, 0, sizeof(walk));
	walk.tally = arg;
	memset(arg, 0, sizeof(*walk.tally));
	if ((rc = each_row(txn, &records_table, walk_record, &walk)) != 0 ||
		(rc = each_row(txn, &index_table, walk_chunk, &walk)) != 0 ||
		(rc = table_count(txn, &traces_table, &details)) != 0)
		return rc;
	return details == walk.tally->details && walk.postings >= walk.tally->postings
		? 0
		: -EBADMSG;
}

/* Postings in the index of records that are there no more. */
static inline uint64_t postings_beyond(struct txn *txn, const struct journal_tally *tally)
{
	static struct journal_walk walk;

	walk.postings = 0;
	if (each_row(txn, &index_table, walk_chunk, &walk) != 0)
		return UINT64_MAX;
	return walk.postings - tally->postings;
}
