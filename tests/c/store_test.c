/* A store: made, grown, brought up, refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <lmdb.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/wait.h>

#include "base/mem.h"
#include "storage/cursor.h"
#include "storage_place.h"

static char place[128];

static struct store *open_store(const struct store_layout *layout)
{
	struct store *store = NULL;
	struct err err = { "" };

	if (store_open(&store, place, layout, &err) != 0)
		fail_msg("%s", err.text);
	return store;
}

static unsigned mode_of(const char *name)
{
	char path[256];
	struct stat found;

	snprintf(path, sizeof(path), "%s/%s", place, name);
	assert_int_equal(stat(path, &found), 0);
	return found.st_mode & 07777;
}

/* -- opening ---------------------------------------------------------------------- */

static void a_store_is_private_and_lasts(void **state)
{
	mode_t before = umask(0);
	char root[128];
	struct store *store;

	(void)state;
	strcpy(root, place);
	strcat(place, "/a/b");
	store = open_store(&test_layout);
	umask(before);
	assert_int_equal(mode_of("."), 0700);
	assert_int_equal(mode_of(".."), 0700);
	assert_int_equal(mode_of("data.mdb"), 0600);
	assert_int_equal(mode_of("lock.mdb"), 0600);
	assert_int_equal(mode_of("owner"), 0600);
	assert_int_equal(put_text(store, &first_table, "name", "text"), 0);
	store_close(store);
	store = open_store(&test_layout);
	assert_true(has_text(store, &first_table, "name", "text"));
	store_close(store);
	strcpy(place, root);
}

static int fail_after_a_write(struct txn *txn, void *arg, struct err *err)
{
	int rc = table_put(txn, &first_table, bytes_of("name"), bytes_of("other"));

	(void)arg;
	return rc ? rc : err_set(err, -ECANCELED, "for a reason");
}

static void what_fails_is_undone(void **state)
{
	struct store *store = open_store(&test_layout);
	struct err err;

	(void)state;
	assert_int_equal(put_text(store, &first_table, "name", "text"), 0);
	assert_int_equal(store_write(store, fail_after_a_write, NULL, &err), -ECANCELED);
	assert_string_equal(err.text, "for a reason");
	assert_true(has_text(store, &first_table, "name", "text"));
	store_close(store);
}

/* Opens the store in a child; the child's text comes back. */
static int open_elsewhere(char *text, size_t size)
{
	int ends[2], status;
	pid_t child;

	assert_int_equal(pipe(ends), 0);
	child = fork();
	if (child == 0) {
		struct store *store;
		struct err err = { "" };
		int rc = store_open(&store, place, &test_layout, &err);

		_exit(write(ends[1], err.text, strlen(err.text)) < 0 ? 0 : -rc);
	}
	close(ends[1]);
	memset(text, 0, size);
	assert_true(read(ends[0], text, size - 1) >= 0);
	close(ends[0]);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	return -WEXITSTATUS(status);
}

static void a_second_process_is_refused(void **state)
{
	struct store *store = open_store(&test_layout);
	char text[1024], wanted[64];

	(void)state;
	assert_int_equal(open_elsewhere(text, sizeof(text)), -EBUSY);
	snprintf(wanted, sizeof(wanted), "in use by process %d:", (int)getpid());
	assert_non_null(strstr(text, wanted));
	assert_int_equal(put_text(store, &first_table, "still", "ours"), 0);
	store_close(store);
	assert_int_equal(open_elsewhere(text, sizeof(text)), 0);
}

static void what_is_no_store_is_refused(void **state)
{
	char path[256];
	struct store *store;
	struct err err;
	FILE *file;

	(void)state;
	snprintf(path, sizeof(path), "%s/data.mdb", place);
	file = fopen(path, "w");
	for (int i = 0; i < 10000; i++)
		fputs("this is no database\n", file);
	fclose(file);
	assert_int_equal(store_open(&store, place, &test_layout, &err), -EUCLEAN);
	assert_non_null(strstr(err.text, place));
	assert_non_null(strstr(err.text, "restore a backup"));

	assert_int_equal(store_open(&store, path, &test_layout, &err), -ENOTDIR);
	assert_non_null(strstr(err.text, path));
}

/* -- formats ---------------------------------------------------------------------- */

static int step_runs;
static int step_rc;

static int shout(struct txn *txn, void *arg, struct err *err)
{
	struct range range = { .limit = 100 };
	struct bytes key, value;
	struct cursor *cursor;
	char text[64];
	int rc;

	(void)arg;
	step_runs++;
	if ((rc = cursor_open(&cursor, txn, &first_table, &range)) != 0)
		return rc;
	while ((rc = cursor_next(cursor, &key, &value)) > 0) {
		snprintf(text, sizeof(text), "%.*s!", (int)value.size,
			(const char *)value.data);
		rc = table_put(txn, &second_table, key, bytes_of(text));
		if (rc)
			break;
	}
	cursor_close(cursor);
	return rc ? rc : step_rc ? err_set(err, step_rc, "the step's reason") : 0;
}

