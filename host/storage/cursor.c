#include "storage/cursor.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "storage/store_inside.h"

struct cursor {
	struct txn *txn;
	MDB_cursor *handle;
	struct range range;
	uint32_t left; /* rows of the page */
	bool has_begun;
	bool has_ended;
	bool is_page_full;
};

int cursor_restart(struct cursor *cursor, const struct range *range)
{
	assert(range->limit > 0 && range->limit <= CURSOR_PAGE_MAX);
	if (range->prefix.size > KEY_MAX || range->from.size > KEY_MAX ||
		range->until.size > KEY_MAX)
		return -ENAMETOOLONG;
	cursor->range = *range;
	cursor->left = range->limit;
	cursor->has_begun = cursor->has_ended = cursor->is_page_full = false;
	return 0;
}

int cursor_open(struct cursor **out, struct txn *txn, const struct table *table,
	const struct range *range)
{
	struct cursor *cursor = xcalloc(1, sizeof(*cursor));
	int rc = cursor_restart(cursor, range);

	cursor->txn = txn;
	if (!rc)
		rc = txn_note(txn,
			mdb_cursor_open(txn->handle, txn_table(txn, table),
				&cursor->handle));
	if (rc) {
		free(cursor);
		return rc;
	}
	*out = cursor;
	return 0;
}

static int compare(struct bytes a, struct bytes b)
{
	size_t size = a.size < b.size ? a.size : b.size;
	int order = size ? memcmp(a.data, b.data, size) : 0;

	return order ? order : (a.size > b.size) - (a.size < b.size);
}

static bool has_prefix(struct bytes key, struct bytes prefix)
{
	return key.size >= prefix.size &&
		(!prefix.size || memcmp(key.data, prefix.data, prefix.size) == 0);
}

static bool is_wanted(const struct range *range, struct bytes key)
{
	if (!has_prefix(key, range->prefix))
		return false;
	if (!range->until.size)
		return true;
	return range->is_down ? compare(key, range->until) > 0
			      : compare(key, range->until) < 0;
}

/* The least key behind all that begin with prefix; empty: there is none. */
static void step_over(struct bytes prefix, struct key *edge)
{
	key_raw(edge, prefix.data, prefix.size);
	while (edge->size && edge->data[edge->size - 1] == 0xff)
		edge->size--;
	if (edge->size)
		edge->data[edge->size - 1]++;
}

static int begin_up(struct cursor *cursor, MDB_val *key, MDB_val *value)
{
	const struct range *range = &cursor->range;
	bool is_from = range->from.size && compare(range->from, range->prefix) >= 0;
	struct bytes start = is_from ? range->from : range->prefix;
	int rc;

	if (!start.size)
		return mdb_cursor_get(cursor->handle, key, value, MDB_FIRST);
	*key = store_val(start);
	rc = mdb_cursor_get(cursor->handle, key, value, MDB_SET_RANGE);
	if (rc == 0 && is_from && range->is_from_excluded &&
		compare(store_bytes(*key), range->from) == 0)
		rc = mdb_cursor_get(cursor->handle, key, value, MDB_NEXT);
	return rc;
}

static int begin_down(struct cursor *cursor, MDB_val *key, MDB_val *value)
{
	const struct range *range = &cursor->range;
	struct key edge = { 0 };
	struct bytes start = range->from;
	bool is_taken;
	int rc;

	if (!start.size ||
		(compare(start, range->prefix) > 0 &&
			!has_prefix(start, range->prefix))) {
		step_over(range->prefix, &edge);
		start = key_bytes(&edge);
	}
	if (!start.size)
		return mdb_cursor_get(cursor->handle, key, value, MDB_LAST);
	*key = store_val(start);
	rc = mdb_cursor_get(cursor->handle, key, value, MDB_SET_RANGE);
	if (rc == MDB_NOTFOUND)
		return mdb_cursor_get(cursor->handle, key, value, MDB_LAST);
	if (rc)
		return rc;
	is_taken = !edge.size && !range->is_from_excluded &&
		compare(store_bytes(*key), range->from) == 0;
	return is_taken ? 0 : mdb_cursor_get(cursor->handle, key, value, MDB_PREV);
}

int cursor_next(struct cursor *cursor, struct bytes *key, struct bytes *value)
{
	MDB_val found_key = { 0 }, found = { 0 };
	bool is_down = cursor->range.is_down;
	int rc;

	if (cursor->has_ended)
		return 0;
	if (!cursor->left) {
		cursor->has_ended = true;
		cursor->is_page_full = true;
		return 0;
	}
	if (cursor->has_begun)
		rc = mdb_cursor_get(cursor->handle, &found_key, &found,
			is_down ? MDB_PREV : MDB_NEXT);
	else
		rc = is_down ? begin_down(cursor, &found_key, &found)
			     : begin_up(cursor, &found_key, &found);
	cursor->has_begun = true;
	*key = store_bytes(found_key);
	*value = store_bytes(found);
	if (rc == 0 && is_wanted(&cursor->range, *key)) {
		cursor->left--;
		return 1;
	}
	cursor->has_ended = true;
	return rc == MDB_NOTFOUND ? 0 : txn_note(cursor->txn, rc);
}

bool cursor_is_page_full(const struct cursor *cursor)
{
	return cursor->is_page_full;
}

int cursor_delete(struct cursor *cursor)
{
	int rc;

	assert(cursor->has_begun && !cursor->has_ended);
	rc = txn_note(cursor->txn, mdb_cursor_del(cursor->handle, 0));
	txn_wrote(cursor->txn, rc);
	return rc;
}

int cursor_replace(struct cursor *cursor, struct bytes key, struct bytes value)
{
	MDB_val name = store_val(key), content = store_val(value);
	int rc;

	assert(cursor->has_begun && !cursor->has_ended);
	rc = txn_note(cursor->txn,
		mdb_cursor_put(cursor->handle, &name, &content, MDB_CURRENT));
	txn_wrote(cursor->txn, rc);
	return rc;
}

int cursor_append(struct cursor *cursor, struct bytes key, struct bytes value)
{
	MDB_val name = store_val(key), content = store_val(value);
	int rc = mdb_cursor_put(cursor->handle, &name, &content, MDB_APPEND);

	if (rc == MDB_KEYEXIST)
		rc = mdb_cursor_put(cursor->handle, &name, &content, 0);
	cursor->has_begun = cursor->has_ended = true;
	rc = txn_note(cursor->txn, rc);
	txn_wrote(cursor->txn, rc);
	return rc;
}

void cursor_close(struct cursor *cursor)
{
	if (!cursor)
		return;
	mdb_cursor_close(cursor->handle);
	free(cursor);
}
