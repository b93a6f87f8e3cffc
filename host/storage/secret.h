/* secret.h - secrets as they lie on disk: sealed for one record and one field.
 *
 * XChaCha20-Poly1305 with a random nonce. The record's id and the field's name are bound
 * into the seal, so that a sealed text that was moved to another place does not open. The
 * sealed form is bytes: version, id of the master key, nonce, ciphertext. Any thread. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "storage/key.h"
#include "storage/master_key.h"

#define SECRET_MAX (64 * 1024) /* bytes of a secret */
#define SECRET_OVERHEAD (1 + MASTER_KEY_ID_SIZE + 24 + 16)

/* Where a secret belongs. */
struct secret_place {
	const char *record; /* "key/openai/k1" */
	const char *field;  /* "secret" */
};

/* Writes the sealed form into out, which has room for size + SECRET_OVERHEAD bytes. */
MUST_CHECK
int secret_seal(struct master_keys *keys, const struct secret_place *place,
	const void *secret, size_t size, unsigned char *out, struct err *err);
/* Returns the secret (its size in *size, a NUL behind it), to be given to secret_free().
 * NULL: err says why: no such master key, tampered with, sealed for another place. */
char *secret_open(struct master_keys *keys, const struct secret_place *place,
	struct bytes sealed, size_t *size, struct err *err);
/* Wipes. NULL is fine. */
void secret_free(char *secret, size_t size);
/* True where the key in force sealed it: nothing to do for a rotation. */
bool secret_is_current(struct master_keys *keys, struct bytes sealed);
/* Opens and seals again with the key in force, into out, which has sealed.size bytes. */
MUST_CHECK
int secret_reseal(struct master_keys *keys, const struct secret_place *place,
	struct bytes sealed, unsigned char *out, struct err *err);
