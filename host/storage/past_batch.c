#include "storage/past_batch.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "storage/journal_lookup.h"
#include "storage/posting_batch.h"
#include "storage/rollup.h"
#include "storage/rollup_rebuild.h"
#include "storage/storage.h"
#include "storage/table.h"

#define US 1000000

struct entry {
	int64_t end_us;
	size_t at; /* in packed: the record, then its details */
	size_t size;
	size_t details_size;
};

struct mark {
	size_t size; /* 0: there is none */
	unsigned char name[PAST_MARK_MAX];
};

struct past_batch {
	int64_t now_s;
	int64_t kept_from_us; /* what ended before is only summed up */
	struct buf packed;
	struct posting_batch *postings;
	struct rollup_batch *sums;
	uint64_t last_key;
	struct past_figures figures;
	struct mark mark, mark_before;
	unsigned char mark_id[16];
	size_t count;
	struct entry entries[PAST_BATCH_MAX];
};

struct past_batch *past_batch_new(int64_t now_s, int64_t record_age_s)
{
	struct past_batch *batch = xcalloc(1, sizeof(*batch));

	batch->now_s = now_s;
	if (record_age_s > 0 && record_age_s < now_s)
		batch->kept_from_us = (now_s - record_age_s) * US;
	batch->postings = posting_batch_new();
	batch->sums = rollup_batch_new();
	return batch;
}

void past_batch_free(struct past_batch *batch)
{
	if (!batch)
		return;
	posting_batch_free(batch->postings);
	rollup_batch_free(batch->sums);
	buf_clear(&batch->packed);
	free(batch);
}

void past_batch_reset(struct past_batch *batch)
{
	batch->count = 0;
	batch->mark.size = batch->mark_before.size = 0;
	buf_reset(&batch->packed);
}

bool past_batch_is_full(const struct past_batch *batch)
{
	return batch->count == PAST_BATCH_MAX;
}

size_t past_batch_count(const struct past_batch *batch)
{
	return batch->count;
}

struct past_figures past_batch_figures(const struct past_batch *batch)
{
	return batch->figures;
}

/* -- gathering -------------------------------------------------------------------- */

bool past_batch_add(struct past_batch *batch, const struct record *record)
{
	struct entry *entry = &batch->entries[batch->count];
	size_t room = record_size_max(record) + record_details_size_max(record);
	unsigned char *out;

	assert(!past_batch_is_full(batch));
	if (record->start_us < 0 ||
		record_end_us(record) >= (batch->now_s - PAST_YOUNGEST_S) * US)
		return false;
	out = (unsigned char *)buf_reserve(&batch->packed, room);
	*entry = (struct entry) { .end_us = record_end_us(record),
		.at = buf_size(&batch->packed),
		.size = record_encode(record, out) };
	if (record->raw_usage.size || record->error.size || record->trace.size)
		entry->details_size = record_encode_details(record, out + entry->size);
	buf_grow(&batch->packed, entry->size + entry->details_size);
	batch->count++;
	return true;
}

static void keep_mark(struct mark *mark, struct bytes name)
{
	assert(name.size <= PAST_MARK_MAX);
	mark->size = name.size;
	if (name.size)
		memcpy(mark->name, name.data, name.size);
}

void past_batch_mark(struct past_batch *batch, struct bytes name,
	const unsigned char id[16], struct bytes before)
{
	keep_mark(&batch->mark, name);
	keep_mark(&batch->mark_before, before);
	memcpy(batch->mark_id, id, sizeof(batch->mark_id));
}

/* -- writing ---------------------------------------------------------------------- */

/* 1: there is a record of this id. */
static int is_there(struct txn *txn, const struct record *record)
{
	struct record_attempt room[RECORD_ATTEMPTS_MAX];
	struct record found;
	uint64_t number;
	int rc = journal_find(txn, record->id, &number, &found, room);

	return rc == -ENOENT ? 0 : rc ? rc : 1;
}

