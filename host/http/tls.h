/* tls.h - the server's side of TLS for one connection; only for wire.c. The certificates are
 * in listener.h, what passes through it in base/secure.h. */
#pragma once

struct ssl_st;
struct tls;

/* Never NULL. The connection keeps the certificate, whatever becomes of tls. */
struct ssl_st *tls_accept(struct tls *tls, int fd);
