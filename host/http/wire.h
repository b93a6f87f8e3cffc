/* wire.h - a connected socket that does not block, plain or under TLS.
 *
 * The handshake of TLS happens inside the first reads and writes. A wire under TLS may
 * have to write in order to read, so whoever waits for the socket tries both directions
 * after each event. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>
#include <sys/uio.h>

struct ssl_st;
struct tls;

struct wire {
	int fd;
	struct ssl_st *ssl; /* NULL: plain */
};

/* Takes fd, which must not block. tls: NULL for a plain wire. */
void wire_open(struct wire *wire, int fd, struct tls *tls);
/* Bytes read into the parts, one after the other, under TLS into the first one only; 0: the
 * other side has ended; -EAGAIN; or another negative errno. */
ssize_t wire_read(struct wire *wire, const struct iovec *parts, size_t count);
/* Bytes taken, perhaps fewer than there are: then nothing goes until the socket can be
 * written to again. Or a negative errno, -EAGAIN among them. */
ssize_t wire_write(struct wire *wire, const struct iovec *parts, size_t count);
bool wire_is_shaking_hands(const struct wire *wire);
/* The socket's own error, which a reader that has paused would not see. */
bool wire_has_failed(const struct wire *wire);
/* Tells the other side that nothing more comes; reading goes on. */
void wire_shutdown(struct wire *wire);
/* with_reset: the other side must not take this for a proper end. */
void wire_close(struct wire *wire, bool with_reset);
