/* The environment below a store: opened, its format looked at and brought up, its errors
 * put into words. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "base/log.h"
#include "storage/folder.h"
#include "storage/store_inside.h"
#include "storage/table.h"

#define FORMAT_KEY "format"
#define DISK_LEAST (64 * 1024) /* bytes below which a disk counts as full */

static unsigned format_of(const struct store_layout *layout)
{
	return (unsigned)layout->step_count + 1;
}

static struct bytes format_key(void)
{
	return (struct bytes) { FORMAT_KEY, strlen(FORMAT_KEY) };
}

/* -- errors ----------------------------------------------------------------------- */

int store_errno(int result)
{
	switch (result) {
	case MDB_NOTFOUND:
		return -ENOENT;
	case MDB_KEYEXIST:
		return -EEXIST;
	case MDB_BAD_VALSIZE:
		return -ENAMETOOLONG;
	case MDB_MAP_FULL:
		return -ENOSPC;
	case MDB_TXN_FULL:
		return -E2BIG;
	case MDB_READERS_FULL:
		return -EAGAIN;
	case MDB_CORRUPTED:
	case MDB_PAGE_NOTFOUND:
	case MDB_INVALID:
		return -EUCLEAN;
	case MDB_VERSION_MISMATCH:
		return -EPROTO;
	default:
		return result > 0 ? -result : result <= MDB_LAST_ERRCODE ? -EIO : result;
	}
}

static const char *advice(int rc)
{
	switch (rc) {
	case -ENOSPC:
	case -EDQUOT:
		return "make room on the disk";
	case -EIO:
		return "the disk is failing";
	case -EFBIG:
		return "raise the limit of file sizes (ulimit -f)";
	case -ENOMEM:
		return "raise the limit of address space (ulimit -v)";
	case -EACCES:
	case -EPERM:
	case -EROFS:
		return "neap must be able to write there";
	case -EUCLEAN:
		return "the files are damaged or none of neap's: restore a backup";
	case -E2BIG:
		return "do it in smaller parts";
	default:
		return NULL;
	}
}

/* The library says EIO of a write that was cut short, which a full disk does. */
static bool is_disk_full(const struct store *store)
{
	struct statvfs disk;

	return statvfs(store->folder, &disk) == 0 &&
		(uint64_t)disk.f_bavail * disk.f_frsize < DISK_LEAST;
}

int store_error(const struct store *store, int result, struct err *err)
{
	bool is_full = store_errno(result) == -EIO && is_disk_full(store);
	int rc = store_errno(is_full ? ENOSPC : result);
	const char *hint = advice(rc);

	return err_set(err, rc, "%s: %s%s%s", store->folder,
		mdb_strerror(is_full ? ENOSPC : result), hint ? "; " : "",
		hint ? hint : "");
}

/* -- opening ---------------------------------------------------------------------- */

void store_fit_map(struct store *store)
{
	char path[4096];
	struct stat found;

	snprintf(path, sizeof(path), "%s/data.mdb", store->folder);
	if (stat(path, &found) != 0)
		return;
	while (store->map_size / 2 < (size_t)found.st_size)
		store->map_size *= 2;
}

static int read_format(struct txn *txn, unsigned *format)
{
	struct bytes value, rest;
	uint32_t number;
	int rc = table_get(txn, &meta_table, format_key(), &value);

	*format = 0;
	if (rc)
		return rc == -ENOENT ? 0 : rc;
	rest = value;
	rc = key_take_u32(&rest, &number);
	*format = number;
	return rc;
}

static int write_format(struct txn *txn, unsigned format)
{
	struct key number = { 0 };

	key_u32(&number, format);
	return table_put(txn, &meta_table, format_key(), key_bytes(&number));
}

