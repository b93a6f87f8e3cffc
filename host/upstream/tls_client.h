/* tls_client.h - the client's side of TLS: what is verified and remembered of one place.
 *
 * TLS 1.2 or later; the certificate and the host's name, or its address, are always
 * verified. The session of the last connection is offered to the next. What passes through
 * a connection is base/secure.h's. Inside of upstream/ only. */
#pragma once

#include <stdbool.h>

#include "base/err.h"

struct ssl_st;
struct tls_client;
struct trust;

/* host: a name or an address in text. Never NULL. */
struct tls_client *tls_client_new(const struct trust *trust, const char *host);
/* fd is connected and does not block. The connection must not outlive the client. */
struct ssl_st *tls_client_open(struct tls_client *client, int fd);
/* Goes on with the handshake. Returns 0 when it is done, -EAGAIN where the other side has
 * its turn (or the socket is full: wants_write), -EPROTO where it has failed. */
MUST_CHECK
int tls_client_shake(struct ssl_st *ssl, bool *wants_write, struct err *err);
void tls_client_free(struct tls_client *client);
