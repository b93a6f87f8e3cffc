/* tls.h - TLS for one connection, straight over its socket; only for wire.c. The
 * certificates are in listener.h. The process must ignore SIGPIPE: OpenSSL writes to
 * sockets without MSG_NOSIGNAL. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>
#include <sys/uio.h>

struct ssl_st;
struct tls;

/* Never NULL. The connection keeps the certificate, whatever becomes of tls. */
struct ssl_st *tls_accept(struct tls *tls, int fd);
/* As wire_read() and wire_write(). */
ssize_t tls_read(struct ssl_st *ssl, void *room, size_t size);
ssize_t tls_write(struct ssl_st *ssl, const struct iovec *parts, size_t count);
bool tls_is_shaking_hands(const struct ssl_st *ssl);
/* Sends close_notify, if the socket takes it. */
void tls_end(struct ssl_st *ssl);
void tls_free(struct ssl_st *ssl);
