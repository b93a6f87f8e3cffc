#include "script/stored.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "storage/cursor.h"
#include "storage/health_store.h"
#include "storage/storage.h"

struct stored {
	struct master_keys *master_keys;
	struct buf config, keys; /* size of the key, size of the value, both */
};

struct row {
	uint32_t key_size, value_size;
};

/* Appends a page of rows to out, from behind the last key on, which it replaces. Returns as
 * cursor_next(): 1 if there may be more. */
static int read_page(struct txn *txn, const struct table *table, struct key *last,
	struct buf *out)
{
	struct range range = {
		.from = key_bytes(last),
		.is_from_excluded = true,
		.limit = CURSOR_PAGE_MAX,
	};
	struct cursor *cursor;
	struct bytes key, value;
	int rc = cursor_open(&cursor, txn, table, &range);

	if (rc)
		return rc;
	while ((rc = cursor_next(cursor, &key, &value)) > 0) {
		struct row row = { (uint32_t)key.size, (uint32_t)value.size };

		last->size = key.size;
		memcpy(last->data, key.data, key.size);
		if (health_store_owns(key))
			continue;
		buf_append(out, &row, sizeof(row));
		buf_append(out, key.data, key.size);
		buf_append(out, value.data, value.size);
	}
	if (rc == 0)
		rc = cursor_is_page_full(cursor);
	cursor_close(cursor);
	return rc;
}

static int read_table(struct txn *txn, const struct table *table, struct buf *out)
{
	struct key last = { 0 };
	int rc;

	buf_reset(out);
	do
		rc = read_page(txn, table, &last, out);
	while (rc > 0);
	return rc;
}

static int read_all(struct txn *txn, void *arg, struct err *err)
{
	struct stored *stored = arg;
	int rc = read_table(txn, &config_table, &stored->config);

	(void)err;
	return rc ? rc : read_table(txn, &keys_table, &stored->keys);
}

int stored_read(struct stored **out, struct store *state, struct master_keys *master_keys,
	struct err *err)
{
	struct stored *stored = xcalloc(1, sizeof(*stored));
	int rc;

	stored->master_keys = master_keys;
	rc = store_read(state, read_all, stored, err);
	if (rc) {
		stored_free(stored);
		return rc;
	}
	*out = stored;
	return 0;
}

struct master_keys *stored_master_keys(const struct stored *stored)
{
	return stored->master_keys;
}

void stored_push(lua_State *L, const struct stored *stored, const char *table)
{
	const struct buf *rows = strcmp(table, "keys") == 0 ? &stored->keys
							    : &stored->config;
	const char *at = buf_data(rows), *end = at + buf_size(rows);

	lua_newtable(L);
	for (int place = 1; at < end; place += 2) {
		struct row row;

		memcpy(&row, at, sizeof(row));
		at += sizeof(row);
		lua_pushlstring(L, at, row.key_size);
		lua_rawseti(L, -2, place);
		at += row.key_size;
		lua_pushlstring(L, at, row.value_size);
		lua_rawseti(L, -2, place + 1);
		at += row.value_size;
	}
}

void stored_free(struct stored *stored)
{
	if (!stored)
		return;
	buf_clear(&stored->config);
	buf_clear(&stored->keys);
	free(stored);
}
