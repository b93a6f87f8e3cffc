#include "storage/storage.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "storage/folder.h"

#define MIB (1024 * 1024)
/* Each is a request or an admin's click that waits; the journal's are a ring's turn. */
#define QUEUE_MAX 1024
/* Records wait at most 50 ms: this and the time of the transaction before. */
#define JOURNAL_GATHER_MS 20

const struct table config_table = { "config" };
const struct table keys_table = { "keys" };
const struct table objects_table = { "objects" };

const struct table records_table = { "records" };
const struct table index_table = { "index" };
const struct table traces_table = { "traces" };
const struct table bodies_table = { "bodies" };
const struct table rollup_table = { "rollup" };
const struct table cache_table = { "cache" };

static const struct table *const state_tables[] = {
	&config_table,
	&keys_table,
	&objects_table,
};

static const struct table *const journal_tables[] = {
	&records_table,
	&index_table,
	&traces_table,
	&bodies_table,
	&rollup_table,
	&cache_table,
};

const struct store_layout state_layout = {
	.name = "state",
	.sync = STORE_SYNC_ALL,
	.map_size = 16 * MIB,
	.tables = state_tables,
	.table_count = COUNT_OF(state_tables),
};

const struct store_layout journal_layout = {
	.name = "journal",
	.sync = STORE_SYNC_LATE,
	.map_size = 256 * MIB,
	.tables = journal_tables,
	.table_count = COUNT_OF(journal_tables),
};

struct storage {
	struct store *state;
	struct store *journal;
	struct store_thread *state_writer;
	struct store_thread *state_reader;
	struct store_thread *journal_writer;
	struct store_thread *journal_reader;
};

static int open_store(struct store **out, const char *folder,
	const struct store_layout *layout, struct err *err)
{
	char path[4096];

	snprintf(path, sizeof(path), "%s/%s", folder, layout->name);
	return store_open(out, path, layout, err);
}

static int start_threads(struct storage *storage, struct err *err)
{
	const struct {
		struct store_thread **thread;
		struct store *store;
		struct store_thread_options options;
	} threads[] = {
		{ &storage->state_writer, storage->state,
			{ .name = "state writer", .queue_max = QUEUE_MAX } },
		{ &storage->state_reader, storage->state,
			{ .name = "state reader",
				.is_reader = true,
				.queue_max = QUEUE_MAX } },
		{ &storage->journal_writer, storage->journal,
			{ .name = "journal writer",
				.queue_max = QUEUE_MAX,
				.gather_ms = JOURNAL_GATHER_MS } },
		{ &storage->journal_reader, storage->journal,
			{ .name = "journal reader",
				.is_reader = true,
				.queue_max = QUEUE_MAX,
				.is_background = true } },
	};
	int rc = 0;

	for (size_t i = 0; i < COUNT_OF(threads) && !rc; i++)
		rc = store_thread_start(threads[i].thread, threads[i].store,
			&threads[i].options, err);
	return rc;
}

int storage_open(struct storage **out, const char *folder, struct err *err)
{
	struct storage *storage = xcalloc(1, sizeof(*storage));
	int rc;

	if ((rc = folder_make(folder, err)) != 0)
		goto fail;
	if ((rc = open_store(&storage->state, folder, &state_layout, err)) != 0)
		goto fail;
	if ((rc = open_store(&storage->journal, folder, &journal_layout, err)) != 0)
		goto fail;
	/* The names of the stores' own folders. */
	if ((rc = folder_sync(folder, err)) != 0)
		goto fail;
	if ((rc = start_threads(storage, err)) != 0)
		goto fail;
	*out = storage;
	return 0;

fail:
	storage_close(storage);
	return rc;
}

struct store *storage_state(struct storage *storage)
{
	return storage->state;
}

struct store *storage_journal(struct storage *storage)
{
	return storage->journal;
}

struct store_thread *storage_state_writer(struct storage *storage)
{
	return storage->state_writer;
}

struct store_thread *storage_state_reader(struct storage *storage)
{
	return storage->state_reader;
}

struct store_thread *storage_journal_writer(struct storage *storage)
{
	return storage->journal_writer;
}

struct store_thread *storage_journal_reader(struct storage *storage)
{
	return storage->journal_reader;
}

void storage_close(struct storage *storage)
{
	if (!storage)
		return;
	store_thread_close(storage->state_reader);
	store_thread_close(storage->journal_reader);
	store_thread_close(storage->state_writer);
	store_thread_close(storage->journal_writer);
	store_close(storage->journal);
	store_close(storage->state);
	free(storage);
}
