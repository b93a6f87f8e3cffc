#include "base/secure.h"

#include <errno.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/ssl.h>

#define RECORD_MAX (16 * 1024) /* bytes that one TLS record carries */

/* What a failed call means, as a negative errno; 0: the other side has ended. */
static int failure(SSL *ssl, int result)
{
	switch (SSL_get_error(ssl, result)) {
	case SSL_ERROR_WANT_READ:
	case SSL_ERROR_WANT_WRITE:
		return -EAGAIN;
	case SSL_ERROR_ZERO_RETURN:
		return 0;
	default:
		/* A session that has failed must not be told to end properly. */
		SSL_set_quiet_shutdown(ssl, 1);
		ERR_clear_error();
		return -ECONNRESET;
	}
}

ssize_t secure_read(struct ssl_st *ssl, void *room, size_t size)
{
	size_t got;
	int result;

	ERR_clear_error();
	result = SSL_read_ex(ssl, room, size, &got);
	return result == 1 ? (ssize_t)got : failure(ssl, result);
}

struct gather {
	const struct iovec *parts;
	size_t count;
	size_t part;   /* where to go on */
	size_t offset; /* in that part */
};

/* Copies up to a record's worth from where gather stands and moves it on. */
static size_t fill_record(struct gather *gather, char *record)
{
	size_t size = 0;

	while (gather->part < gather->count && size < RECORD_MAX) {
		const struct iovec *part = &gather->parts[gather->part];
		size_t piece = part->iov_len - gather->offset;

		if (piece > RECORD_MAX - size)
			piece = RECORD_MAX - size;
		if (piece)
			memcpy(record + size, (char *)part->iov_base + gather->offset,
				piece);
		size += piece;
		gather->offset += piece;
		if (gather->offset == part->iov_len) {
			gather->part++;
			gather->offset = 0;
		}
	}
	return size;
}

/* Small parts share a record. A write that the socket did not take is repeated by the
 * caller with the same bytes and perhaps more behind them, as OpenSSL demands: the record
 * that is filled again is never shorter. */
ssize_t secure_write(struct ssl_st *ssl, const struct iovec *parts, size_t count)
{
	struct gather gather = { .parts = parts, .count = count };
	char record[RECORD_MAX];
	ssize_t total = 0;
	size_t size;

	while ((size = fill_record(&gather, record)) > 0) {
		size_t sent;
		int result, reason;

		ERR_clear_error();
		result = SSL_write_ex(ssl, record, size, &sent);
		if (result != 1) {
			reason = failure(ssl, result);
			if (reason == -EAGAIN && total)
				return total;
			return reason ? reason : -EPIPE;
		}
		total += (ssize_t)sent;
		if (sent < size)
			return total;
	}
	return total;
}

bool secure_is_shaking_hands(const struct ssl_st *ssl)
{
	return !SSL_is_init_finished(ssl);
}

void secure_end(struct ssl_st *ssl)
{
	ERR_clear_error();
	if (SSL_is_init_finished(ssl))
		SSL_shutdown(ssl);
	ERR_clear_error();
}

void secure_free(struct ssl_st *ssl)
{
	SSL_free(ssl);
}
