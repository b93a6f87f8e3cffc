/* credential.h - where a client may put its token, and the digest by which it is found.
 *
 * Secrets are looked up by a keyed hash, so that neither a table's order nor the time of
 * a comparison says anything about them; the secret itself never reaches Lua. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#define CREDENTIAL_DIGEST 32 /* bytes */
#define CREDENTIAL_KEY_SIZE 32
#define CREDENTIAL_MAX 4096 /* bytes of a token in a URL; a longer one is none of ours */

struct exchange;

/* From now on digests are made with this key, so that they are the same as in another run;
 * without it with one of this process alone. Before there are other threads. */
void credential_use_key(const unsigned char key[CREDENTIAL_KEY_SIZE]);
/* BLAKE2b under the key. Any thread. */
void credential_digest(unsigned char digest[CREDENTIAL_DIGEST], const char *secret,
	size_t size);
/* The request's token: of Authorization: Bearer (or the token alone, without a scheme),
 * x-api-key, x-goog-api-key or ?key=, the first that is there. NULL if there is none. It
 * lies in the exchange or in room. */
const char *credential_find(const struct exchange *exchange, char room[CREDENTIAL_MAX],
	size_t *size);
/* Its digest. False if there is none. */
bool credential_read(const struct exchange *exchange,
	unsigned char digest[CREDENTIAL_DIGEST]);
