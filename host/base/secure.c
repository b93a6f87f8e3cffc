#include "base/secure.h"

#include <errno.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/ssl.h>

#include "base/secure_socket.h"

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
		result = ERR_GET_REASON(ERR_peek_error()) == SSL_R_HTTP_REQUEST
			? -EPROTONOSUPPORT
			: -ECONNRESET;
		/* A session that has failed must not be told to end properly. */
		SSL_set_quiet_shutdown(ssl, 1);
		ERR_clear_error();
		return result;
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

/* The piece of at most size bytes at which gather stands, which it moves on over; 0: there
 * is none. */
static size_t next_piece(struct gather *gather, size_t size, const char **piece)
{
	const struct iovec *part = &gather->parts[gather->part];
	size_t left = part->iov_len - gather->offset;

	*piece = (const char *)part->iov_base + gather->offset;
	if (left > size) {
		gather->offset += size;
		return size;
	}
	gather->part++;
	gather->offset = 0;
	return left;
}

static void pass_empty(struct gather *gather)
{
	while (gather->part < gather->count &&
		gather->parts[gather->part].iov_len == gather->offset) {
		gather->part++;
		gather->offset = 0;
	}
}

/* What fills the next record, or all that is left: bytes of one part where they lie, or those
 * of several, for which room is given. */
static size_t next_record(struct gather *gather, char *room, const char **record)
{
	size_t size = next_piece(gather, RECORD_MAX, record);

	pass_empty(gather);
	if (size == RECORD_MAX || gather->part == gather->count)
		return size;
	memcpy(room, *record, size);
	*record = room;
	while (gather->part < gather->count && size < RECORD_MAX) {
		const char *piece;
		size_t got = next_piece(gather, RECORD_MAX - size, &piece);

		memcpy(room + size, piece, got);
		size += got;
		pass_empty(gather);
	}
	return size;
}

static ssize_t write_record(SSL *ssl, const char *record, size_t size, bool has_more)
{
	size_t sent;
	int result;

	ERR_clear_error();
	if (has_more)
		secure_socket_expect(ssl, true);
	result = SSL_write_ex(ssl, record, size, &sent);
	if (has_more)
		secure_socket_expect(ssl, false);
	if (result == 1)
		return (ssize_t)sent;
	result = failure(ssl, result);
	return result ? result : -EPIPE;
}

/* Small parts share a record. A write that the socket did not take is repeated by the
 * caller with the same bytes and perhaps more behind them, as OpenSSL demands: the record
 * that is filled again is never shorter. */
ssize_t secure_write(struct ssl_st *ssl, const struct iovec *parts, size_t count)
{
	struct gather gather = { .parts = parts, .count = count };
	char room[RECORD_MAX];
	ssize_t total = 0;

	pass_empty(&gather);
	while (gather.part < gather.count) {
		const char *record;
		size_t size = next_record(&gather, room, &record);
		ssize_t sent = write_record(ssl, record, size,
			gather.part < gather.count);

		if (sent < 0)
			return sent == -EAGAIN && total ? total : sent;
		total += sent;
		if ((size_t)sent < size)
			break;
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
