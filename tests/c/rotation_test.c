/* rotation_test.c - the master key is replaced, and no secret is lost on the way, wherever
 * that is cut off. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <sodium.h>

#include "storage/client_token.h"
#include "storage/rotation.h"
#include "storage/secret.h"
#include "storage/storage.h"
#include "storage_place.h"

#define VARIANT sodium_base64_VARIANT_ORIGINAL
#define ROWS 200
#define KILLS 20

static char place[128];
static struct store *store;
static struct master_keys *keys;
static unsigned char token_key[CLIENT_TOKEN_KEY_SIZE];

static void open_all(void)
{
	char state[200];
	struct err err = { "" };

	snprintf(state, sizeof(state), "%s/state", place);
	if (store_open(&store, state, &state_layout, &err) ||
		master_keys_open(&keys, place, &err) ||
		client_token_key(store, keys, token_key, &err))
		fail_msg("%s", err.text);
}

static void close_all(void)
{
	store_close(store);
	master_keys_close(keys);
	store = NULL;
	keys = NULL;
}

static int set_up(void **state)
{
	(void)state;
	assert_true(sodium_init() >= 0);
	place_make(place);
	open_all();
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	close_all();
	place_remove(place);
	return 0;
}

/* Base64 of the sealed text. */
static void seal(char *out, size_t room, const char *record, const char *field,
	const char *text)
{
	struct secret_place at = { record, field };
	unsigned char sealed[512];

	assert_int_equal(secret_seal(keys, &at, text, strlen(text), sealed, NULL), 0);
	sodium_bin2base64(out, room, sealed, strlen(text) + SECRET_OVERHEAD, VARIANT);
}

static void put_key(const char *name, const char *secret)
{
	char record[100], sealed[600], row[800];

	snprintf(record, sizeof(record), "keys/%s", name);
	seal(sealed, sizeof(sealed), record, "secret", secret);
	snprintf(row, sizeof(row),
		"{\"label\":\"sealed\", \"sealed\":{\"secret\":\"%s\"},\"version\":1}",
		sealed);
	assert_int_equal(put_text(store, &keys_table, name, row), 0);
}

struct found {
	const char *name;
	char text[1024];
};

static int read_key(struct txn *txn, void *arg, struct err *err)
{
	struct found *found = arg;
	struct bytes value;
	int rc = table_get(txn, &keys_table, bytes_of(found->name), &value);

	(void)err;
	if (!rc)
		snprintf(found->text, sizeof(found->text), "%.*s", (int)value.size,
			(const char *)value.data);
	return rc;
}

/* The row's secret opens with the key in force and is this. */
static void assert_key(const char *name, const char *secret)
{
	struct found found = { .name = name };
	struct err err = { "" };
	unsigned char sealed[512];
	char record[100], *text, *end;
	size_t size;

	assert_int_equal(store_read(store, read_key, &found, NULL), 0);
	assert_int_equal(strncmp(found.text, "{\"label\":\"sealed\", \"sealed\":", 28),
		0);
	assert_string_equal(strstr(found.text, "},\"version\""), "},\"version\":1}");
	text = strstr(found.text, "\"secret\":\"") + 10;
	end = strchr(text, '"');
	assert_int_equal(sodium_base642bin(sealed, sizeof(sealed), text,
				 (size_t)(end - text), NULL, &size, NULL, VARIANT),
		0);
	assert_true(secret_is_current(keys, (struct bytes) { sealed, size }));
	snprintf(record, sizeof(record), "keys/%s", name);
	text = secret_open(keys, &(struct secret_place) { record, "secret" },
		(struct bytes) { sealed, size }, &size, &err);
	if (!text)
		fail_msg("%s", err.text);
	assert_string_equal(text, secret);
	secret_free(text, size);
}

static void all_secrets_get_the_fresh_key(void **state)
{
	unsigned char before[MASTER_KEY_ID_SIZE], after[MASTER_KEY_ID_SIZE];
	unsigned char same[CLIENT_TOKEN_KEY_SIZE];
	char name[32], secret[32];
	struct err err = { "" };
	size_t count;

	(void)state;
	master_keys_current(keys, before);
	for (int i = 0; i < 1500; i++) { /* more than a page */
		snprintf(name, sizeof(name), "a/k%d", i);
		snprintf(secret, sizeof(secret), "sk-%d", i);
		put_key(name, secret);
	}
	assert_int_equal(put_text(store, &keys_table, "state/x",
				 "{\"state\":\"resting\"}"),
		0);
	assert_int_equal(put_text(store, &config_table, "group/g", "{\"sealed\":true}"),
		0);
	assert_int_equal(put_text(store, &config_table, "group/h", "no \"sealed\" JSON"),
		0);
	assert_int_equal(rotation_run(store, keys, &count, &err), 0);
	assert_int_equal(count, 1500);
	assert_int_equal(master_keys_count(keys), 1);
	master_keys_current(keys, after);
	assert_memory_not_equal(before, after, sizeof(before));
	memcpy(same, token_key, sizeof(same));
	close_all();
	open_all(); /* the file says the same, and the tokens' key is what it was */
	assert_memory_equal(same, token_key, sizeof(same));
	for (int i = 0; i < 1500; i += 7) {
		snprintf(name, sizeof(name), "a/k%d", i);
		snprintf(secret, sizeof(secret), "sk-%d", i);
		assert_key(name, secret);
	}
	assert_true(has_text(store, &config_table, "group/g", "{\"sealed\":true}"));
	assert_true(has_text(store, &config_table, "group/h", "no \"sealed\" JSON"));
}

