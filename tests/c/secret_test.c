/* Secrets: the file of master keys, sealing and clients' tokens. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>

#include "base/mem.h"
#include "storage/client_token.h"
#include "storage/master_key.h"
#include "storage/secret.h"
#include "storage/storage.h"
#include "storage_place.h"

#define KEY_LINE (2 * MASTER_KEY_SIZE + 1)

static char place[128];
static char key_path[160];

static struct master_keys *open_keys(void)
{
	struct master_keys *keys = NULL;
	struct err err = { "" };

	if (master_keys_open(&keys, place, &err) != 0)
		fail_msg("%s", err.text);
	return keys;
}

static size_t read_key_file(char *text, size_t size)
{
	int fd = open(key_path, O_RDONLY);
	ssize_t got = read(fd, text, size);

	close(fd);
	assert_true(got >= 0);
	return (size_t)got;
}

static void write_key_file(const char *text, size_t size, mode_t mode)
{
	int fd = open(key_path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	assert_int_equal(write(fd, text, size), size);
	assert_int_equal(fchmod(fd, mode), 0);
	close(fd);
}

/* -- the file --------------------------------------------------------------------- */

static void the_key_is_made_once(void **state)
{
	mode_t before = umask(0);
	unsigned char first[MASTER_KEY_ID_SIZE], second[MASTER_KEY_ID_SIZE];
	struct master_keys *keys = open_keys();
	struct stat found;
	char text[1024];

	(void)state;
	umask(before);
	assert_int_equal(stat(key_path, &found), 0);
	assert_int_equal(found.st_mode & 07777, 0600);
	assert_int_equal(found.st_nlink, 1);
	assert_int_equal(read_key_file(text, sizeof(text)), KEY_LINE);
	for (int i = 0; i < 2 * MASTER_KEY_SIZE; i++)
		assert_true(isxdigit((unsigned char)text[i]));
	master_keys_current(keys, first);
	master_keys_close(keys);
	keys = open_keys();
	master_keys_current(keys, second);
	assert_memory_equal(first, second, sizeof(first));
	master_keys_close(keys);
}

static void keys_are_not_alike(void **state)
{
	unsigned char first[MASTER_KEY_ID_SIZE], second[MASTER_KEY_ID_SIZE];
	struct master_keys *keys = open_keys();

	(void)state;
	master_keys_current(keys, first);
	master_keys_close(keys);
	unlink(key_path);
	keys = open_keys();
	master_keys_current(keys, second);
	assert_memory_not_equal(first, second, sizeof(first));
	master_keys_close(keys);
}

static void refuse_file(int rc, const char *why)
{
	struct master_keys *keys;
	struct err err = { "" };

	assert_int_equal(master_keys_open(&keys, place, &err), rc);
	assert_non_null(strstr(err.text, key_path));
	if (!strstr(err.text, why))
		fail_msg("%s", err.text);
}

static void a_torn_file_is_refused(void **state)
{
	char good[KEY_LINE * 10];
	struct master_keys *keys;

	(void)state;
	for (size_t i = 0; i < sizeof(good); i++)
		good[i] = i % KEY_LINE == KEY_LINE - 1 ? '\n' : 'a';
	/* However much of it was written. */
	for (size_t size = 0; size < 2 * KEY_LINE; size++) {
		write_key_file(good, size, 0600);
		if (size % KEY_LINE == 0 && size)
			master_keys_close(open_keys());
		else if (size % KEY_LINE == KEY_LINE - 1) /* no newline at the end */
			master_keys_close(open_keys());
		else
			refuse_file(-EBADMSG, size ? "is torn" : "is empty");
	}
	write_key_file(good, MASTER_KEYS_MAX * KEY_LINE, 0600);
	keys = open_keys();
	master_keys_close(keys);
	write_key_file(good, (MASTER_KEYS_MAX + 1) * KEY_LINE, 0600);
	refuse_file(-EBADMSG, "more than 8 keys");
	good[10] = 'x';
	write_key_file(good, KEY_LINE, 0600);
	refuse_file(-EBADMSG, "line 1 is no key");
	good[10] = 'a';
	good[KEY_LINE - 1] = 'a';
	write_key_file(good, 2 * KEY_LINE, 0600);
	refuse_file(-EBADMSG, "line 1 is no key");
}

