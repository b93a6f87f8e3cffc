#include "storage/rollup_rebuild.h"

#include <errno.h>
#include <stdlib.h>

#include "storage/cursor.h"
#include "storage/record.h"
#include "storage/rollup.h"
#include "storage/rollup_swap.h"
#include "storage/table.h"

#define PAGE 1000 /* records of one transaction */
#define US 1000000

static struct bytes state_key(void)
{
	static const unsigned char name[] = { ROLLUP_STATE, 2 };

	return (struct bytes) { name, sizeof(name) };
}

int rollup_rebuild_read(struct txn *txn, struct rollup_rebuild *rebuild)
{
	struct bytes value;
	struct unpack from;
	int rc = table_get(txn, &rollup_table, state_key(), &value);

	if (rc)
		return rc;
	from = unpack_start(value);
	rebuild->from_s = unpack_signed(&from);
	rebuild->until_s = unpack_signed(&from);
	rebuild->next_us = unpack_number(&from);
	rebuild->is_counted = unpack_number(&from);
	rebuild->records = unpack_number(&from);
	return from.is_bad ? -EBADMSG : 0;
}

static int put_state(struct txn *txn, const struct rollup_rebuild *rebuild)
{
	unsigned char value[5 * PACK_NUMBER_MAX], *end = value;

	end = pack_signed(end, rebuild->from_s);
	end = pack_signed(end, rebuild->until_s);
	end = pack_number(end, rebuild->next_us);
	end = pack_number(end, rebuild->is_counted);
	end = pack_number(end, rebuild->records);
	return table_put(txn, &rollup_table, state_key(),
		(struct bytes) { value, (size_t)(end - value) });
}

/* The first record at or behind from_us, up to until_us; rc of cursor_next(). */
static int first_record(struct txn *txn, uint64_t from_us, bool is_last,
	uint64_t *time_us)
{
	struct key from = { 0 };
	struct range range = { .limit = 1, .is_down = is_last };
	struct cursor *cursor;
	struct bytes key, value;
	int rc;

	key_u64(&from, from_us);
	range.from = key_bytes(&from);
	if ((rc = cursor_open(&cursor, txn, &records_table, &range)) != 0)
		return rc;
	rc = cursor_next(cursor, &key, &value);
	if (rc > 0 && key_take_u64(&key, time_us) != 0)
		rc = -EBADMSG;
	cursor_close(cursor);
	return rc;
}

int rollup_rebuild_begin(struct txn *txn, int64_t from_s, int64_t until_s,
	struct err *err)
{
	struct rollup_rebuild rebuild = {
		.from_s = rollup_floor(from_s, ROLLUP_DAY_S),
		.until_s = until_s,
	};
	uint64_t last_us = 0;
	int rc;

	if (from_s < 0 || from_s >= until_s)
		return err_set(err, -EINVAL, "the span of time ends before it begins");
	rc = rollup_rebuild_read(txn, &rebuild);
	if (rc == 0)
		return err_set(err, -EBUSY, "sums are being made anew already");
	if (rc != -ENOENT)
		return rc;
	/* Records that were never summed up: all of them are past. */
	if (rollup_open_minute(txn, &(int64_t) { 0 }) == -ENOENT) {
		rc = first_record(txn, UINT64_MAX, true, &last_us);
		if (rc > 0)
			rc = rollup_settle(txn,
				rollup_floor((int64_t)(last_us / US), ROLLUP_MINUTE_S) +
					ROLLUP_MINUTE_S);
		if (rc < 0)
			return rc;
	}
	rebuild.next_us = (uint64_t)rebuild.from_s * US;
	return put_state(txn, &rebuild);
}

/* -- counting --------------------------------------------------------------------- */

struct target {
	struct txn *txn;
	int64_t now_s;
	const struct rollup_batch *batch;
	struct rollup_sums sums;
	unsigned char packed[ROLLUP_PACKED_MAX];
};

static int add_to(struct target *target, enum rollup_span span, int64_t size_s,
	const struct rollup_cell *cell)
{
	int64_t start_s = rollup_floor(cell->minute_s, size_s);
	struct bytes value;
	struct key key;
	int rc;

	if (start_s < rollup_kept_from(span, target->now_s))
		return 0;
	rollup_key(&key, ROLLUP_REBUILT + (unsigned)span, start_s, cell->dimension,
		rollup_cell_value(target->batch, cell));
	rollup_sums_clear(&target->sums);
	rc = table_get(target->txn, &rollup_table, key_bytes(&key), &value);
	if (rc == 0)
		rc = rollup_unpack(&target->sums, value, ROLLUP_WHOLE);
	if (rc && rc != -ENOENT)
		return rc;
	rollup_cell_add_to(target->batch, cell, &target->sums);
	value = (struct bytes) { target->packed,
		rollup_pack(&target->sums, target->packed) };
	return table_put(target->txn, &rollup_table, key_bytes(&key), value);
}

