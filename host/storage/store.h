/* store.h - one database on disk: a folder with tables, and transactions on them.
 *
 * A store opens after kill -9 without repair: what a transaction wrote is there as a whole
 * or not at all. It belongs to one process; a second one is refused. It grows by itself
 * until the disk is full; then transactions fail with -ENOSPC and succeed again once
 * there is room.
 *
 * Transactions are functions that the store calls, because it may have to call them again.
 * Any thread may call, but a thread is in one transaction at a time (asserted), and
 * transactions wait for the disk: workers never call, they ask a store_thread. No read
 * transaction outlives a page of rows (cursor.h): while one is open, what is deleted is not
 * used again and the file grows. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct store;
struct txn;

/* What happens in a transaction. Returns 0 or a negative errno, which undoes all writes;
 * err is for a reason in words (without one the store says what went wrong on disk). A
 * write may be run again from the start when the store had to grow or to be opened anew,
 * so that nothing but txn may be changed in a way that cannot be done twice. */
typedef int store_fn(struct txn *txn, void *arg, struct err *err);

struct table {
	const char *name;
};

/* Every store has it: about the store itself. The key "format" is the store's own. */
extern const struct table meta_table;

/* From format n to n + 1, in one transaction that also writes the new number. */
struct store_step {
	const char *what; /* "split records by day"; for the log */
	store_fn *run;    /* arg is NULL */
};

enum store_sync {
	STORE_SYNC_ALL,  /* on disk before a write returns, power loss included */
	STORE_SYNC_LATE, /* power loss may undo the last transaction; faster */
};

/* What a program knows of a store. Its format is the number of steps and one. */
struct store_layout {
	const char *name; /* "state", for messages */
	enum store_sync sync;
	size_t map_size;                   /* bytes of room to begin with */
	const struct table *const *tables; /* without meta; made where they are missing */
	size_t table_count;
	const struct store_step *steps;
	size_t step_count;
};

struct store_figures {
	uint64_t room; /* bytes before the map grows */
	uint64_t used; /* bytes of the file that were ever used */
	int readers;   /* read transactions that are open */
};

/* Makes the folder (0700) and what is in it (0600) where it is missing, and brings the
 * format up to the layout's, which must outlive the store. -EBUSY: another process has
 * it. -EPROTO: a newer neap wrote it. */
MUST_CHECK
int store_open(struct store **out, const char *folder, const struct store_layout *layout,
	struct err *err);
/* The same beside the process that has it, which goes on: nothing is made and no format is
 * brought up. -EPROTO: the other process has an older format. */
MUST_CHECK
int store_open_beside(struct store **out, const char *folder,
	const struct store_layout *layout, struct err *err);
/* No transaction may be open. NULL is fine. */
void store_close(struct store *store);

/* When it returns 0, what was written is as safe as the layout's sync says. */
MUST_CHECK
int store_write(struct store *store, store_fn *fn, void *arg, struct err *err);
/* fn sees the store as it was when the transaction began. */
MUST_CHECK
int store_read(struct store *store, store_fn *fn, void *arg, struct err *err);

/* Gives free what processes held that died while reading (tools that look into the files);
 * returns how many there were. Once a minute is enough. */
int store_forget_readers(struct store *store);
struct store_figures store_figures(struct store *store);
