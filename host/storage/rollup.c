#include "storage/rollup.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "storage/cursor.h"
#include "storage/table.h"

#define MINUTES_KEPT_S (48 * ROLLUP_HOUR_S)
#define HOURS_KEPT_S (90 * ROLLUP_DAY_S)

static const struct {
	enum rollup_span span;
	int64_t size_s;
} spans[] = {
	{ ROLLUP_MINUTE, ROLLUP_MINUTE_S },
	{ ROLLUP_HOUR, ROLLUP_HOUR_S },
	{ ROLLUP_DAY, ROLLUP_DAY_S },
};

struct scratch {
	struct rollup_sums sums;
	struct rollup_sums part;
	unsigned char packed[ROLLUP_PACKED_MAX];
};

int rollup_each(struct txn *txn, struct bytes prefix, rollup_row_fn *fn, void *arg)
{
	struct range range = { .prefix = prefix, .limit = CURSOR_PAGE_MAX };
	struct cursor *cursor;
	struct bytes key, value;
	struct key last = { 0 };
	bool is_more = true;
	int rc = 0;

	while (is_more) {
		if ((rc = cursor_open(&cursor, txn, &rollup_table, &range)) != 0)
			return rc;
		while ((rc = cursor_next(cursor, &key, &value)) > 0) {
			last.size = 0;
			key_raw(&last, key.data, key.size);
			if ((rc = fn(key_bytes(&last), value, arg)) != 0)
				break;
		}
		is_more = rc == 0 && cursor_is_page_full(cursor);
		cursor_close(cursor);
		range.from = key_bytes(&last);
		range.is_from_excluded = true;
	}
	return rc;
}

/* -- the open minute -------------------------------------------------------------- */

static struct bytes open_minute_key(void)
{
	static const unsigned char name[] = { ROLLUP_STATE, 1 };

	return (struct bytes) { name, sizeof(name) };
}

int rollup_open_minute(struct txn *txn, int64_t *minute_s)
{
	struct bytes value;
	struct unpack from;
	int rc = table_get(txn, &rollup_table, open_minute_key(), &value);

	if (rc)
		return rc;
	from = unpack_start(value);
	*minute_s = unpack_signed(&from);
	return from.is_bad ? -EBADMSG : 0;
}

static int put_open_minute(struct txn *txn, int64_t minute_s)
{
	unsigned char value[PACK_NUMBER_MAX];
	size_t size = (size_t)(pack_signed(value, minute_s) - value);

	return table_put(txn, &rollup_table, open_minute_key(),
		(struct bytes) { value, size });
}

/* -- adding to rows --------------------------------------------------------------- */

/* -ENOENT: there is none. One that cannot be read begins anew: all later records would
 * be lost for it otherwise. */
static int read_row(struct txn *txn, const struct key *key, struct rollup_sums *sums)
{
	struct bytes value;
	int rc;

	rollup_sums_clear(sums);
	rc = table_get(txn, &rollup_table, key_bytes(key), &value);
	if (rc == 0)
		rc = rollup_unpack(sums, value, ROLLUP_WHOLE);
	if (rc != -EBADMSG)
		return rc;
	log_warn("rollup", "a damaged row begins anew: span=%d dimension=%d",
		key->data[0], key->data[ROLLUP_DIMENSION_AT]);
	rollup_sums_clear(sums);
	return 0;
}

static int write_row(struct txn *txn, const struct key *key, struct scratch *scratch)
{
	size_t size = rollup_pack(&scratch->sums, scratch->packed);

	return table_put(txn, &rollup_table, key_bytes(key),
		(struct bytes) { scratch->packed, size });
}

static int add_cell(struct txn *txn, enum rollup_span span, int64_t start_s,
	const struct rollup_batch *batch, const struct rollup_cell *cell,
	struct scratch *scratch)
{
	struct key key;
	int rc;

	rollup_key(&key, span, start_s, cell->dimension, rollup_cell_value(batch, cell));
	rc = read_row(txn, &key, &scratch->sums);
	if (rc == -ENOENT && !cell->has_records)
		return 0;
	if (rc && rc != -ENOENT)
		return rc;
	rollup_cell_add_to(batch, cell, &scratch->sums);
	return write_row(txn, &key, scratch);
}

