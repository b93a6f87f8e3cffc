/* storage_place.h - a folder for one test of storage, and what such tests write. */
#pragma once

#include <ftw.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "storage/key.h"
#include "storage/store.h"
#include "storage/table.h"

static const struct table first_table = { "first" };
static const struct table second_table = { "second" };
static const struct table *const test_tables[] = { &first_table, &second_table };

/* So small that every test of size makes it grow. */
static const struct store_layout test_layout = {
	.name = "test",
	.sync = STORE_SYNC_ALL,
	.map_size = 64 * 1024,
	.tables = test_tables,
	.table_count = 2,
};

static inline struct bytes bytes_of(const char *text)
{
	return (struct bytes) { text, strlen(text) };
}

static inline struct key number_key(uint64_t number)
{
	struct key key = { 0 };

	key_u64(&key, number);
	return key;
}

static inline void place_make(char path[128])
{
	const char *folder = getenv("TMPDIR");

	snprintf(path, 128, "%s/storage-test-XXXXXX", folder ? folder : "/tmp");
	if (strlen(path) > 120 || !mkdtemp(path))
		abort();
}

static inline int remove_one(const char *path, const struct stat *found, int kind,
	struct FTW *at)
{
	(void)found;
	(void)kind;
	(void)at;
	return remove(path);
}

static inline void place_remove(const char *path)
{
	nftw(path, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

struct text_row {
	const struct table *table;
	const char *name;
	const char *text;
	char found[256];
};

static inline int put_text_row(struct txn *txn, void *arg, struct err *err)
{
	const struct text_row *row = arg;

	(void)err;
	return table_put(txn, row->table, bytes_of(row->name), bytes_of(row->text));
}

static inline int get_text_row(struct txn *txn, void *arg, struct err *err)
{
	struct text_row *row = arg;
	struct bytes value;
	int rc = table_get(txn, row->table, bytes_of(row->name), &value);

	(void)err;
	if (rc == 0)
		snprintf(row->found, sizeof(row->found), "%.*s", (int)value.size,
			(const char *)value.data);
	return rc;
}

static inline int put_text(struct store *store, const struct table *table,
	const char *name, const char *text)
{
	struct text_row row = { .table = table, .name = name, .text = text };

	return store_write(store, put_text_row, &row, NULL);
}

/* True where the row is there and has this text. */
static inline bool has_text(struct store *store, const struct table *table,
	const char *name, const char *text)
{
	struct text_row row = { .table = table, .name = name };

	return store_read(store, get_text_row, &row, NULL) == 0 &&
		strcmp(row.found, text) == 0;
}
