/* A store whose process is killed at any moment: it opens, and has what was acknowledged. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
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

/* Each transaction adds one to three rows to the first table, their sum to the second,
 * and deletes those far behind, so that pages are used again. */
static int write_crash_rows(struct txn *txn, void *arg, struct err *err)
{
	uint64_t last = *(uint64_t *)arg, count = 1 + last % 3;
	struct key name = { 0 };
	char text[200];
	int rc = 0;

	(void)err;
	memset(text, 'c', sizeof(text));
	for (uint64_t i = 1; i <= count && !rc; i++) {
		struct key key = number_key(last + i);

		rc = table_append(txn, &first_table, key_bytes(&key),
			(struct bytes) { text, 1 + (last + i) % sizeof(text) });
	}
	name = number_key(last + count);
	if (!rc)
		rc = table_put(txn, &second_table, bytes_of("last"), key_bytes(&name));
	if (!rc && last > 100) {
		struct key until = number_key(last - 100);
		struct range range = { .until = key_bytes(&until), .limit = 10 };
		struct bytes key, value;
		struct cursor *cursor;

		if ((rc = cursor_open(&cursor, txn, &first_table, &range)) != 0)
			return rc;
		while ((rc = cursor_next(cursor, &key, &value)) > 0)
			if ((rc = cursor_delete(cursor)) != 0)
				break;
		cursor_close(cursor);
	}
	return rc;
}

static int check_crash_rows(struct txn *txn, void *arg, struct err *err)
{
	struct range range = { .limit = CURSOR_PAGE_MAX };
	uint64_t last = 0, number, before = 0, *found = arg;
	struct bytes key, value;
	struct cursor *cursor;
	int rc = table_get(txn, &second_table, bytes_of("last"), &value);

	(void)err;
	if (rc == 0)
		rc = key_take_u64(&value, &last);
	if (rc && rc != -ENOENT)
		return rc;
	if ((rc = cursor_open(&cursor, txn, &first_table, &range)) != 0)
		return rc;
	while ((rc = cursor_next(cursor, &key, &value)) > 0) {
		rc = key_take_u64(&key, &number);
		if (rc || (before && number != before + 1) ||
			value.size != 1 + number % 200)
			break;
		before = number;
	}
	cursor_close(cursor);
	*found = last;
	return rc || before != last ? -EBADMSG : 0;
}

/* Writes until it is killed, and says each time what is acknowledged. */
static void write_for_ever(int out, const struct store_layout *layout)
{
	struct store *store;
	uint64_t last;

	if (store_open(&store, place, layout, NULL) != 0 ||
		store_read(store, check_crash_rows, &last, NULL) != 0)
		_exit(1);
	for (;;) {
		if (store_write(store, write_crash_rows, &last, NULL) != 0)
			_exit(2);
		last += 1 + last % 3;
		if (write(out, &last, sizeof(last)) != sizeof(last))
			_exit(3);
	}
}

static uint64_t kill_one(const struct store_layout *layout, unsigned *seed)
{
	uint64_t last = 0;
	int ends[2], status;
	unsigned acks = 1 + (unsigned)rand_r(seed) % 60;
	useconds_t more_us = (useconds_t)rand_r(seed) % 3000;
	pid_t child;

	assert_int_equal(pipe(ends), 0);
	child = fork();
	if (child == 0) {
		close(ends[0]);
		write_for_ever(ends[1], layout);
	}
	close(ends[1]);
	/* A moment after some acknowledgement: anywhere in a transaction. */
	for (unsigned i = 0; i < acks; i++)
		if (read(ends[0], &last, sizeof(last)) != sizeof(last))
			break;
	usleep(more_us);
	kill(child, SIGKILL);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFSIGNALED(status));
	while (read(ends[0], &last, sizeof(last)) == sizeof(last))
		;
	close(ends[0]);
	return last;
}

static void kill_often(const struct store_layout *layout)
{
	int rounds = getenv("NEAP_DEEP") ? 250 : 10;
	unsigned seed = (unsigned)clock_us();
	uint64_t found, total = 0;

	for (int i = 0; i < rounds; i++) {
		uint64_t acknowledged = kill_one(layout, &seed);
		struct store *store = open_store(layout);

		assert_int_equal(store_read(store, check_crash_rows, &found, NULL), 0);
		assert_true(found >= acknowledged);
		/* At most the transaction whose acknowledgement did not come. */
		assert_true(found <= acknowledged + 3);
		assert_true(acknowledged > total);
		total = found;
		assert_int_equal(store_figures(store).readers, 0);
		store_close(store);
	}
}

static void a_killed_store_has_all_that_was_acknowledged(void **state)
{
	struct store_layout late = test_layout;

	(void)state;
	kill_often(&test_layout);
	late.sync = STORE_SYNC_LATE;
	kill_often(&late);
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
		WITH_PLACE(a_killed_store_has_all_that_was_acknowledged),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