static int add_late(struct txn *txn, const struct rollup_batch *batch,
	const struct rollup_cell *cell, struct scratch *scratch)
{
	int rc = 0;

	for (size_t i = 0; i < COUNT_OF(spans) && !rc; i++)
		rc = add_cell(txn, spans[i].span,
			rollup_floor(cell->minute_s, spans[i].size_s), batch, cell,
			scratch);
	return rc;
}

/* -- closing a minute ------------------------------------------------------------- */

struct fold {
	struct txn *txn;
	int64_t minute_s;
	struct scratch *scratch;
};

static int fold_row(struct bytes key, struct bytes value, void *arg)
{
	struct fold *fold = arg;
	struct scratch *scratch = fold->scratch;
	struct key whole;
	int rc;

	rollup_sums_clear(&scratch->part);
	rc = rollup_unpack(&scratch->part, value, ROLLUP_WHOLE);
	if (rc == -EBADMSG) {
		log_warn("rollup", "a damaged row is left out of its hour and day");
		return 0;
	}
	for (size_t i = 1; i < COUNT_OF(spans) && !rc; i++) {
		whole.size = 0;
		key_u8(&whole, (uint8_t)spans[i].span);
		key_u64(&whole, (uint64_t)rollup_floor(fold->minute_s, spans[i].size_s));
		key_raw(&whole, (const char *)key.data + ROLLUP_DIMENSION_AT,
			key.size - ROLLUP_DIMENSION_AT);
		rc = read_row(fold->txn, &whole, &scratch->sums);
		if (rc && rc != -ENOENT)
			return rc;
		rollup_sums_add(&scratch->sums, &scratch->part);
		rc = write_row(fold->txn, &whole, scratch);
	}
	return rc;
}

static int close_minute(struct txn *txn, int64_t minute_s, struct scratch *scratch)
{
	struct fold fold = { txn, minute_s, scratch };
	struct key prefix = { 0 };

	key_u8(&prefix, ROLLUP_MINUTE);
	key_u64(&prefix, (uint64_t)minute_s);
	return rollup_each(txn, key_bytes(&prefix), fold_row, &fold);
}

int rollup_settle(struct txn *txn, int64_t minute_s)
{
	struct scratch scratch = { 0 };
	int64_t open_s;
	int rc = rollup_open_minute(txn, &open_s);

	if (rc == 0 && open_s >= minute_s)
		return 0;
	if (rc == 0)
		rc = close_minute(txn, open_s, &scratch);
	if (rc && rc != -ENOENT)
		return rc;
	return put_open_minute(txn, minute_s);
}

/* -- a batch ---------------------------------------------------------------------- */

static int write_cells(struct txn *txn, const struct rollup_batch *batch, int64_t *open_s,
	struct scratch *scratch)
{
	int rc = 0;

	for (size_t i = 0; i < rollup_batch_cells(batch) && !rc; i++) {
		const struct rollup_cell *cell = rollup_batch_cell(batch, i);

		if (cell->has_records && cell->minute_s > *open_s) {
			rc = *open_s == INT64_MIN ? 0
						  : close_minute(txn, *open_s, scratch);
			*open_s = cell->minute_s;
		}
		if (rc)
			return rc;
		if (cell->minute_s == *open_s)
			rc = add_cell(txn, ROLLUP_MINUTE, *open_s, batch, cell, scratch);
		else
			rc = add_late(txn, batch, cell, scratch);
	}
	return rc;
}

int rollup_write(struct txn *txn, const struct rollup_batch *batch)
{
	struct scratch scratch;
	int64_t before_s = INT64_MIN, open_s;
	int rc = rollup_open_minute(txn, &before_s);

	if (rc && rc != -ENOENT)
		return rc;
	memset(&scratch.sums, 0, sizeof(scratch.sums));
	memset(&scratch.part, 0, sizeof(scratch.part));
	open_s = before_s;
	rc = write_cells(txn, batch, &open_s, &scratch);
	if (rc == 0 && open_s != before_s)
		rc = put_open_minute(txn, open_s);
	return rc;
}

