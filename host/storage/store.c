#include "storage/store.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/background.h"
#include "base/log.h"
#include "storage/folder.h"
#include "storage/store_inside.h"

const struct table meta_table = { "meta" };

/* Waiting for itself would be for ever, so a thread must not enter twice. */
static _Thread_local bool is_inside;

/* -- what can be mended ----------------------------------------------------------- */

static bool is_mendable(int failure)
{
	return failure == MDB_MAP_FULL || failure == MDB_MAP_RESIZED ||
		failure == MDB_PANIC;
}

static int grow(struct store *store)
{
	size_t size = store->map_size * 2;
	int rc = size > store->map_size ? mdb_env_set_mapsize(store->env, size) : ENOMEM;

	if (rc == 0) {
		store->map_size = size;
		log_info("storage", "%s has room for %zu MiB now", store->folder,
			size / (1024 * 1024));
	}
	return rc;
}

/* Takes over the size that another process gave the map. */
static int follow(struct store *store)
{
	MDB_envinfo info;
	int rc = mdb_env_set_mapsize(store->env, 0);

	if (rc == 0 && mdb_env_info(store->env, &info) == 0)
		store->map_size = info.me_mapsize;
	return rc;
}

static int open_again(struct store *store, int failure)
{
	int rc;

	store_env_close(store);
	rc = store_env_open(store, NULL);
	log_warn("storage", "%s: %s; opened again: %s", store->folder,
		mdb_strerror(failure), rc ? mdb_strerror(rc) : "well");
	return rc;
}

/* At a quiet point. A map that could not be replaced is gone, and so is an environment that
 * cannot go on: then it is opened anew. */
static int mend(struct store *store, int failure)
{
	int rc = 0;

	pthread_rwlock_wrlock(&store->quiet);
	if (!store->env || failure == MDB_PANIC) {
		rc = open_again(store, failure);
	} else {
		rc = failure == MDB_MAP_FULL ? grow(store) : follow(store);
		if (rc)
			open_again(store, rc);
	}
	pthread_rwlock_unlock(&store->quiet);
	return rc;
}

/* -- transactions ----------------------------------------------------------------- */

int txn_note(struct txn *txn, int result)
{
	bool is_answer = result == MDB_SUCCESS || result == MDB_NOTFOUND ||
		result == MDB_KEYEXIST || result == MDB_BAD_VALSIZE;

	if (!is_answer && !txn->failure)
		txn->failure = result;
	return store_errno(result);
}

MDB_dbi txn_table(const struct txn *txn, const struct table *table)
{
	const struct store_layout *layout = txn->store->layout;

	if (table == &meta_table)
		return txn->store->tables[0];
	for (size_t i = 0; i < layout->table_count; i++)
		if (layout->tables[i] == table)
			return txn->store->tables[i + 1];
	log_error("storage", "%s has no table %s", txn->store->folder, table->name);
	abort();
}

void txn_wrote(struct txn *txn, int rc)
{
	txn->writes += rc == 0;
	background_step();
}

/* Pages are written and waited for in a few long calls of the system. */
static int commit(struct txn *txn)
{
	background_stand_back();
	return mdb_txn_commit(txn->handle);
}

/* One run of fn. *failure is what the database library had against it, or 0. */
static int run_once(struct store *store, unsigned flags, store_fn *fn, void *arg,
	int *failure, struct err *err)
{
	struct txn txn = { .store = store };
	int rc;

	*failure = store->env ? mdb_txn_begin(store->env, NULL, flags, &txn.handle)
			      : MDB_PANIC;
	if (*failure)
		return store_errno(*failure);
	rc = fn(&txn, arg, err);
	assert(rc <= 0);
	*failure = txn.failure;
	if (rc || *failure || flags == MDB_RDONLY)
		mdb_txn_abort(txn.handle);
	else
		*failure = commit(&txn);
	return *failure ? store_errno(*failure) : rc;
}

static int transact(struct store *store, unsigned flags, store_fn *fn, void *arg,
	struct err *err)
{
	struct err unread;
	bool is_mended = false;
	int failure, rc;

