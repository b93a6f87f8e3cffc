/* credential.h - where a client may put its token, and the digest by which it is found.
 *
 * Secrets are looked up by a keyed hash, so that neither a table's order nor the time of
 * a comparison says anything about them; the secret itself never reaches Lua. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#define CREDENTIAL_DIGEST 32 /* bytes */

struct exchange;

/* BLAKE2b under a key of this process. Any thread. */
void credential_digest(unsigned char digest[CREDENTIAL_DIGEST], const char *secret,
	size_t size);
/* The digest of the request's token: of Authorization: Bearer, x-api-key, x-goog-api-key
 * or ?key=, the first that is there. False if there is none. */
bool credential_read(const struct exchange *exchange,
	unsigned char digest[CREDENTIAL_DIGEST]);
