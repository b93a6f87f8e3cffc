#include "storage/rollup_swap.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "storage/cursor.h"
#include "storage/rollup.h"
#include "storage/table.h"

#define PAGE 1000 /* rows of one transaction */

static int requests_of(struct txn *txn, unsigned span, int64_t start_s,
	uint64_t *requests)
{
	struct rollup_sums sums = { 0 };
	struct bytes value;
	struct key key;
	int rc;

	rollup_key(&key, span, start_s, ROLLUP_ALL, (struct bytes) { 0 });
	rc = table_get(txn, &rollup_table, key_bytes(&key), &value);
	if (rc == 0)
		rc = rollup_unpack(&sums, value, ROLLUP_NUMBERS);
	/* What is damaged may be replaced by anything. */
	if (rc == -ENOENT || rc == -EBADMSG)
		rc = 0;
	*requests = rollup_requests(&sums);
	return rc;
}

static int delete_rows(struct txn *txn, unsigned span, int64_t start_s)
{
	struct key prefix = { 0 };
	struct range range = { .limit = CURSOR_PAGE_MAX };
	struct cursor *cursor;
	struct bytes key, value;
	bool is_more = true;
	int rc = 0;

	key_u8(&prefix, (uint8_t)span);
	key_u64(&prefix, (uint64_t)start_s);
	range.prefix = key_bytes(&prefix);
	while (is_more && !rc) {
		if ((rc = cursor_open(&cursor, txn, &rollup_table, &range)) != 0)
			return rc;
		while ((rc = cursor_next(cursor, &key, &value)) > 0)
			if ((rc = cursor_delete(cursor)) != 0)
				break;
		is_more = cursor_is_page_full(cursor);
		cursor_close(cursor);
	}
	return rc;
}

struct swap {
	struct txn *txn;
	uint32_t rows;
};

static int move_row(struct bytes key, struct bytes value, void *arg)
{
	struct swap *swap = arg;
	unsigned char copy[ROLLUP_PACKED_MAX]; /* value is where the table is written */
	struct key place = { 0 };

	if (value.size > sizeof(copy))
		return -EBADMSG;
	memcpy(copy, value.data, value.size);
	key_u8(&place, (uint8_t)(*(const uint8_t *)key.data - ROLLUP_REBUILT));
	key_raw(&place, (const char *)key.data + 1, key.size - 1);
	swap->rows++;
	return table_put(swap->txn, &rollup_table, key_bytes(&place),
		(struct bytes) { copy, value.size });
}

static int swap_span(struct swap *swap, enum rollup_span span, int64_t start_s)
{
	unsigned rebuilt = ROLLUP_REBUILT + (unsigned)span;
	uint64_t requests = 0, found = 0;
	struct key prefix = { 0 };
	int rc = requests_of(swap->txn, span, start_s, &requests);

	if (rc == 0)
		rc = requests_of(swap->txn, rebuilt, start_s, &found);
	if (rc)
		return rc;
	if (found && found >= requests) {
		key_u8(&prefix, (uint8_t)rebuilt);
		key_u64(&prefix, (uint64_t)start_s);
		if ((rc = delete_rows(swap->txn, span, start_s)) == 0)
			rc = rollup_each(swap->txn, key_bytes(&prefix), move_row, swap);
	}
	swap->rows++;
	return rc ? rc : delete_rows(swap->txn, rebuilt, start_s);
}

int rollup_swap(struct txn *txn, enum rollup_span span, int64_t start_s)
{
	return swap_span(&(struct swap) { .txn = txn }, span, start_s);
}

/* 1 and the first span that waits; 0: none does. */
static int first_rebuilt(struct txn *txn, enum rollup_span *span, int64_t *start_s)
{
	struct key from = { 0 };
	struct range range = { .limit = 1 };
	struct cursor *cursor;
	struct bytes key, value;
	uint8_t number;
	uint64_t start;
	int rc;

	key_u8(&from, ROLLUP_REBUILT);
	range.from = key_bytes(&from);
	if ((rc = cursor_open(&cursor, txn, &rollup_table, &range)) != 0)
		return rc;
	rc = cursor_next(cursor, &key, &value);
	if (rc > 0 && (key_take_u8(&key, &number) || key_take_u64(&key, &start)))
		rc = -EBADMSG;
	cursor_close(cursor);
	if (rc > 0) {
		*span = (enum rollup_span)(number - ROLLUP_REBUILT);
		*start_s = (int64_t)start;
	}
	return rc;
}

int rollup_swap_page(struct txn *txn)
{
	struct swap swap = { .txn = txn };
	enum rollup_span span = ROLLUP_STATE;
	int64_t start_s = 0;
	int rc = 0;

	while (swap.rows < PAGE && (rc = first_rebuilt(txn, &span, &start_s)) > 0)
		if ((rc = swap_span(&swap, span, start_s)) != 0)
			return rc;
	return rc < 0 ? rc : swap.rows >= PAGE;
}