/* Under the time of its end or the next one that is free, as any record. */
static int insert_row(struct txn *txn, struct past_batch *batch,
	const struct entry *entry)
{
	const unsigned char *packed = (const unsigned char *)buf_data(&batch->packed) +
		entry->at;
	struct bytes row = { packed, entry->size };
	struct bytes details = { packed + entry->size, entry->details_size };
	struct key key;
	int rc;

	do {
		key.size = 0;
		key_u64(&key, batch->last_key);
		rc = table_insert(txn, &records_table, key_bytes(&key), row);
	} while (rc == -EEXIST && ++batch->last_key);
	if (!rc && details.size)
		rc = table_put(txn, &traces_table, key_bytes(&key), details);
	return rc;
}

static int write_entry(struct txn *txn, struct past_batch *batch,
	const struct entry *entry)
{
	struct bytes row = { buf_data(&batch->packed) + entry->at, entry->size };
	struct record_attempt room[RECORD_ATTEMPTS_MAX];
	struct index_values values;
	struct record record;
	int rc = record_decode(&record, row, room);

	if (rc || (rc = is_there(txn, &record)) < 0)
		return rc;
	if (rc) {
		batch->figures.there++;
		return 0;
	}
	batch->figures.carried++;
	if ((uint64_t)entry->end_us > batch->last_key)
		batch->last_key = (uint64_t)entry->end_us;
	else
		batch->last_key++;
	if (entry->end_us < batch->kept_from_us) {
		batch->figures.summed++;
	} else {
		if ((rc = insert_row(txn, batch, entry)) != 0)
			return rc;
		index_values(&record, &values);
		posting_batch_add(batch->postings, &values, batch->last_key);
	}
	rollup_add(batch->sums, &record,
		rollup_past_us((int64_t)batch->last_key, batch->now_s));
	return 0;
}

static int by_end(const void *left, const void *right)
{
	const struct entry *a = left, *b = right;

	if (a->end_us != b->end_us)
		return a->end_us < b->end_us ? -1 : 1;
	return a->at < b->at ? -1 : a->at > b->at;
}

/* Anew each time, since a transaction may have to run twice. */
static void begin(struct past_batch *batch)
{
	qsort(batch->entries, batch->count, sizeof(batch->entries[0]), by_end);
	posting_batch_reset(batch->postings);
	rollup_batch_reset(batch->sums);
	batch->last_key = 0;
	batch->figures = (struct past_figures) { 0 };
}

static int check_rebuild(struct txn *txn, struct err *err)
{
	struct rollup_rebuild rebuild;
	int rc = rollup_rebuild_read(txn, &rebuild);

	if (rc == 0)
		return err_set(err, -EBUSY, "sums are being made anew");
	return rc == -ENOENT ? 0 : rc;
}

static int write_mark(struct txn *txn, const struct past_batch *batch)
{
	struct bytes name = { batch->mark.name, batch->mark.size };
	struct bytes before = { batch->mark_before.name, batch->mark_before.size };
	int rc = 0;

	if (!name.size)
		return 0;
	if (before.size)
		rc = table_delete(txn, &meta_table, before);
	if (rc && rc != -ENOENT)
		return rc;
	return table_put(txn, &meta_table, name,
		(struct bytes) { batch->mark_id, sizeof(batch->mark_id) });
}

int past_batch_write(struct txn *txn, void *arg, struct err *err)
{
	struct past_batch *batch = arg;
	int rc = check_rebuild(txn, err);

	begin(batch);
	for (size_t i = 0; i < batch->count && !rc; i++)
		rc = write_entry(txn, batch, &batch->entries[i]);
	if (!rc)
		rc = posting_batch_insert(batch->postings, txn);
	if (!rc)
		rc = rollup_write_past(txn, batch->sums, batch->now_s);
	return rc ? rc : write_mark(txn, batch);
}

int past_batch_look(struct txn *txn, void *arg, struct err *err)
{
	struct record_attempt room[RECORD_ATTEMPTS_MAX];
	struct past_batch *batch = arg;
	struct record record;

	(void)err;
	begin(batch);
	for (size_t i = 0; i < batch->count; i++) {
		const struct entry *entry = &batch->entries[i];
		struct bytes row = { buf_data(&batch->packed) + entry->at, entry->size };
		int rc = record_decode(&record, row, room);

		if (rc || (rc = is_there(txn, &record)) < 0)
			return rc;
		batch->figures.there += (uint64_t)rc;
		batch->figures.carried += !rc;
		batch->figures.summed += !rc && entry->end_us < batch->kept_from_us;
	}
	return 0;
}