static void one_that_was_begun_is_finished_with_its_key(void **state)
{
	unsigned char begun[MASTER_KEY_ID_SIZE], after[MASTER_KEY_ID_SIZE];
	struct err err = { "" };
	size_t count;

	(void)state;
	put_key("a/k", "sk");
	assert_int_equal(rotation_finish(store, keys, &count, &err), 0);
	assert_int_equal(count, 0); /* there was none */
	assert_int_equal(master_keys_rotate(keys, &err), 0);
	master_keys_current(keys, begun);
	close_all();
	open_all();
	assert_int_equal(rotation_run(store, keys, &count, &err), 0);
	assert_int_equal(count, 1);
	assert_int_equal(master_keys_count(keys), 1);
	master_keys_current(keys, after);
	assert_memory_equal(begun, after, sizeof(begun));
	assert_key("a/k", "sk");
}

static void a_secret_that_does_not_open_keeps_the_old_key(void **state)
{
	char sealed[600], row[800];
	struct err err = { "" };
	size_t count;

	(void)state;
	put_key("a/k1", "one");
	put_key("a/k3", "three");
	seal(sealed, sizeof(sealed), "keys/of/another", "secret", "two");
	snprintf(row, sizeof(row), "{\"sealed\":{\"secret\":\"%s\"}}", sealed);
	assert_int_equal(put_text(store, &keys_table, "a/k2", row), 0);
	assert_int_equal(rotation_run(store, keys, &count, &err), -EBADMSG);
	assert_non_null(strstr(err.text, "keys/a/k2"));
	assert_int_equal(count, 2);
	assert_int_equal(master_keys_count(keys), 2);
	assert_key("a/k1", "one");
	assert_key("a/k3", "three");
	assert_true(has_text(store, &keys_table, "a/k2", row));
	/* Once it is gone, the next run finishes. */
	assert_int_equal(put_text(store, &keys_table, "a/k2", "{}"), 0);
	assert_int_equal(rotation_run(store, keys, &count, &err), 0);
	assert_int_equal(master_keys_count(keys), 1);
}

static void what_was_sealed_before_is_not_written_after(void **state)
{
	char sealed[600], row[800];
	struct err err = { "" };
	size_t count;

	(void)state;
	seal(sealed, sizeof(sealed), "keys/a/k", "secret", "one");
	snprintf(row, sizeof(row), "{\"sealed\":{\"secret\":\"%s\"}}", sealed);
	assert_int_equal(rotation_check(keys, bytes_of(row), &err), 0);
	assert_int_equal(rotation_check(keys, bytes_of("{\"a\":\"sealed\"}"), &err), 0);
	assert_int_equal(rotation_check(keys, bytes_of("no \"sealed\" JSON"), &err), 0);
	assert_int_equal(rotation_run(store, keys, &count, &err), 0);
	assert_int_equal(rotation_check(keys, bytes_of(row), &err), -ESTALE);
	assert_non_null(strstr(err.text, "seal it again"));
	assert_int_equal(rotation_check(keys,
				 bytes_of("{\"sealed\":{\"secret\":\"x!\"}}"), &err),
		-ESTALE);
}

static void rotate_for_ever(void)
{
	struct err err;
	size_t count;

	open_all();
	for (;;)
		if (rotation_run(store, keys, &count, &err) != 0)
			_exit(3);
}

static void kill_9_at_any_moment_loses_nothing(void **state)
{
	char name[32], secret[32];
	struct err err = { "" };
	size_t count;

	(void)state;
	for (int i = 0; i < ROWS; i++) {
		snprintf(name, sizeof(name), "a/k%d", i);
		snprintf(secret, sizeof(secret), "sk-%d", i);
		put_key(name, secret);
	}
	for (int round = 0; round < KILLS; round++) {
		pid_t child;
		int status;

		close_all();
		child = fork();
		if (child == 0)
			rotate_for_ever();
		usleep(randombytes_uniform(60000));
		kill(child, SIGKILL);
		assert_int_equal(waitpid(child, &status, 0), child);
		assert_true(WIFSIGNALED(status));
		open_all();
		if (rotation_finish(store, keys, &count, &err) != 0)
			fail_msg("%s", err.text);
		assert_int_equal(master_keys_count(keys), 1);
		for (int i = 0; i < ROWS; i++) {
			snprintf(name, sizeof(name), "a/k%d", i);
			snprintf(secret, sizeof(secret), "sk-%d", i);
			assert_key(name, secret);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(all_secrets_get_the_fresh_key, set_up,
			tear_down),
		cmocka_unit_test_setup_teardown(
			one_that_was_begun_is_finished_with_its_key, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			a_secret_that_does_not_open_keeps_the_old_key, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			what_was_sealed_before_is_not_written_after, set_up, tear_down),
		cmocka_unit_test_setup_teardown(kill_9_at_any_moment_loses_nothing,
			set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
