#include "storage/retention.h"

#include <errno.h>

#include "base/arena.h"
#include "storage/body.h"
#include "storage/cursor.h"
#include "storage/posting_batch.h"
#include "storage/record.h"
#include "storage/rollup.h"
#include "storage/storage.h"
#include "storage/table.h"

/* Rows of bodies that may go with a slice of records. */
#define BODY_ROWS (RETENTION_SLICE * BODY_PART_MAX)
#define PAGE 4096 /* bytes, of the database */

#define DAY_US (INT64_C(86400) * 1000000)

int64_t retention_hold(struct retention_hold *hold, int64_t wall_us, int64_t now_us)
{
	int64_t ahead_us = wall_us - now_us;
	int64_t leap_us = hold->is_known ? ahead_us - hold->ahead_us : 0;

	hold->is_known = true;
	hold->ahead_us = ahead_us;
	if (leap_us > DAY_US)
		hold->until_us = now_us + DAY_US;
	else if (leap_us < -DAY_US)
		hold->until_us = 0;
	return hold->until_us > now_us ? hold->until_us - now_us : 0;
}

/* Keys below it are too old; 0: none is. */
static uint64_t oldest_key(int64_t age_s, int64_t now_us)
{
	int64_t us = age_s > 0 && age_s < now_us / 1000000 ? now_us - age_s * 1000000 : 0;

	return (uint64_t)us;
}

/* *excess: bytes beyond the limit, or 0. */
static int measure(struct txn *txn, const struct table *const *tables, uint64_t limit,
	uint64_t *excess)
{
	uint64_t sum = 0, bytes;
	int rc = 0;

	for (; limit && *tables && !rc; tables++) {
		rc = table_bytes(txn, *tables, &bytes);
		sum += bytes;
	}
	*excess = sum > limit ? sum - limit : 0;
	return rc;
}

/* -- records ---------------------------------------------------------------------- */

/* What a slice removes from. */
struct removal {
	struct txn *txn;
	struct posting_batch *postings;
	struct arena arena; /* what the postings borrow from */
	uint64_t below;     /* keys that are too old */
	uint64_t excess; /* bytes that are too much, so that all go whatever their age */
	uint64_t last_key; /* of the records that were removed */
	uint32_t count;
};

/* A damaged row goes, and leaves in the index what nobody can know. */
static int note_values(struct removal *removal, uint64_t key, struct bytes row)
{
	struct record_attempt room[RECORD_ATTEMPTS_MAX];
	struct index_values values;
	struct record record;

	row.data = arena_strdup(&removal->arena, row.data, row.size);
	if (record_decode(&record, row, room) != 0)
		return 0;
	index_values(&record, &values);
	posting_batch_add(removal->postings, &values, key);
	return record.has_details;
}

/* 1: it is gone; 0: it stays, and so do all that are younger. */
static int remove_record(struct removal *removal, struct cursor *cursor,
	struct bytes name, struct bytes row)
{
	struct bytes rest = name;
	struct key own = { 0 };
	uint64_t key;
	int rc = key_take_u64(&rest, &key);

	if (rc || (!removal->excess && key >= removal->below))
		return rc;
	key_u64(&own, key);
	if (note_values(removal, key, row)) {
		rc = table_delete(removal->txn, &traces_table, key_bytes(&own));
		if (rc && rc != -ENOENT)
			return rc;
	}
	removal->last_key = key;
	removal->count++;
	rc = cursor_delete(cursor);
	return rc ? rc : 1;
}

static int remove_records(struct removal *removal)
{
	struct range range = { .limit = RETENTION_SLICE };
	struct cursor *cursor;
	struct bytes key, row;
	int rc = cursor_open(&cursor, removal->txn, &records_table, &range);

	if (rc)
		return rc;
	while ((rc = cursor_next(cursor, &key, &row)) > 0)
		if ((rc = remove_record(removal, cursor, key, row)) <= 0)
			break;
	cursor_close(cursor);
	if (rc || !removal->count)
		return rc;
	return posting_batch_forget(removal->postings, removal->txn, removal->last_key);
}

/* -- bodies ----------------------------------------------------------------------- */

/* What a row takes: a large one has pages of its own. */
static uint64_t room_of(struct bytes row)
{
	return row.size < PAGE / 2 ? row.size : (row.size + 16 + PAGE - 1) / PAGE * PAGE;
}

/* Those below a key, and others until as many bytes as are too much are gone; as many as
 * there may be in a slice. */
static int remove_bodies(struct txn *txn, uint64_t below, uint64_t excess, uint32_t limit,
	uint32_t *count)
{
	struct range range = { .limit = limit };
	struct bytes name, row;
	struct cursor *cursor;
	uint64_t key, removed = 0;
	int rc = cursor_open(&cursor, txn, &bodies_table, &range);

	if (rc)
		return rc;
	while ((rc = cursor_next(cursor, &name, &row)) > 0) {
		if ((rc = key_take_u64(&name, &key)) != 0)
			break;
		if (removed >= excess && key >= below)
			break;
		removed += room_of(row);
		if ((rc = cursor_delete(cursor)) != 0)
			break;
		++*count;
	}
	cursor_close(cursor);
	return rc;
}

/* -- a slice ---------------------------------------------------------------------- */

static int slice_records(struct txn *txn, struct retention_slice *slice)
{
	static const struct table *const tables[] = { &records_table, &traces_table,
		&index_table, NULL };
	struct removal removal = { .txn = txn,
		.below = oldest_key(slice->retention.record_age_s, slice->now_us) };
	int rc = measure(txn, tables, slice->retention.record_bytes, &removal.excess);

	if (rc || (!removal.below && !removal.excess))
		return rc;
	removal.postings = posting_batch_new();
	rc = remove_records(&removal);
	posting_batch_free(removal.postings);
	arena_clear(&removal.arena);
	slice->records = removal.count;
	slice->has_more |= removal.count == RETENTION_SLICE;
	if (rc || !removal.count)
		return rc;
	return remove_bodies(txn, removal.last_key + 1, 0, BODY_ROWS, &slice->bodies);
}

static int slice_bodies(struct txn *txn, struct retention_slice *slice)
{
	static const struct table *const tables[] = { &bodies_table, NULL };
	uint64_t below = oldest_key(slice->retention.body_age_s, slice->now_us);
	uint64_t excess;
	uint32_t count = 0;
	int rc = measure(txn, tables, slice->retention.body_bytes, &excess);

	if (rc || (!below && !excess))
		return rc;
	rc = remove_bodies(txn, below, excess, RETENTION_SLICE, &count);
	slice->bodies += count;
	slice->has_more |= count == RETENTION_SLICE;
	return rc;
}

int retention_slice(struct txn *txn, void *arg, struct err *err)
{
	struct retention_slice *slice = arg;
	int rc;

	(void)err;
	slice->records = slice->bodies = slice->sums = 0;
	slice->has_more = false;
	if ((rc = slice_records(txn, slice)) != 0 || (rc = slice_bodies(txn, slice)) != 0)
		return rc;
	rc = rollup_trim(txn, slice->now_us / 1000000, RETENTION_SLICE, &slice->sums);
	slice->has_more |= slice->sums == RETENTION_SLICE;
	return rc;
}