	assert(!is_inside);
	if (!err)
		err = &unread;
	for (;;) {
		err->text[0] = '\0';
		is_inside = true;
		pthread_rwlock_rdlock(&store->quiet);
		rc = run_once(store, flags, fn, arg, &failure, err);
		pthread_rwlock_unlock(&store->quiet);
		is_inside = false;
		/* A map may have to grow more than once, the rest must help at once. */
		if (!is_mendable(failure) || (is_mended && failure != MDB_MAP_FULL))
			break;
		is_mended = true;
		failure = mend(store, failure);
		if (failure)
			break;
	}
	if (failure)
		return store_error(store, failure, err);
	if (rc && !err->text[0])
		return store_error(store, -rc, err);
	return rc;
}

int store_write(struct store *store, store_fn *fn, void *arg, struct err *err)
{
	background_begin_steps();
	return transact(store, 0, fn, arg, err);
}

int store_read(struct store *store, store_fn *fn, void *arg, struct err *err)
{
	return transact(store, MDB_RDONLY, fn, arg, err);
}

/* -- life ------------------------------------------------------------------------- */

static int open_first(struct store *store, struct err *err)
{
	struct err why = { "" };
	int rc = store_env_open(store, &why);

	if (rc == 0)
		return 0;
	if (why.text[0])
		return err_set(err, rc, "%s", why.text);
	return store_error(store, rc, err);
}

static struct store *new_store(const char *folder, const struct store_layout *layout)
{
	struct store *store = xcalloc(1, sizeof(*store));
	pthread_rwlockattr_t attributes;

	assert(layout->table_count < STORE_TABLES_MAX && layout->map_size > 0);
	store->folder = xstrdup(folder);
	store->layout = layout;
	store->map_size = layout->map_size;
	store->lock_fd = -1;
	pthread_rwlockattr_init(&attributes);
	/* Else a store that is read all the time would never come to grow. */
	pthread_rwlockattr_setkind_np(&attributes,
		PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
	pthread_rwlock_init(&store->quiet, &attributes);
	pthread_rwlockattr_destroy(&attributes);
	return store;
}

int store_open(struct store **out, const char *folder, const struct store_layout *layout,
	struct err *err)
{
	struct store *store = new_store(folder, layout);
	int rc;

	if ((rc = folder_make(folder, err)) != 0)
		goto fail;
	if ((rc = folder_lock(folder, err)) < 0)
		goto fail;
	store->lock_fd = rc;
	store_fit_map(store);
	if ((rc = open_first(store, err)) != 0)
		goto fail;
	if ((rc = store_migrate(store, err)) != 0)
		goto fail;
	/* The library syncs what is in its files, not their names. */
	if ((rc = folder_sync(folder, err)) != 0)
		goto fail;
	*out = store;
	return 0;

fail:
	store_close(store);
	return rc;
}

int store_open_beside(struct store **out, const char *folder,
	const struct store_layout *layout, struct err *err)
{
	struct store *store = new_store(folder, layout);
	int rc;

	store_fit_map(store);
	if ((rc = open_first(store, err)) != 0 ||
		(rc = store_check_format(store, err)) != 0) {
		store_close(store);
		return rc;
	}
	*out = store;
	return 0;
}

void store_close(struct store *store)
{
	if (!store)
		return;
	store_env_close(store);
	pthread_rwlock_destroy(&store->quiet);
	if (store->lock_fd >= 0)
		close(store->lock_fd);
	free(store->folder);
	free(store);
}

int store_forget_readers(struct store *store)
{
	int dead = 0;

	assert(!is_inside);
	pthread_rwlock_rdlock(&store->quiet);
	if (store->env && mdb_reader_check(store->env, &dead) != 0)
		dead = 0;
	pthread_rwlock_unlock(&store->quiet);
	if (dead)
		log_warn("storage", "%s: %d readers that had died were forgotten",
			store->folder, dead);
	return dead;
}

static int count_reader(const char *line, void *arg)
{
	/* The first line is a heading, and without readers the only one. */
	if (line[0] == ' ' && strpbrk(line, "0123456789"))
		++*(int *)arg;
	return 0;
}

struct store_figures store_figures(struct store *store)
{
	struct store_figures figures = { 0 };
	MDB_envinfo info;
	MDB_stat stat;

	assert(!is_inside);
	pthread_rwlock_rdlock(&store->quiet);
	if (store->env && mdb_env_info(store->env, &info) == 0 &&
		mdb_env_stat(store->env, &stat) == 0) {
		figures.room = info.me_mapsize;
		figures.used = (uint64_t)(info.me_last_pgno + 1) * stat.ms_psize;
		mdb_reader_list(store->env, count_reader, &figures.readers);
	}
	pthread_rwlock_unlock(&store->quiet);
	return figures;
}
