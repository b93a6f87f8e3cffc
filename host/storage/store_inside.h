/* store_inside.h - what a store and a transaction are made of. Private to store*.c,
 * table.c and cursor.c: the files that know the database library. */
#pragma once

#include <lmdb.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "storage/key.h"
#include "storage/store.h"

#define STORE_TABLES_MAX 16

struct store {
	char *folder;
	const struct store_layout *layout;
	int lock_fd;
	/* Held shared by each transaction and alone where the map or the environment is
	 * replaced, which must not be while a transaction is open. */
	pthread_rwlock_t quiet;
	/* Guarded by quiet. */
	MDB_env *env; /* NULL: it could not be opened again; the next transaction tries */
	MDB_dbi tables[STORE_TABLES_MAX]; /* meta, then the layout's */
	size_t map_size;
};

struct txn {
	struct store *store;
	MDB_txn *handle;
	/* The first result that makes it worthless, whatever its function makes of it. */
	int failure;
	uint64_t writes; /* rows, so that who has written nothing need not be undone */
};

/* Makes map_size large enough for the file as it is and for as much again. */
void store_fit_map(struct store *store);
/* Creates and opens the environment and its tables. 0 or a result of the library's;
 * with an err also a negative errno, its text written: a format that is not ours. */
int store_env_open(struct store *store, struct err *err);
void store_env_close(struct store *store);
/* Brings the format up to the layout's. */
MUST_CHECK
int store_migrate(struct store *store, struct err *err);

/* -EPROTO: the format is an older one. */
MUST_CHECK
int store_check_format(struct store *store, struct err *err);

/* The negative errno of a result of the library's. */
int store_errno(int result);
/* The same with a text: where, what, and what to do about it. */
int store_error(const struct store *store, int result, struct err *err);

/* Notes a result of the library's and returns its errno. */
int txn_note(struct txn *txn, int result);
/* After each row that was to be written, with what it returned. */
void txn_wrote(struct txn *txn, int rc);
MDB_dbi txn_table(const struct txn *txn, const struct table *table);

static inline MDB_val store_val(struct bytes bytes)
{
	return (MDB_val) { bytes.size, (void *)bytes.data };
}

static inline struct bytes store_bytes(MDB_val val)
{
	return (struct bytes) { val.mv_data, val.mv_size };
}
