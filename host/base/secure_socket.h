/* secure_socket.h - OpenSSL's way to a socket that does not block: what is followed by
 * more at once is held back, so that the records of one body go out in as few packets as
 * without TLS, and nothing raises SIGPIPE. The socket stays its owner's: it is not closed
 * with the session. */
#pragma once

#include <stdbool.h>

struct ssl_st;

/* Gives ssl its socket, for both directions, once. */
void secure_socket_attach(struct ssl_st *ssl, int fd);
/* Whether more comes at once behind what is written from now on; at first nothing does. */
void secure_socket_expect(struct ssl_st *ssl, bool has_more);
