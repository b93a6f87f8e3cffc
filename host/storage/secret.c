#include "storage/secret.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "base/buf.h"
#include "base/mem.h"

#define VERSION 1
#define NONCE_SIZE crypto_aead_xchacha20poly1305_ietf_NPUBBYTES
#define TAG_SIZE crypto_aead_xchacha20poly1305_ietf_ABYTES
#define NONCE_AT (1 + MASTER_KEY_ID_SIZE)
#define TEXT_AT (NONCE_AT + NONCE_SIZE)

_Static_assert(SECRET_OVERHEAD == TEXT_AT + TAG_SIZE, "the sealed form has no more");
_Static_assert(MASTER_KEY_SIZE == crypto_aead_xchacha20poly1305_ietf_KEYBYTES, "one key");

/* What is bound into the seal: the head of the sealed form, and the place. Neither text
 * has a zero byte inside, so that no two places look the same. */
static void associate(struct buf *data, const unsigned char *sealed,
	const struct secret_place *place)
{
	buf_append(data, sealed, NONCE_AT);
	buf_append(data, place->record, strlen(place->record) + 1);
	buf_append(data, place->field, strlen(place->field) + 1);
}

int secret_seal(struct master_keys *keys, const struct secret_place *place,
	const void *secret, size_t size, unsigned char *out, struct err *err)
{
	unsigned char key[MASTER_KEY_SIZE];
	struct buf data = { 0 };
	int rc;

	if (size > SECRET_MAX)
		return err_set(err, -EMSGSIZE, "a secret has %d bytes at most",
			SECRET_MAX);
	out[0] = VERSION;
	rc = master_keys_copy(keys, NULL, out + 1, key);
	assert(rc == 0);
	randombytes_buf(out + NONCE_AT, NONCE_SIZE);
	associate(&data, out, place);
	crypto_aead_xchacha20poly1305_ietf_encrypt(out + TEXT_AT, NULL, secret, size,
		(const unsigned char *)buf_data(&data), buf_size(&data), NULL,
		out + NONCE_AT, key);
	sodium_memzero(key, sizeof(key));
	buf_clear(&data);
	return rc;
}

static int find_key(struct master_keys *keys, const struct secret_place *place,
	struct bytes sealed, unsigned char key[MASTER_KEY_SIZE], struct err *err)
{
	const unsigned char *bytes = sealed.data;
	unsigned char id[MASTER_KEY_ID_SIZE];
	char name[2 * MASTER_KEY_ID_SIZE + 1];

	if (sealed.size < SECRET_OVERHEAD || sealed.size > SECRET_MAX + SECRET_OVERHEAD ||
		bytes[0] != VERSION)
		return err_set(err, -EBADMSG, "%s of %s is no sealed secret",
			place->field, place->record);
	if (master_keys_copy(keys, bytes + 1, id, key) == 0)
		return 0;
	sodium_bin2hex(name, sizeof(name), bytes + 1, MASTER_KEY_ID_SIZE);
	return err_set(err, -ENOKEY,
		"%s of %s was sealed with the master key %s, which is not there: "
		"restore the file of master keys that belongs to this storage",
		place->field, place->record, name);
}

char *secret_open(struct master_keys *keys, const struct secret_place *place,
	struct bytes sealed, size_t *size, struct err *err)
{
	const unsigned char *bytes = sealed.data;
	unsigned char key[MASTER_KEY_SIZE];
	struct buf data = { 0 };
	char *secret;
	int rc;

	if (find_key(keys, place, sealed, key, err) != 0)
		return NULL;
	*size = sealed.size - SECRET_OVERHEAD;
	secret = xcalloc(1, *size + 1);
	associate(&data, bytes, place);
	rc = crypto_aead_xchacha20poly1305_ietf_decrypt((unsigned char *)secret, NULL,
		NULL, bytes + TEXT_AT, sealed.size - TEXT_AT,
		(const unsigned char *)buf_data(&data), buf_size(&data), bytes + NONCE_AT,
		key);
	sodium_memzero(key, sizeof(key));
	buf_clear(&data);
	if (rc == 0)
		return secret;
	secret_free(secret, *size);
	*size = 0;
	err_set(err, -EBADMSG, "%s of %s was changed, or sealed for another place",
		place->field, place->record);
	return NULL;
}

void secret_free(char *secret, size_t size)
{
	if (secret)
		sodium_memzero(secret, size);
	free(secret);
}

bool secret_is_current(struct master_keys *keys, struct bytes sealed)
{
	const unsigned char *bytes = sealed.data;
	unsigned char id[MASTER_KEY_ID_SIZE];

	master_keys_current(keys, id);
	return sealed.size >= SECRET_OVERHEAD && bytes[0] == VERSION &&
		memcmp(bytes + 1, id, sizeof(id)) == 0;
}

int secret_reseal(struct master_keys *keys, const struct secret_place *place,
	struct bytes sealed, unsigned char *out, struct err *err)
{
	size_t size;
	char *secret = secret_open(keys, place, sealed, &size, err);
	int rc;

	if (!secret)
		return -EBADMSG;
	rc = secret_seal(keys, place, secret, size, out, err);
	secret_free(secret, size);
	return rc;
}