/* The store is left alone where a newer neap wrote it. */
static int check_format(struct txn *txn, struct err *err)
{
	const struct store *store = txn->store;
	unsigned format, ours = format_of(store->layout);
	int rc = read_format(txn, &format);

	if (rc)
		return err_set(err, rc,
			"%s: the number of its format is damaged: restore "
			"a backup",
			store->folder);
	if (format > ours)
		return err_set(err, -EPROTO,
			"%s has format %u, and this neap knows %u at most: run the newer "
			"neap, or restore a backup from before it",
			store->folder, format, ours);
	return format ? 0 : write_format(txn, ours);
}

static int open_tables(struct store *store, struct err *err)
{
	const struct store_layout *layout = store->layout;
	struct txn txn = { .store = store };
	int rc = mdb_txn_begin(store->env, NULL, 0, &txn.handle);

	if (rc)
		return rc;
	rc = mdb_dbi_open(txn.handle, meta_table.name, MDB_CREATE, &store->tables[0]);
	if (!rc)
		rc = check_format(&txn, err);
	for (size_t i = 0; i < layout->table_count && !rc; i++)
		rc = mdb_dbi_open(txn.handle, layout->tables[i]->name, MDB_CREATE,
			&store->tables[i + 1]);
	if (!rc)
		return mdb_txn_commit(txn.handle);
	mdb_txn_abort(txn.handle);
	return txn.failure ? txn.failure : rc;
}

int store_env_open(struct store *store, struct err *err)
{
	/* Without NOTLS a thread would keep its slot among the readers until it ends.
	 * NOMEMINIT is not set: what was in memory would get into the file. Nor WRITEMAP:
	 * a stray pointer could change the file. */
	unsigned flags = MDB_NOTLS |
		(store->layout->sync == STORE_SYNC_LATE ? MDB_NOMETASYNC : 0);
	int dead, rc;

	if ((rc = mdb_env_create(&store->env)) != 0)
		return rc;
	if ((rc = mdb_env_set_maxdbs(store->env, STORE_TABLES_MAX)) != 0 ||
		(rc = mdb_env_set_mapsize(store->env, store->map_size)) != 0 ||
		(rc = mdb_env_open(store->env, store->folder, flags, 0600)) != 0 ||
		(rc = mdb_reader_check(store->env, &dead)) != 0 ||
		(rc = open_tables(store, err)) != 0)
		store_env_close(store);
	return rc;
}

void store_env_close(struct store *store)
{
	if (store->env)
		mdb_env_close(store->env);
	store->env = NULL;
}

/* -- migration -------------------------------------------------------------------- */

/* One step; *arg, an unsigned, is the format after it. */
static int climb(struct txn *txn, void *arg, struct err *err)
{
	const struct store_layout *layout = txn->store->layout;
	unsigned format;
	int rc;

	if ((rc = read_format(txn, &format)) != 0)
		return rc;
	if (format < format_of(layout)) {
		if ((rc = layout->steps[format - 1].run(txn, NULL, err)) != 0 ||
			(rc = write_format(txn, format + 1)) != 0)
			return rc;
		format++;
	}
	*(unsigned *)arg = format;
	return 0;
}

static int look(struct txn *txn, void *arg, struct err *err)
{
	(void)err;
	return read_format(txn, arg);
}

int store_check_format(struct store *store, struct err *err)
{
	unsigned ours = format_of(store->layout), format;
	int rc = store_read(store, look, &format, err);

	if (rc || format == ours)
		return rc;
	return err_set(err, -EPROTO,
		"%s has format %u, and this neap needs %u: start it with this neap first",
		store->folder, format, ours);
}

int store_migrate(struct store *store, struct err *err)
{
	unsigned ours = format_of(store->layout), format;
	int rc = store_read(store, look, &format, err);

	while (!rc && format < ours) {
		struct err why;
		unsigned from = format;

		log_info("storage", "%s: format %u to %u: %s", store->folder, from,
			from + 1, store->layout->steps[from - 1].what);
		rc = store_write(store, climb, &format, &why);
		if (rc)
			return err_set(err, rc, "%s: format %u to %u failed: %.800s",
				store->folder, from, from + 1, why.text);
	}
	return rc;
}