static void a_file_that_others_can_reach_is_refused(void **state)
{
	static const mode_t modes[] = { 0640, 0604, 0660, 0666, 0610, 0777 };
	char text[KEY_LINE];

	(void)state;
	master_keys_close(open_keys());
	assert_int_equal(read_key_file(text, sizeof(text)), KEY_LINE);
	for (size_t i = 0; i < COUNT_OF(modes); i++) {
		write_key_file(text, sizeof(text), modes[i]);
		refuse_file(-EACCES, "can be reached by others");
	}
	write_key_file(text, sizeof(text), 0400);
	master_keys_close(open_keys());
	unlink(key_path);
	assert_int_equal(mkdir(key_path, 0700), 0);
	refuse_file(-EINVAL, "is no file");
	assert_int_equal(rmdir(key_path), 0);
	if (geteuid() != 0)
		skip(); /* only root can give a file away */
	write_key_file(text, sizeof(text), 0600);
	assert_int_equal(chown(key_path, 65534, (gid_t)-1), 0);
	refuse_file(-EPERM, "belongs to user 65534");
}

static void a_file_can_be_named(void **state)
{
	struct master_keys *keys;
	char other[200];
	struct err err;

	(void)state;
	snprintf(other, sizeof(other), "%s/elsewhere", place);
	assert_int_equal(setenv("NEAP_MASTER_KEY_FILE", other, 1), 0);
	/* What somebody names is his: it is not made. */
	assert_int_equal(master_keys_open(&keys, place, &err), -ENOENT);
	assert_non_null(strstr(err.text, other));
	assert_int_equal(master_keys_open_file(&keys, other, true, &err), 0);
	master_keys_close(keys);
	keys = open_keys();
	assert_int_not_equal(access(key_path, F_OK), 0);
	master_keys_close(keys);
	unsetenv("NEAP_MASTER_KEY_FILE");
}

/* A process that died while it made the key leaves the beginning of another file. */
static void what_a_death_left_is_in_nobodys_way(void **state)
{
	char fresh[200];
	FILE *file;

	(void)state;
	snprintf(fresh, sizeof(fresh), "%s.new", key_path);
	file = fopen(fresh, "w");
	fputs("abc", file);
	fclose(file);
	master_keys_close(open_keys());
	assert_int_not_equal(access(fresh, F_OK), 0);
	master_keys_close(open_keys());
}

/* -- sealing ---------------------------------------------------------------------- */

#define SECRET "sk-a-secret-of-a-provider"
#define SECRET_SIZE (sizeof(SECRET) - 1)
#define SEALED_SIZE (SECRET_SIZE + SECRET_OVERHEAD)

static const struct secret_place here = { "key/openai/1", "secret" };

static void seal(struct master_keys *keys, unsigned char sealed[SEALED_SIZE])
{
	assert_int_equal(secret_seal(keys, &here, SECRET, SECRET_SIZE, sealed, NULL), 0);
}

static bool opens(struct master_keys *keys, const struct secret_place *where,
	const unsigned char *sealed, size_t size, const char *why)
{
	struct err err = { "" };
	size_t secret_size = 99;
	char *secret = secret_open(keys, where, (struct bytes) { sealed, size },
		&secret_size, &err);
	bool is_right = secret && secret_size == SECRET_SIZE &&
		memcmp(secret, SECRET, SECRET_SIZE + 1) == 0;

	if (!secret && (!why || !strstr(err.text, why)))
		fail_msg("%s", err.text);
	assert_true(is_right || !secret);
	assert_null(strstr(err.text, "sk-"));
	secret_free(secret, secret_size);
	return is_right;
}

static void a_secret_opens_where_it_belongs(void **state)
{
	static const struct secret_place others[] = {
		{ "key/openai/2", "secret" },
		{ "key/openai/1", "secret2" },
		{ "key/openai/1", "" },
		{ "key/openai/1secret", "" },
		{ "key/openai/", "1secret" },
	};
	struct master_keys *keys = open_keys();
	unsigned char sealed[SEALED_SIZE], again[SEALED_SIZE];

	(void)state;
	seal(keys, sealed);
	assert_null(memmem(sealed, sizeof(sealed), "secret", 6));
	assert_true(opens(keys, &here, sealed, sizeof(sealed), NULL));
	for (size_t i = 0; i < COUNT_OF(others); i++)
		assert_false(opens(keys, &others[i], sealed, sizeof(sealed),
			"sealed for another place"));
	/* Two seals of one secret have nothing in common. */
	seal(keys, again);
	assert_memory_not_equal(sealed + 9, again + 9, sizeof(sealed) - 9);
	master_keys_close(keys);
}

