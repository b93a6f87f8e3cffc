/* secure.h - the bytes of one TLS connection, straight over its socket, which does not block.
 *
 * Who makes the connection (a listener, a transfer) also says what it verifies, and attaches
 * its socket (secure_socket.h). */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>
#include <sys/uio.h>

struct ssl_st;

/* Bytes read; 0: the other side has properly ended; -EAGAIN; or another negative errno,
 * for an end that was not announced too; -EPROTONOSUPPORT: it speaks HTTP in clear. */
ssize_t secure_read(struct ssl_st *ssl, void *room, size_t size);
/* Bytes taken, perhaps fewer than there are, or a negative errno, -EAGAIN among them. What
 * was not taken must be offered again, and perhaps more behind it. */
ssize_t secure_write(struct ssl_st *ssl, const struct iovec *parts, size_t count);
bool secure_is_shaking_hands(const struct ssl_st *ssl);
/* Sends close_notify, if the socket takes it. */
void secure_end(struct ssl_st *ssl);
void secure_free(struct ssl_st *ssl);