static int empty_first(struct txn *txn, void *arg, struct err *err)
{
	(void)arg;
	(void)err;
	return table_empty(txn, &first_table);
}

static const struct store_step steps[] = {
	{ "shout", shout },
	{ "empty the first table", empty_first },
};

static void a_store_is_brought_up_step_by_step(void **state)
{
	struct store_layout layout = test_layout;
	struct store *store = open_store(&layout);
	struct err err;

	(void)state;
	assert_int_equal(put_text(store, &first_table, "name", "text"), 0);
	store_close(store);

	/* A step that fails changes nothing and is done again. */
	layout.steps = steps;
	layout.step_count = 2;
	step_runs = 0;
	step_rc = -EPERM;
	assert_int_equal(store_open(&store, place, &layout, &err), -EPERM);
	assert_non_null(strstr(err.text, "format 1 to 2 failed: the step's reason"));
	store = open_store(&test_layout);
	assert_true(has_text(store, &first_table, "name", "text"));
	assert_false(has_text(store, &second_table, "name", "text!"));
	store_close(store);

	step_rc = 0;
	store = open_store(&layout);
	assert_int_equal(step_runs, 2);
	assert_true(has_text(store, &second_table, "name", "text!"));
	assert_false(has_text(store, &first_table, "name", "text"));
	store_close(store);

	/* Never again. */
	store = open_store(&layout);
	assert_int_equal(step_runs, 2);
	store_close(store);
}

static void a_new_store_needs_no_steps(void **state)
{
	struct store_layout layout = test_layout;

	(void)state;
	layout.steps = steps;
	layout.step_count = 2;
	step_runs = 0;
	store_close(open_store(&layout));
	store_close(open_store(&layout));
	assert_int_equal(step_runs, 0);
}

static void a_newer_store_is_refused(void **state)
{
	static const struct table *const more[] = { &second_table };
	struct store_layout layout = test_layout, old = test_layout;
	struct store *store;
	struct err err;

	(void)state;
	layout.steps = steps;
	layout.step_count = 2;
	store = open_store(&layout);
	assert_int_equal(put_text(store, &first_table, "name", "text"), 0);
	store_close(store);
	old.tables = more;
	old.table_count = 1;
	assert_int_equal(store_open(&store, place, &old, &err), -EPROTO);
	assert_non_null(strstr(err.text, "has format 3, and this neap knows 1 at most"));
	store = open_store(&layout);
	assert_true(has_text(store, &first_table, "name", "text"));
	store_close(store);
}

/* -- growth ----------------------------------------------------------------------- */

#define BIG_ROWS 500
#define BIG_ROW 4000

struct big {
	uint64_t first;
	atomic_int runs;
};

static int put_big_rows(struct txn *txn, void *arg, struct err *err)
{
	char text[BIG_ROW];
	struct big *big = arg;
	int rc = 0;

	(void)err;
	atomic_fetch_add(&big->runs, 1);
	memset(text, 'b', sizeof(text));
	for (uint64_t i = 0; i < BIG_ROWS && !rc; i++) {
		struct key key = number_key(big->first + i);

		rc = table_insert(txn, &first_table, key_bytes(&key),
			(struct bytes) { text, sizeof(text) });
	}
	return rc;
}

static int count_rows(struct txn *txn, void *arg, struct err *err)
{
	(void)err;
	return table_count(txn, &first_table, arg);
}

static void a_store_grows(void **state)
{
	struct store *store = open_store(&test_layout);
	struct big big = { 0 };
	uint64_t count, room = store_figures(store).room;

	(void)state;
	assert_int_equal(room, 64 * 1024);
	assert_int_equal(store_write(store, put_big_rows, &big, NULL), 0);
	assert_true(atomic_load(&big.runs) > 3); /* it doubles */
	assert_true(store_figures(store).room > BIG_ROWS * BIG_ROW);
	assert_true(store_figures(store).used > BIG_ROWS * BIG_ROW);
	assert_int_equal(store_read(store, count_rows, &count, NULL), 0);
	assert_int_equal(count, BIG_ROWS);
	store_close(store);

	/* As large as it was, though the layout says less. */
	store = open_store(&test_layout);
	big.first = BIG_ROWS;
	atomic_store(&big.runs, 0);
	assert_int_equal(store_write(store, put_big_rows, &big, NULL), 0);
	assert_int_equal(atomic_load(&big.runs), 1);
	assert_int_equal(store_read(store, count_rows, &count, NULL), 0);
	assert_int_equal(count, 2 * BIG_ROWS);
	store_close(store);
}

