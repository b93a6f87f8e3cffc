#include "storage/record_batch.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "storage/cursor.h"
#include "storage/posting_batch.h"
#include "storage/rollup.h"
#include "storage/storage.h"
#include "storage/table.h"

#define BODY_PACKED_SIZE_MAX (4 * 1024 * 1024) /* of a batch, before it counts as full */

struct row {
	uint64_t key;
	struct bytes record;
	struct bytes details; /* empty: none */
};

struct body_row {
	uint64_t key;
	enum body_part part;
	size_t start; /* in packed_bodies */
	size_t size;
};

struct record_batch {
	uint64_t last_key;
	struct posting_batch *postings;
	struct rollup_batch *sums;
	struct buf packed_bodies;
	size_t body_count;
	size_t count;
	struct body_row bodies[BODY_PART_MAX * RECORD_BATCH_MAX];
	struct row rows[RECORD_BATCH_MAX];
};

/* -- messages --------------------------------------------------------------------- */

/* Then the record, then the details. */
struct head {
	int64_t end_us;
	struct body *bodies;
	uint32_t record_size;
	uint32_t details_size;
};

static bool has_details(const struct record *record)
{
	return record->raw_usage.size || record->error.size || record->trace.size;
}

size_t record_message_size_max(const struct record *record)
{
	return sizeof(struct head) + record_size_max(record) +
		(has_details(record) ? record_details_size_max(record) : 0);
}

size_t record_message_write(const struct record *record, struct body *bodies,
	unsigned char *out)
{
	struct head *head = (struct head *)(void *)out;

	out += sizeof(*head);
	head->end_us = record_end_us(record);
	head->bodies = bodies;
	head->record_size = (uint32_t)record_encode(record, out);
	head->details_size = has_details(record)
		? (uint32_t)record_encode_details(record, out + head->record_size)
		: 0;
	return sizeof(*head) + head->record_size + head->details_size;
}

/* -- life ------------------------------------------------------------------------- */

struct record_batch *record_batch_new(void)
{
	struct record_batch *batch = xcalloc(1, sizeof(*batch));

	batch->postings = posting_batch_new();
	batch->sums = rollup_batch_new();
	return batch;
}

void record_batch_free(struct record_batch *batch)
{
	if (!batch)
		return;
	posting_batch_free(batch->postings);
	rollup_batch_free(batch->sums);
	buf_clear(&batch->packed_bodies);
	free(batch);
}

int record_batch_begin(struct txn *txn, void *arg, struct err *err)
{
	struct range range = { .is_down = true, .limit = 1 };
	struct record_batch *batch = arg;
	struct bytes key, value;
	struct cursor *cursor;
	uint64_t last = 0;
	int rc = cursor_open(&cursor, txn, &records_table, &range);

	(void)err;
	if (rc)
		return rc;
	rc = cursor_next(cursor, &key, &value);
	if (rc > 0)
		rc = key_take_u64(&key, &last);
	cursor_close(cursor);
	batch->last_key = last;
	return rc;
}

void record_batch_reset(struct record_batch *batch)
{
	batch->count = batch->body_count = 0;
	posting_batch_reset(batch->postings);
	rollup_batch_reset(batch->sums);
	buf_clear(&batch->packed_bodies);
}

bool record_batch_is_full(const struct record_batch *batch)
{
	return batch->count == RECORD_BATCH_MAX || rollup_batch_is_full(batch->sums) ||
		buf_size(&batch->packed_bodies) > BODY_PACKED_SIZE_MAX;
}

size_t record_batch_count(const struct record_batch *batch)
{
	return batch->count;
}

/* -- gathering -------------------------------------------------------------------- */

static uint64_t next_key(struct record_batch *batch, int64_t end_us)
{
	if (end_us > 0 && (uint64_t)end_us > batch->last_key)
		batch->last_key = (uint64_t)end_us;
	else
		batch->last_key++;
	return batch->last_key;
}

static void add_bodies(struct record_batch *batch, uint64_t key, const struct body *body)
{
	size_t count = 0;

	for (; body && count < BODY_PART_MAX; body = body->next, count++) {
		struct body_row *row = &batch->bodies[batch->body_count++];

		*row = (struct body_row) { .key = key,
			.part = body->part,
			.start = buf_size(&batch->packed_bodies) };
		body_pack(body, &batch->packed_bodies);
		row->size = buf_size(&batch->packed_bodies) - row->start;
	}
}

size_t record_batch_add(struct record_batch *batch, struct bytes message)
{
	const struct head *head = message.data;
	const unsigned char *packed = (const unsigned char *)(head + 1);
	struct row *row = &batch->rows[batch->count++];
	struct record_attempt room[RECORD_ATTEMPTS_MAX];
	struct index_values values;
	struct record record;
	size_t weight = body_weight(head->bodies);
	int rc;

	assert(batch->count <= RECORD_BATCH_MAX);
	row->record = (struct bytes) { packed, head->record_size };
	row->details = (struct bytes) { packed + head->record_size, head->details_size };
	rc = record_decode(&record, row->record, room);
	assert(rc == 0);
	row->key = next_key(batch, head->end_us);
	index_values(&record, &values);
	posting_batch_add(batch->postings, &values, row->key);
	rollup_add(batch->sums, &record, (int64_t)row->key);
	add_bodies(batch, row->key, head->bodies);
	body_free(head->bodies);
	return weight;
}

/* -- writing ---------------------------------------------------------------------- */

static int write_row(const struct row *row, struct cursor *records, struct cursor *traces)
{
	struct key key = { 0 };
	int rc;

	key_u64(&key, row->key);
	rc = cursor_append(records, key_bytes(&key), row->record);
	if (!rc && row->details.size)
		rc = cursor_append(traces, key_bytes(&key), row->details);
	return rc;
}

static int write_rows(struct txn *txn, const struct record_batch *batch)
{
	const struct range any = { .limit = 1 };
	struct cursor *records = NULL, *traces = NULL;
	int rc = cursor_open(&records, txn, &records_table, &any);

	if (!rc)
		rc = cursor_open(&traces, txn, &traces_table, &any);
	for (size_t i = 0; i < batch->count && !rc; i++)
		rc = write_row(&batch->rows[i], records, traces);
	cursor_close(traces);
	cursor_close(records);
	return rc;
}

static int write_body(struct txn *txn, const struct buf *packed,
	const struct body_row *row)
{
	struct bytes value = { buf_data(packed) + row->start, row->size };
	struct key key = { 0 };

	key_u64(&key, row->key);
	key_u8(&key, (uint8_t)row->part);
	return table_append(txn, &bodies_table, key_bytes(&key), value);
}

int record_batch_write(struct txn *txn, void *arg, struct err *err)
{
	const struct record_batch *batch = arg;
	int rc = write_rows(txn, batch);

	(void)err;
	for (size_t i = 0; i < batch->body_count && !rc; i++)
		rc = write_body(txn, &batch->packed_bodies, &batch->bodies[i]);
	if (!rc)
		rc = posting_batch_write(batch->postings, txn);
	return rc ? rc : rollup_write(txn, batch->sums);
}
