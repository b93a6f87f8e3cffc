/* cursor.h - the rows of a table in the order of their keys, a page at a time.
 *
 *	struct range range = { .prefix = key_bytes(&day), .limit = 100 };
 *
 *	if ((rc = cursor_open(&cursor, txn, &records_table, &range)) != 0)
 *		return rc;
 *	while ((rc = cursor_next(cursor, &key, &value)) > 0)
 *		use(key, value);
 *	cursor_close(cursor);
 *	return rc;
 *
 * The next page begins behind the last key of this one (from, is_from_excluded), in a
 * transaction of its own. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/mem.h"
#include "storage/key.h"
#include "storage/store.h"

#define CURSOR_PAGE_MAX 10000 /* rows of one cursor */

struct cursor;

/* Empty bytes: no such bound. Borrowed while the cursor is open. */
struct range {
	struct bytes prefix; /* only keys that begin so */
	struct bytes from;   /* where to begin; it need not exist */
	struct bytes until;  /* the first key in the direction that is no longer wanted */
	bool is_down;        /* from the greatest to the least */
	bool is_from_excluded;
	uint32_t limit; /* rows, 1 to CURSOR_PAGE_MAX */
};

/* -ENAMETOOLONG: a bound longer than KEY_MAX. */
MUST_CHECK
int cursor_open(struct cursor **out, struct txn *txn, const struct table *table,
	const struct range *range);
/* Goes on with another range of the same table, which saves opening a cursor anew. */
MUST_CHECK
int cursor_restart(struct cursor *cursor, const struct range *range);
/* 1 and the next row, which is borrowed as in table_get(); 0 at the end of the range or of
 * the page; or a negative errno. */
MUST_CHECK
int cursor_next(struct cursor *cursor, struct bytes *key, struct bytes *value);
/* True when cursor_next() ended for the limit: there may be another page. */
bool cursor_is_page_full(const struct cursor *cursor);
/* Deletes the row that cursor_next() gave last; the next one is what it would have been. */
MUST_CHECK
int cursor_delete(struct cursor *cursor);
/* Replaces the value of the row that cursor_next() gave last; key is that row's. Saves the
 * search that table_put() begins with. */
MUST_CHECK
int cursor_replace(struct cursor *cursor, struct bytes key, struct bytes value);
/* As table_append(), wherever the range is, which is at its end then. Many rows one behind the
 * other save the way to the end of the table. */
MUST_CHECK
int cursor_append(struct cursor *cursor, struct bytes key, struct bytes value);
/* Before the end of the transaction. NULL is fine. */
void cursor_close(struct cursor *cursor);
