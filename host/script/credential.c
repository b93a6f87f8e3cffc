#include "script/credential.h"

#include <pthread.h>
#include <stdint.h>
#include <string.h>
#include <strings.h>

#include <sodium.h>

#include "http/exchange.h"

#define KNOWN_MAX 256 /* digests that a thread remembers */

_Static_assert(crypto_shorthash_siphashx24_BYTES == crypto_verify_16_BYTES, "a mark");

static unsigned char process_key[CREDENTIAL_KEY_SIZE];
static unsigned char mark_key[crypto_shorthash_siphashx24_KEYBYTES];
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void make_key(void)
{
	randombytes_buf(process_key, sizeof(process_key));
	randombytes_buf(mark_key, sizeof(mark_key));
}

void credential_use_key(const unsigned char key[CREDENTIAL_KEY_SIZE])
{
	pthread_once(&once, make_key);
	memcpy(process_key, key, sizeof(process_key));
	/* Nobody knows what digests were under the key before. */
	randombytes_buf(mark_key, sizeof(mark_key));
}

void credential_digest(unsigned char digest[CREDENTIAL_DIGEST], const char *secret,
	size_t size)
{
	pthread_once(&once, make_key);
	crypto_generichash(digest, CREDENTIAL_DIGEST, (const unsigned char *)secret, size,
		process_key, sizeof(process_key));
}

/* The digest of a token that clients send. They send the same few again and again, and
 * BLAKE2b takes several times as long as SipHash: so each thread remembers digests by a mark
 * of the token, its keyed hash of 128 bits. The key is this run's own, so that nobody can
 * make a token with another's mark; the token itself is not remembered. That an answer comes
 * sooner tells only that this very token came before. */
static void find_digest(unsigned char digest[CREDENTIAL_DIGEST], const char *secret,
	size_t size)
{
	static _Thread_local struct {
		unsigned char mark[crypto_shorthash_siphashx24_BYTES];
		unsigned char digest[CREDENTIAL_DIGEST];
		bool is_used;
	} known[KNOWN_MAX], *at;
	unsigned char mark[crypto_shorthash_siphashx24_BYTES];

	pthread_once(&once, make_key);
	crypto_shorthash_siphashx24(mark, (const unsigned char *)secret, size, mark_key);
	at = &known[mark[0] % KNOWN_MAX];
	if (!at->is_used || crypto_verify_16(at->mark, mark) != 0) {
		credential_digest(at->digest, secret, size);
		memcpy(at->mark, mark, sizeof(mark));
		at->is_used = true;
	}
	memcpy(digest, at->digest, CREDENTIAL_DIGEST);
}

/* The token that Authorization holds: behind "Bearer", or alone without a scheme. */
static const char *bearer(const char *value)
{
	size_t size = value ? strcspn(value, " \t") : 0;

	if (!size)
		return NULL;
	if (size != strlen("bearer") || strncasecmp(value, "bearer", size) != 0)
		return value[size] ? NULL : value;
	return value[size] ? value + size + strspn(value + size, " \t") : NULL;
}

static int hex_of(char digit)
{
	if (digit >= '0' && digit <= '9')
		return digit - '0';
	if (digit >= 'a' && digit <= 'f')
		return digit - 'a' + 10;
	return digit >= 'A' && digit <= 'F' ? digit - 'A' + 10 : -1;
}

/* The value of the query's parameter "key", percent-decoded into room; 0 if it has
 * none. */
static size_t read_query(const char *query, char room[CREDENTIAL_MAX])
{
	size_t size = 0;

	while (strncmp(query, "key=", 4) != 0) {
		query = strchr(query, '&');
		if (!query)
			return 0;
		query++;
	}
	for (query += 4; *query && *query != '&' && size < CREDENTIAL_MAX; query++) {
		int high = *query == '%' ? hex_of(query[1]) : -1;
		int low = high >= 0 ? hex_of(query[2]) : -1;

		if (low >= 0) {
			room[size++] = (char)(high << 4 | low);
			query += 2;
		} else {
			room[size++] = *query == '+' ? ' ' : *query;
		}
	}
	return size;
}

/* A header with nothing in it is as good as none: of a variable that was not set, for
 * instance. */
static const char *header_with_value(const struct exchange *exchange, const char *name)
{
	const char *value = exchange_header(exchange, name);

	return value && *value ? value : NULL;
}

const char *credential_find(const struct exchange *exchange, char room[CREDENTIAL_MAX],
	size_t *size)
{
	const char *secret = bearer(exchange_header(exchange, "authorization"));

	if (!secret)
		secret = header_with_value(exchange, "x-api-key");
	if (!secret)
		secret = header_with_value(exchange, "x-goog-api-key");
	if (secret) {
		*size = strlen(secret);
		while (*size && (secret[*size - 1] == ' ' || secret[*size - 1] == '\t'))
			--*size;
	} else {
		*size = read_query(exchange_query(exchange), room);
		secret = room;
	}
	return *size ? secret : NULL;
}

bool credential_read(const struct exchange *exchange,
	unsigned char digest[CREDENTIAL_DIGEST])
{
	char room[CREDENTIAL_MAX];
	size_t size;
	const char *secret = credential_find(exchange, room, &size);

	if (!secret)
		return false;
	find_digest(digest, secret, size);
	sodium_memzero(room, secret == room ? size : 0);
	return true;
}