static int write_counted(struct txn *txn, int64_t now_s, const struct rollup_batch *batch)
{
	struct target *target = xcalloc(1, sizeof(*target));
	int rc = 0;

	target->txn = txn;
	target->now_s = now_s;
	target->batch = batch;
	for (size_t i = 0; i < rollup_batch_cells(batch) && !rc; i++) {
		const struct rollup_cell *cell = rollup_batch_cell(batch, i);

		rc = add_to(target, ROLLUP_MINUTE, ROLLUP_MINUTE_S, cell);
		if (rc == 0)
			rc = add_to(target, ROLLUP_HOUR, ROLLUP_HOUR_S, cell);
		if (rc == 0)
			rc = add_to(target, ROLLUP_DAY, ROLLUP_DAY_S, cell);
	}
	free(target);
	return rc;
}

/* Adds a page of records that begins at rebuild->next_us and ends before until_us. */
static int count_page(struct txn *txn, struct rollup_rebuild *rebuild, uint64_t until_us,
	struct rollup_batch *batch)
{
	struct record_attempt room[RECORD_ATTEMPTS_MAX];
	struct key from = { 0 }, until = { 0 };
	struct range range = { .limit = PAGE };
	struct record record;
	struct cursor *cursor;
	struct bytes key, value;
	uint64_t time_us;
	int rc;

	key_u64(&from, rebuild->next_us);
	key_u64(&until, until_us);
	range.from = key_bytes(&from);
	range.until = key_bytes(&until);
	if ((rc = cursor_open(&cursor, txn, &records_table, &range)) != 0)
		return rc;
	while ((rc = cursor_next(cursor, &key, &value)) > 0) {
		if ((rc = key_take_u64(&key, &time_us)) != 0)
			break;
		rebuild->next_us = time_us + 1;
		/* One that cannot be read is in no list either. */
		if (record_decode(&record, value, room) != 0)
			continue;
		rebuild->records++;
		rollup_add(batch, &record, (int64_t)time_us);
		if (rollup_batch_is_full(batch)) {
			rc = 1;
			break;
		}
	}
	rebuild->is_counted = rc == 0 && !cursor_is_page_full(cursor);
	cursor_close(cursor);
	return rc < 0 ? rc : 0;
}

/* -- a step ----------------------------------------------------------------------- */

/* The open minute's hour and day are the only ones that still change: they take their
 * places before another minute is added to them. */
static int swap_open(struct txn *txn, const struct rollup_rebuild *rebuild,
	int64_t open_s)
{
	int rc;

	if (rollup_floor(open_s, ROLLUP_DAY_S) != rebuild->from_s)
		return 0;
	rc = rollup_swap(txn, ROLLUP_HOUR, rollup_floor(open_s, ROLLUP_HOUR_S));
	return rc ? rc : rollup_swap(txn, ROLLUP_DAY, rebuild->from_s);
}

static int count_step(struct txn *txn, struct rollup_rebuild *rebuild, int64_t open_s,
	int64_t now_s)
{
	int64_t day_end_s = rebuild->from_s + ROLLUP_DAY_S;
	struct rollup_batch *batch = rollup_batch_new();
	int rc = count_page(txn, rebuild,
		(uint64_t)(open_s < day_end_s ? open_s : day_end_s) * US, batch);

	if (rc == 0)
		rc = write_counted(txn, now_s, batch);
	rollup_batch_free(batch);
	if (rc == 0 && rebuild->is_counted)
		rc = swap_open(txn, rebuild, open_s);
	return rc;
}

/* To the next day that has records. 0: there is none. */
static int next_day(struct txn *txn, struct rollup_rebuild *rebuild, int64_t open_s)
{
	uint64_t time_us = 0;
	int64_t time_s;
	int rc = first_record(txn, (uint64_t)(rebuild->from_s + ROLLUP_DAY_S) * US, false,
		&time_us);

	if (rc <= 0)
		return rc;
	time_s = (int64_t)(time_us / US);
	if (time_s >= rebuild->until_s || time_s >= open_s)
		return 0;
	rebuild->from_s = rollup_floor(time_s, ROLLUP_DAY_S);
	rebuild->next_us = time_us;
	rebuild->is_counted = false;
	return 1;
}

/* As rollup_rebuild_step(), on a state that it may change. */
static int step(struct txn *txn, struct rollup_rebuild *rebuild, int64_t now_s)
{
	int64_t open_s;
	int rc = rollup_open_minute(txn, &open_s);

	if (rc)
		return rc == -ENOENT ? 0 : rc;
	if (!rebuild->is_counted) {
		rc = count_step(txn, rebuild, open_s, now_s);
		return rc ? rc : 1;
	}
	rc = rollup_swap_page(txn);
	return rc ? rc : next_day(txn, rebuild, open_s);
}

int rollup_rebuild_step(struct txn *txn, int64_t now_s)
{
	struct rollup_rebuild rebuild = { 0 };
	int rc = rollup_rebuild_read(txn, &rebuild), is_more;

	if (rc)
		return rc == -ENOENT ? 0 : rc;
	if ((is_more = step(txn, &rebuild, now_s)) < 0)
		return is_more;
	if (is_more)
		rc = put_state(txn, &rebuild);
	else
		rc = table_delete(txn, &rollup_table, state_key());
	return rc ? rc : is_more;
}
