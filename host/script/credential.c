#include "script/credential.h"

#include <pthread.h>
#include <stdint.h>
#include <string.h>
#include <strings.h>

#include <sodium.h>

#include "http/exchange.h"

static unsigned char process_key[CREDENTIAL_KEY_SIZE];
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void make_key(void)
{
	randombytes_buf(process_key, sizeof(process_key));
}

void credential_use_key(const unsigned char key[CREDENTIAL_KEY_SIZE])
{
	pthread_once(&once, make_key);
	memcpy(process_key, key, sizeof(process_key));
}

void credential_digest(unsigned char digest[CREDENTIAL_DIGEST], const char *secret,
	size_t size)
{
	pthread_once(&once, make_key);
	crypto_generichash(digest, CREDENTIAL_DIGEST, (const unsigned char *)secret, size,
		process_key, sizeof(process_key));
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

const char *credential_find(const struct exchange *exchange, char room[CREDENTIAL_MAX],
	size_t *size)
{
	const char *secret = bearer(exchange_header(exchange, "authorization"));

	if (!secret)
		secret = exchange_header(exchange, "x-api-key");
	if (!secret)
		secret = exchange_header(exchange, "x-goog-api-key");
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
	credential_digest(digest, secret, size);
	sodium_memzero(room, secret == room ? size : 0);
	return true;
}