static void a_seal_that_was_tampered_with_does_not_open(void **state)
{
	struct master_keys *keys = open_keys();
	unsigned char sealed[SEALED_SIZE];

	(void)state;
	seal(keys, sealed);
	for (size_t i = 0; i < sizeof(sealed); i++) {
		const char *why = i == 0          ? "no sealed secret"
			: i <= MASTER_KEY_ID_SIZE ? "which is not there"
						  : "was changed";

		for (int bit = 0; bit < 8; bit++) {
			sealed[i] ^= (unsigned char)(1 << bit);
			assert_false(opens(keys, &here, sealed, sizeof(sealed), why));
			sealed[i] ^= (unsigned char)(1 << bit);
		}
	}
	for (size_t size = 0; size < sizeof(sealed); size++)
		assert_false(opens(keys, &here, sealed, size,
			size < SECRET_OVERHEAD ? "no sealed secret" : "was changed"));
	assert_true(opens(keys, &here, sealed, sizeof(sealed), NULL));
	master_keys_close(keys);
}

static void secrets_have_bounds(void **state)
{
	struct master_keys *keys = open_keys();
	unsigned char *sealed = xmalloc(SECRET_MAX + 1 + SECRET_OVERHEAD);
	char *much = xcalloc(1, SECRET_MAX + 1), *secret;
	struct err err;
	size_t size;

	(void)state;
	assert_int_equal(secret_seal(keys, &here, much, SECRET_MAX, sealed, &err), 0);
	secret = secret_open(keys, &here,
		(struct bytes) { sealed, SECRET_MAX + SECRET_OVERHEAD }, &size, &err);
	assert_non_null(secret);
	assert_int_equal(size, SECRET_MAX);
	secret_free(secret, size);
	assert_int_equal(secret_seal(keys, &here, much, SECRET_MAX + 1, sealed, &err),
		-EMSGSIZE);
	assert_int_equal(secret_seal(keys, &here, "", 0, sealed, &err), 0);
	secret = secret_open(keys, &here, (struct bytes) { sealed, SECRET_OVERHEAD },
		&size, &err);
	assert_non_null(secret);
	assert_int_equal(size, 0);
	secret_free(secret, size);
	free(much);
	free(sealed);
	master_keys_close(keys);
}

static void rotation_seals_again(void **state)
{
	struct master_keys *keys = open_keys(), *other;
	unsigned char old[SEALED_SIZE], fresh[SEALED_SIZE];
	struct bytes sealed = { old, sizeof(old) };
	char text[1024];
	struct err err;

	(void)state;
	seal(keys, old);
	assert_true(secret_is_current(keys, sealed));
	assert_int_equal(master_keys_rotate(keys, &err), 0);
	assert_false(secret_is_current(keys, sealed));
	assert_int_equal(read_key_file(text, sizeof(text)), 2 * KEY_LINE);
	/* Cut off here, another process goes on: both keys are in the file. */
	other = open_keys();
	assert_true(opens(other, &here, old, sizeof(old), NULL));
	assert_int_equal(secret_reseal(other, &here, sealed, fresh, &err), 0);
	assert_true(secret_is_current(keys, (struct bytes) { fresh, sizeof(fresh) }));
	master_keys_close(other);
	assert_true(opens(keys, &here, fresh, sizeof(fresh), NULL));
	assert_true(opens(keys, &here, old, sizeof(old), NULL));
	assert_int_equal(master_keys_drop_old(keys, &err), 0);
	assert_int_equal(read_key_file(text, sizeof(text)), KEY_LINE);
	assert_true(opens(keys, &here, fresh, sizeof(fresh), NULL));
	assert_false(opens(keys, &here, old, sizeof(old), "which is not there"));
	assert_int_equal(secret_reseal(keys, &here, sealed, fresh, &err), -EBADMSG);
	master_keys_close(keys);
	keys = open_keys();
	assert_true(opens(keys, &here, fresh, sizeof(fresh), NULL));
	for (int i = 1; i < MASTER_KEYS_MAX; i++)
		assert_int_equal(master_keys_rotate(keys, &err), 0);
	assert_int_equal(master_keys_rotate(keys, &err), -EOVERFLOW);
	assert_true(opens(keys, &here, fresh, sizeof(fresh), NULL));
	master_keys_close(keys);
}