struct page {
	struct store *store;
	struct big big;
	atomic_bool is_open;
};

/* Holds a page until the writer has found the map full, and reads it then. */
static int hold_page(struct txn *txn, void *arg, struct err *err)
{
	struct page *page = arg;
	struct bytes value;
	int rc = table_get(txn, &second_table, bytes_of("name"), &value);

	(void)err;
	atomic_store(&page->is_open, true);
	while (!atomic_load(&page->big.runs))
		sched_yield();
	for (int i = 0; i < 1000; i++)
		sched_yield();
	if (!rc && memcmp(value.data, "text", 4) != 0)
		rc = -EIO;
	return rc;
}

static void *read_page(void *arg)
{
	struct page *page = arg;

	return (void *)(intptr_t)store_read(page->store, hold_page, page, NULL);
}

static void growth_waits_for_readers(void **state)
{
	struct page page = { .store = open_store(&test_layout) };
	pthread_t reader;
	void *rc;

	(void)state;
	assert_int_equal(put_text(page.store, &second_table, "name", "text"), 0);
	assert_int_equal(pthread_create(&reader, NULL, read_page, &page), 0);
	while (!atomic_load(&page.is_open))
		sched_yield();
	assert_int_equal(store_figures(page.store).readers, 1);
	assert_int_equal(store_write(page.store, put_big_rows, &page.big, NULL), 0);
	assert_int_equal(pthread_join(reader, &rc), 0);
	assert_null(rc);
	assert_int_equal(store_figures(page.store).readers, 0);
	store_close(page.store);
}

/* Another program, such as one that loads a dump, may make the map larger. */
static void a_map_that_somebody_resized_is_followed(void **state)
{
	struct store *store = open_store(&test_layout);
	int status;
	pid_t child = fork();

	(void)state;
	if (child == 0) {
		MDB_env *env;
		MDB_txn *txn;
		MDB_dbi dbi;
		char zeros[100000] = "";
		MDB_val key = { 1, "k" }, value = { sizeof(zeros), zeros };

		mdb_env_create(&env);
		mdb_env_set_maxdbs(env, 4);
		mdb_env_set_mapsize(env, 16 * 1024 * 1024);
		_exit(mdb_env_open(env, place, 0, 0600) ||
			mdb_txn_begin(env, NULL, 0, &txn) ||
			mdb_dbi_open(txn, "first", 0, &dbi) ||
			mdb_put(txn, dbi, &key, &value, 0) || mdb_txn_commit(txn));
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	assert_int_equal(put_text(store, &first_table, "name", "text"), 0);
	assert_true(has_text(store, &first_table, "name", "text"));
	store_close(store);
}

/* -- readers that died ------------------------------------------------------------ */

static void readers_that_died_are_forgotten(void **state)
{
	struct store *store = open_store(&test_layout);
	int ends[2], status;
	char byte;
	pid_t child;

	(void)state;
	assert_int_equal(pipe(ends), 0);
	child = fork();
	if (child == 0) {
		MDB_env *env;
		MDB_txn *txn;

		mdb_env_create(&env);
		if (mdb_env_open(env, place, MDB_RDONLY, 0600) == 0 &&
			mdb_txn_begin(env, NULL, MDB_RDONLY, &txn) == 0 &&
			write(ends[1], "x", 1) == 1)
			pause();
		_exit(1);
	}
	assert_int_equal(read(ends[0], &byte, 1), 1);
	assert_int_equal(store_figures(store).readers, 1);
	assert_int_equal(store_forget_readers(store), 0);
	kill(child, SIGKILL);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(store_figures(store).readers, 1);
	assert_int_equal(store_forget_readers(store), 1);
	assert_int_equal(store_figures(store).readers, 0);
	close(ends[0]);
	close(ends[1]);
	store_close(store);
}

/* -- life ------------------------------------------------------------------------- */

static int setup(void **state)
{
	(void)state;
	place_make(place);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	place_remove(place);
	return 0;
}

#define WITH_PLACE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_PLACE(a_store_is_private_and_lasts),
		WITH_PLACE(what_fails_is_undone),
		WITH_PLACE(a_second_process_is_refused),
		WITH_PLACE(what_is_no_store_is_refused),
		WITH_PLACE(a_store_is_brought_up_step_by_step),
		WITH_PLACE(a_new_store_needs_no_steps),
		WITH_PLACE(a_newer_store_is_refused),
		WITH_PLACE(a_store_grows),
		WITH_PLACE(growth_waits_for_readers),
		WITH_PLACE(a_map_that_somebody_resized_is_followed),
		WITH_PLACE(readers_that_died_are_forgotten),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
