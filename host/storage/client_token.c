#include "storage/client_token.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>

#include <sodium.h>

#include "storage/secret.h"
#include "storage/table.h"

#define PREFIX "neap-"
#define PREFIX_SIZE (sizeof(PREFIX) - 1)
#define RANDOM_SIZE 32
#define RANDOM_DIGITS 43 /* the least n with 62^n >= 2^256 */
#define CHECK_DIGITS 6   /* 62^6 > 2^32 */
#define SEALED_SIZE (CLIENT_TOKEN_KEY_SIZE + SECRET_OVERHEAD)

_Static_assert(CLIENT_TOKEN_SIZE == PREFIX_SIZE + RANDOM_DIGITS + CHECK_DIGITS, "parts");

static const struct secret_place place = { "meta", "token_key" };
static const struct bytes row = { "token_key", sizeof("token_key") - 1 };

/* -- the key of the hash ---------------------------------------------------------- */

struct wanted {
	struct master_keys *keys;
	unsigned char *key;
};

static int open_key(struct master_keys *keys, struct bytes sealed, unsigned char *key,
	struct err *err)
{
	size_t size;
	char *secret = secret_open(keys, &place, sealed, &size, err);
	int rc = secret ? 0 : -ENOKEY;

	if (!rc && size != CLIENT_TOKEN_KEY_SIZE)
		rc = err_set(err, -EBADMSG, "the key of the tokens' hashes is damaged");
	if (!rc)
		memcpy(key, secret, CLIENT_TOKEN_KEY_SIZE);
	secret_free(secret, secret ? size : 0);
	return rc;
}

static int find_or_make(struct txn *txn, void *arg, struct err *err)
{
	struct wanted *wanted = arg;
	unsigned char sealed[SEALED_SIZE];
	struct bytes found;
	int rc = table_get(txn, &meta_table, row, &found);

	if (rc == 0)
		return open_key(wanted->keys, found, wanted->key, err);
	if (rc != -ENOENT)
		return rc;
	randombytes_buf(wanted->key, CLIENT_TOKEN_KEY_SIZE);
	rc = secret_seal(wanted->keys, &place, wanted->key, CLIENT_TOKEN_KEY_SIZE, sealed,
		err);
	if (rc)
		return rc;
	return table_put(txn, &meta_table, row,
		(struct bytes) { sealed, sizeof(sealed) });
}

int client_token_key(struct store *state, struct master_keys *keys,
	unsigned char key[CLIENT_TOKEN_KEY_SIZE], struct err *err)
{
	struct wanted wanted = { keys, key };

	return store_write(state, find_or_make, &wanted, err);
}

int client_token_key_reseal(struct txn *txn, void *keys, struct err *err)
{
	unsigned char sealed[SEALED_SIZE];
	struct bytes found;
	int rc = table_get(txn, &meta_table, row, &found);

	if (rc || secret_is_current(keys, found))
		return rc == -ENOENT ? 0 : rc;
	if (found.size != sizeof(sealed))
		return err_set(err, -EBADMSG, "the key of the tokens' hashes is damaged");
	rc = secret_reseal(keys, &place, found, sealed, err);
	if (rc)
		return rc;
	return table_put(txn, &meta_table, row,
		(struct bytes) { sealed, sizeof(sealed) });
}

/* -- tokens ----------------------------------------------------------------------- */

static const char digits[] =
	"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/* number is big-endian and used up. */
static void write_digits(char *out, size_t count, unsigned char *number, size_t size)
{
	while (count--) {
		unsigned rest = 0;

		for (size_t i = 0; i < size; i++) {
			rest = rest << 8 | number[i];
			number[i] = (unsigned char)(rest / 62);
			rest %= 62;
		}
		out[count] = digits[rest];
	}
}

/* CRC-32 as zlib has it, which scanners for secrets know how to check. */
static uint32_t sum_of(const char *text, size_t size)
{
	uint32_t sum = UINT32_MAX;

	for (size_t i = 0; i < size; i++) {
		sum ^= (unsigned char)text[i];
		for (int bit = 0; bit < 8; bit++)
			sum = sum >> 1 ^ (sum & 1 ? 0xedb88320u : 0);
	}
	return ~sum;
}

static void write_check(char *out, const char *token)
{
	uint32_t sum = sum_of(token, PREFIX_SIZE + RANDOM_DIGITS);
	unsigned char bytes[4];

	for (int i = 0; i < 4; i++)
		bytes[i] = (unsigned char)(sum >> (24 - 8 * i));
	write_digits(out, CHECK_DIGITS, bytes, sizeof(bytes));
}

void client_token_make(char token[CLIENT_TOKEN_SIZE + 1])
{
	unsigned char random[RANDOM_SIZE];

	randombytes_buf(random, sizeof(random));
	memcpy(token, PREFIX, PREFIX_SIZE);
	write_digits(token + PREFIX_SIZE, RANDOM_DIGITS, random, sizeof(random));
	write_check(token + PREFIX_SIZE + RANDOM_DIGITS, token);
	token[CLIENT_TOKEN_SIZE] = '\0';
	sodium_memzero(random, sizeof(random));
}

bool client_token_is_ours(const char *text, size_t size)
{
	char check[CHECK_DIGITS];

	if (size != CLIENT_TOKEN_SIZE || memcmp(text, PREFIX, PREFIX_SIZE) != 0)
		return false;
	for (size_t i = PREFIX_SIZE; i < size; i++)
		if (!text[i] || !strchr(digits, text[i]))
			return false;
	write_check(check, text);
	return memcmp(check, text + size - CHECK_DIGITS, CHECK_DIGITS) == 0;
}

void client_token_digest(unsigned char digest[CLIENT_TOKEN_DIGEST],
	const unsigned char key[CLIENT_TOKEN_KEY_SIZE], const char *text, size_t size)
{
	crypto_generichash(digest, CLIENT_TOKEN_DIGEST, (const unsigned char *)text, size,
		key, CLIENT_TOKEN_KEY_SIZE);
}