/* -- tokens ----------------------------------------------------------------------- */

static void tokens_are_told_apart(void **state)
{
	char token[CLIENT_TOKEN_SIZE + 1], other[CLIENT_TOKEN_SIZE + 1];

	(void)state;
	for (int i = 0; i < 200; i++) {
		client_token_make(token);
		client_token_make(other);
		assert_string_not_equal(token, other);
		assert_int_equal(strlen(token), CLIENT_TOKEN_SIZE);
		assert_memory_equal(token, "neap-", 5);
		assert_true(client_token_is_ours(token, CLIENT_TOKEN_SIZE));
	}
	for (size_t i = 0; i < CLIENT_TOKEN_SIZE; i++) {
		memcpy(other, token, sizeof(other));
		other[i] = other[i] == 'x' ? 'y' : 'x';
		assert_false(client_token_is_ours(other, CLIENT_TOKEN_SIZE));
		other[i] = '\0';
		assert_false(client_token_is_ours(other, CLIENT_TOKEN_SIZE));
	}
	assert_false(client_token_is_ours(token, CLIENT_TOKEN_SIZE - 1));
	assert_false(client_token_is_ours("", 0));
	/* The form is a promise to scanners. */
	assert_true(client_token_is_ours(
		"neap-000000000000000000000000000000000000000000047gVbi",
		CLIENT_TOKEN_SIZE));
}

static void the_key_of_hashes_stays(void **state)
{
	unsigned char key[CLIENT_TOKEN_KEY_SIZE], again[CLIENT_TOKEN_KEY_SIZE];
	unsigned char digest[CLIENT_TOKEN_DIGEST], other[CLIENT_TOKEN_DIGEST];
	struct master_keys *keys = open_keys();
	struct store *store;
	char folder[160];
	struct err err;

	(void)state;
	snprintf(folder, sizeof(folder), "%s/state", place);
	assert_int_equal(store_open(&store, folder, &state_layout, &err), 0);
	assert_int_equal(client_token_key(store, keys, key, &err), 0);
	client_token_digest(digest, key, "neap-x", 6);
	client_token_digest(other, key, "neap-y", 6);
	assert_memory_not_equal(digest, other, sizeof(digest));
	assert_int_equal(client_token_key(store, keys, again, &err), 0);
	assert_memory_equal(key, again, sizeof(key));

	assert_int_equal(master_keys_rotate(keys, &err), 0);
	assert_int_equal(store_write(store, client_token_key_reseal, keys, &err), 0);
	assert_int_equal(store_write(store, client_token_key_reseal, keys, &err), 0);
	assert_int_equal(master_keys_drop_old(keys, &err), 0);
	assert_int_equal(client_token_key(store, keys, again, &err), 0);
	assert_memory_equal(key, again, sizeof(key));
	client_token_digest(other, again, "neap-x", 6);
	assert_memory_equal(digest, other, sizeof(digest));
	master_keys_close(keys);

	/* A file of another storage. */
	unlink(key_path);
	keys = open_keys();
	assert_int_equal(client_token_key(store, keys, again, &err), -ENOKEY);
	assert_non_null(strstr(err.text, "restore the file of master keys"));
	master_keys_close(keys);
	store_close(store);
}

/* -- life ------------------------------------------------------------------------- */

static int setup(void **state)
{
	(void)state;
	unsetenv("NEAP_MASTER_KEY_FILE");
	place_make(place);
	snprintf(key_path, sizeof(key_path), "%s/master.key", place);
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
		WITH_PLACE(the_key_is_made_once),
		WITH_PLACE(keys_are_not_alike),
		WITH_PLACE(a_torn_file_is_refused),
		WITH_PLACE(a_file_that_others_can_reach_is_refused),
		WITH_PLACE(a_file_can_be_named),
		WITH_PLACE(what_a_death_left_is_in_nobodys_way),
		WITH_PLACE(a_secret_opens_where_it_belongs),
		WITH_PLACE(a_seal_that_was_tampered_with_does_not_open),
		WITH_PLACE(secrets_have_bounds),
		WITH_PLACE(rotation_seals_again),
		cmocka_unit_test(tokens_are_told_apart),
		WITH_PLACE(the_key_of_hashes_stays),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
