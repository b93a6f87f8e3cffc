/* client_token.h - the credentials that neap makes for clients, and what is kept of them.
 *
 * A token is `neap-`, 32 random bytes as 43 digits of base 62 and 6 more of a checksum,
 * by which scanners and typing errors are told apart. It is shown once; only a
 * keyed hash is stored. The key of the hash is made with the store, sealed, and stays for
 * good: rotating the master key seals it again and changes no hash. Any thread. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "storage/master_key.h"
#include "storage/store.h"

#define CLIENT_TOKEN_SIZE (5 + 43 + 6)
#define CLIENT_TOKEN_DIGEST 32
#define CLIENT_TOKEN_KEY_SIZE 32

/* Reads the hash's key from the state store, or makes it there. On the calling thread: at
 * start. -ENOKEY: it cannot be opened, which is how a wrong master key shows. */
MUST_CHECK
int client_token_key(struct store *state, struct master_keys *keys,
	unsigned char key[CLIENT_TOKEN_KEY_SIZE], struct err *err);
/* Seals it again with the master key in force. A store_fn of the state store; arg is the
 * struct master_keys. */
int client_token_key_reseal(struct txn *txn, void *keys, struct err *err);

/* A fresh token with a NUL behind it; the caller wipes it. */
void client_token_make(char token[CLIENT_TOKEN_SIZE + 1]);
/* True for a text that client_token_make() may have made: form and checksum. */
bool client_token_is_ours(const char *text, size_t size);
/* Of any text, ours or one that the user chose. */
void client_token_digest(unsigned char digest[CLIENT_TOKEN_DIGEST],
	const unsigned char key[CLIENT_TOKEN_KEY_SIZE], const char *text, size_t size);