/* -- the past --------------------------------------------------------------------- */

int64_t rollup_past_us(int64_t time_us, int64_t now_s)
{
	int64_t time_s = time_us / 1000000;

	if (time_s >= rollup_kept_from(ROLLUP_MINUTE, now_s))
		return time_us;
	if (time_s >= rollup_kept_from(ROLLUP_HOUR, now_s))
		return rollup_floor(time_s, ROLLUP_HOUR_S) * 1000000;
	return rollup_floor(time_s, ROLLUP_DAY_S) * 1000000;
}

static int add_past(struct txn *txn, const struct rollup_batch *batch,
	const struct rollup_cell *cell, int64_t now_s, struct scratch *scratch)
{
	int rc = 0;

	for (size_t i = 0; i < COUNT_OF(spans) && !rc; i++) {
		int64_t start_s = rollup_floor(cell->minute_s, spans[i].size_s);

		if (start_s >= rollup_kept_from(spans[i].span, now_s))
			rc = add_cell(txn, spans[i].span, start_s, batch, cell, scratch);
	}
	return rc;
}

int rollup_write_past(struct txn *txn, const struct rollup_batch *batch, int64_t now_s)
{
	struct scratch *scratch = xcalloc(1, sizeof(*scratch));
	int rc = rollup_settle(txn, rollup_floor(now_s, ROLLUP_MINUTE_S));

	for (size_t i = 0; i < rollup_batch_cells(batch) && !rc; i++)
		rc = add_past(txn, batch, rollup_batch_cell(batch, i), now_s, scratch);
	free(scratch);
	return rc;
}

/* -- age -------------------------------------------------------------------------- */

int64_t rollup_kept_from(enum rollup_span span, int64_t now_s)
{
	if (span == ROLLUP_MINUTE)
		return rollup_floor(now_s - MINUTES_KEPT_S, ROLLUP_HOUR_S);
	if (span == ROLLUP_HOUR)
		return rollup_floor(now_s - HOURS_KEPT_S, ROLLUP_DAY_S);
	return 0;
}

static int trim_span(struct txn *txn, enum rollup_span span, int64_t kept_from_s,
	uint32_t rows_max, uint32_t *deleted)
{
	struct key prefix = { 0 }, until = { 0 };
	struct range range = { .limit = rows_max };
	struct cursor *cursor;
	struct bytes key, value;
	int rc;

	key_u8(&prefix, (uint8_t)span);
	key_u8(&until, (uint8_t)span);
	key_u64(&until, (uint64_t)kept_from_s);
	range.prefix = key_bytes(&prefix);
	range.until = key_bytes(&until);
	if ((rc = cursor_open(&cursor, txn, &rollup_table, &range)) != 0)
		return rc;
	while ((rc = cursor_next(cursor, &key, &value)) > 0) {
		if ((rc = cursor_delete(cursor)) != 0)
			break;
		(*deleted)++;
	}
	cursor_close(cursor);
	return rc;
}

int rollup_trim(struct txn *txn, int64_t now_s, uint32_t rows_max, uint32_t *deleted)
{
	int64_t kept_from_s = rollup_kept_from(ROLLUP_MINUTE, now_s), open_s;
	int rc = rollup_open_minute(txn, &open_s);

	*deleted = 0;
	if (rc)
		return rc == -ENOENT ? 0 : rc;
	/* Nothing came for so long: what is deleted must be in its day before. */
	if (open_s < kept_from_s)
		rc = rollup_settle(txn, kept_from_s);
	if (rc == 0)
		rc = trim_span(txn, ROLLUP_MINUTE, kept_from_s, rows_max, deleted);
	if (rc == 0 && *deleted < rows_max)
		rc = trim_span(txn, ROLLUP_HOUR, rollup_kept_from(ROLLUP_HOUR, now_s),
			rows_max - *deleted, deleted);
	return rc;
}
