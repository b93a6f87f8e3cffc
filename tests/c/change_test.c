/* Rows that are written together, also beside the process that has the store. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <sys/wait.h>

#include "storage/change.h"
#include "storage/master_key.h"
#include "storage_place.h"

static char place[128];
static struct master_keys *keys;

static struct store *open_store(void)
{
	struct store *store = NULL;
	struct err err = { "" };

	if (store_open(&store, place, &test_layout, &err) != 0)
		fail_msg("%s", err.text);
	return store;
}

static struct change_op op(enum change_kind kind, const char *key, const char *value)
{
	struct change_op made = { kind, &first_table, bytes_of(key), { NULL, 0 } };

	if (value)
		made.value = bytes_of(value);
	return made;
}

static int write_ops(struct store *store, const struct change_op *ops, size_t count,
	size_t *conflict)
{
	struct change change;
	struct err err;
	int rc;

	change_init(&change, ops, count, keys);
	rc = store_write(store, change_run, &change, &err);
	*conflict = change.conflict;
	change_clear(&change);
	return rc;
}

static void all_is_written_or_nothing(void **state)
{
	struct store *store = open_store();
	struct change_op first[] = { op(CHANGE_EXPECT, "a", NULL),
		op(CHANGE_PUT, "a", "one"), op(CHANGE_PUT, "empty", "") };
	struct change_op second[] = { op(CHANGE_PUT, "b", "two"),
		op(CHANGE_EXPECT, "a", "other") };
	struct change_op third[] = { op(CHANGE_EXPECT, "a", "one"),
		op(CHANGE_DELETE, "a", NULL), op(CHANGE_DELETE, "absent", NULL) };
	size_t conflict;

	(void)state;
	assert_int_equal(write_ops(store, first, COUNT_OF(first), &conflict), 0);
	assert_int_equal(conflict, 0);
	assert_int_equal(write_ops(store, second, COUNT_OF(second), &conflict),
		-ECANCELED);
	assert_int_equal(conflict, 2);
	assert_false(has_text(store, &first_table, "b", "two"));
	assert_int_equal(write_ops(store, first, COUNT_OF(first), &conflict), -ECANCELED);
	assert_int_equal(conflict, 1);
	assert_int_equal(write_ops(store, third, COUNT_OF(third), &conflict), 0);
	assert_false(has_text(store, &first_table, "a", "one"));
	assert_true(has_text(store, &first_table, "empty", ""));
	store_close(store);
}

static void its_texts_are_its_own(void **state)
{
	struct store *store = open_store();
	char key[] = "key", value[] = "value";
	struct change_op ops[] = { op(CHANGE_PUT, key, value) };
	struct change change;

	(void)state;
	change_init(&change, ops, 1, keys);
	memset(key, 'x', 3);
	memset(value, 'x', 5);
	assert_int_equal(store_write(store, change_run, &change, NULL), 0);
	change_clear(&change);
	assert_true(has_text(store, &first_table, "key", "value"));
	store_close(store);
}

static void what_an_old_key_sealed_is_refused(void **state)
{
	struct store *store = open_store();
	struct change_op ops[] = { op(CHANGE_PUT, "a",
		"{\"sealed\":{\"secret\":\"AAECAwQFBgcICQ==\"}}") };
	size_t conflict;

	(void)state;
	assert_int_equal(write_ops(store, ops, 1, &conflict), -ESTALE);
	assert_false(has_text(store, &first_table, "a", ops[0].value.data));
	store_close(store);
}

/* What the other process does: more rows than the map has room for. */
static int write_beside(void)
{
	char large[4000];
	struct store *store;
	struct err err;

	memset(large, 'x', sizeof(large) - 1);
	large[sizeof(large) - 1] = '\0';
	if (store_open_beside(&store, place, &test_layout, &err) != 0)
		return 1;
	if (!has_text(store, &first_table, "here", "first"))
		return 2;
	for (int i = 0; i < 60; i++) {
		char name[16];

		snprintf(name, sizeof(name), "row %d", i);
		if (put_text(store, &second_table, name, large) != 0)
			return 3;
	}
	if (put_text(store, &first_table, "there", "second") != 0)
		return 4;
	store_close(store);
	return 0;
}

static int in_another_process(int (*work)(void))
{
	int status = 0, child = fork();

	if (child == 0)
		_exit(work());
	assert_true(child > 0);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void a_store_can_be_written_beside_its_owner(void **state)
{
	struct store *store = open_store();

	(void)state;
	assert_int_equal(put_text(store, &first_table, "here", "first"), 0);
	assert_int_equal(in_another_process(write_beside), 0);
	assert_true(has_text(store, &first_table, "there", "second"));
	assert_int_equal(put_text(store, &first_table, "here", "third"), 0);
	assert_true(has_text(store, &first_table, "here", "third"));
	store_close(store);
}

static int do_nothing(struct txn *txn, void *arg, struct err *err)
{
	(void)txn;
	(void)arg;
	(void)err;
	return 0;
}

static int open_newer_beside(void)
{
	static const struct store_step steps[] = { { "do something", do_nothing } };
	struct store_layout layout = test_layout;
	struct store *store;
	struct err err;

	layout.steps = steps;
	layout.step_count = COUNT_OF(steps);
	return store_open_beside(&store, place, &layout, &err) == -EPROTO &&
			strstr(err.text, "has format 1, and this neap needs 2")
		? 0
		: 1;
}

static void an_older_owner_is_left_alone(void **state)
{
	struct store *store = open_store();

	(void)state;
	assert_int_equal(in_another_process(open_newer_beside), 0);
	store_close(store);
}

static int setup(void **state)
{
	char path[160];
	struct err err;

	(void)state;
	place_make(place);
	snprintf(path, sizeof(path), "%s/key", place);
	return master_keys_open_file(&keys, path, true, &err);
}

static int teardown(void **state)
{
	(void)state;
	master_keys_close(keys);
	place_remove(place);
	return 0;
}

#define WITH_PLACE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_PLACE(all_is_written_or_nothing),
		WITH_PLACE(its_texts_are_its_own),
		WITH_PLACE(what_an_old_key_sealed_is_refused),
		WITH_PLACE(a_store_can_be_written_beside_its_owner),
		WITH_PLACE(an_older_owner_is_left_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
