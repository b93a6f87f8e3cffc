#include "base/secure_socket.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <sys/socket.h>

#include <openssl/bio.h>
#include <openssl/ssl.h>

#define HAS_MORE 0x10000 /* beside OpenSSL's own flags of a BIO, which end at 0x8000 */

static BIO_METHOD *method;
static pthread_once_t made = PTHREAD_ONCE_INIT;

static int socket_of(BIO *bio)
{
	return (int)(intptr_t)BIO_get_data(bio);
}

static bool is_to_be_repeated(void)
{
	return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR;
}

static int write_bytes(BIO *bio, const char *bytes, size_t size, size_t *sent)
{
	int flags = MSG_NOSIGNAL | (BIO_test_flags(bio, HAS_MORE) ? MSG_MORE : 0);
	ssize_t got = send(socket_of(bio), bytes, size, flags);

	BIO_clear_retry_flags(bio);
	if (got < 0 && is_to_be_repeated())
		BIO_set_retry_write(bio);
	*sent = got > 0 ? (size_t)got : 0;
	return got > 0;
}

static int read_bytes(BIO *bio, char *room, size_t size, size_t *taken)
{
	ssize_t got = recv(socket_of(bio), room, size, 0);

	BIO_clear_retry_flags(bio);
	if (got == 0)
		BIO_set_flags(bio, BIO_FLAGS_IN_EOF);
	if (got < 0 && is_to_be_repeated())
		BIO_set_retry_read(bio);
	*taken = got > 0 ? (size_t)got : 0;
	return got > 0;
}

/* Nothing is kept here that could be pending or flushed. */
static long control(BIO *bio, int command, long number, void *pointer)
{
	(void)number;
	(void)pointer;
	switch (command) {
	case BIO_CTRL_FLUSH:
		return 1;
	case BIO_CTRL_EOF:
		return BIO_test_flags(bio, BIO_FLAGS_IN_EOF) != 0;
	default:
		return 0;
	}
}

static void make_method(void)
{
	method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "socket");
	/* Only memory can be lacking. */
	assert(method);
	BIO_meth_set_write_ex(method, write_bytes);
	BIO_meth_set_read_ex(method, read_bytes);
	BIO_meth_set_ctrl(method, control);
}

void secure_socket_attach(struct ssl_st *ssl, int fd)
{
	BIO *bio;

	pthread_once(&made, make_method);
	bio = BIO_new(method);
	assert(bio);
	BIO_set_data(bio, (void *)(intptr_t)fd);
	BIO_set_init(bio, 1);
	SSL_set_bio(ssl, bio, bio);
}

void secure_socket_expect(struct ssl_st *ssl, bool has_more)
{
	BIO *bio = SSL_get_wbio(ssl);

	if (has_more)
		BIO_set_flags(bio, HAS_MORE);
	else
		BIO_clear_flags(bio, HAS_MORE);
}
