/* storage.h - what neap keeps on disk: the folder `storage`, its two stores and their
 * threads.
 *
 *	state/     configuration, keys, objects: on disk before a write is acknowledged
 *	journal/   records and what belongs to them: power loss may cost the last moment
 *
 * The tables below are all there are; another one is declared here, listed in the layout
 * in storage.c, and made when the store is opened. Who owns a table writes its rows'
 * form in the header of his own module. */
#pragma once

#include "base/err.h"
#include "storage/store.h"
#include "storage/store_thread.h"

struct storage;

/* state */
extern const struct table config_table; /* kind, name → JSON */
extern const struct table keys_table;   /* provider, key id → sealed secret and state */
extern const struct table objects_table; /* what must find its way back to its provider */

/* journal */
extern const struct table records_table; /* time → a request's record */
extern const struct table index_table;   /* dimension, value, time → times of records */
extern const struct table traces_table;  /* time → raw usage, error text, trace */
extern const struct table bodies_table;  /* time, part → a body */
extern const struct table rollup_table;  /* span, start, dimension, value → sums */
extern const struct table cache_table;   /* cached answers */

extern const struct store_layout state_layout;
extern const struct store_layout journal_layout;

/* Opens (or makes) both stores below folder, which is made too, and starts a writer and a
 * reader for each. */
MUST_CHECK
int storage_open(struct storage **out, const char *folder, struct err *err);
/* Before there are workers, and after them: on the calling thread. */
struct store *storage_state(struct storage *storage);
struct store *storage_journal(struct storage *storage);
/* For everything else. */
struct store_thread *storage_state_writer(struct storage *storage);
struct store_thread *storage_state_reader(struct storage *storage);
struct store_thread *storage_journal_writer(struct storage *storage);
struct store_thread *storage_journal_reader(struct storage *storage);
/* Does what was accepted. Loops that were given to post must still take jobs. */
void storage_close(struct storage *storage);
