#include "http/tls.h"

#include <assert.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>

#include <openssl/err.h>
#include <openssl/ssl.h>

#include "base/err.h"
#include "base/secure_socket.h"
#include "http/listener.h"

struct tls {
	SSL_CTX *context;
	atomic_uint references;
};

/* -- the certificate -------------------------------------------------------------- */

static int choose_protocol(SSL *ssl, const unsigned char **out, unsigned char *out_size,
	const unsigned char *offered, unsigned int offered_size, void *arg)
{
	static const unsigned char ours[] = "\x08http/1.1\x08http/1.0";
	unsigned char *chosen;

	(void)ssl, (void)arg;
	if (SSL_select_next_proto(&chosen, out_size, ours, sizeof(ours) - 1, offered,
		    offered_size) != OPENSSL_NPN_NEGOTIATED)
		return SSL_TLSEXT_ERR_ALERT_FATAL;
	*out = chosen;
	return SSL_TLSEXT_ERR_OK;
}

/* what: that the file should be. The first error is what led to the others. */
static int openssl_err(struct err *err, const char *path, const char *what)
{
	const char *reason = ERR_reason_error_string(ERR_peek_error());

	return err_set(err, -EINVAL, "%s is no %s that can be used: %s", path, what,
		reason ? reason : "it cannot be read");
}

/* Nobody is asked for one: whoever starts neap may not be there. */
static int refuse_password(char *room, int size, int is_writing, void *arg)
{
	(void)room, (void)size, (void)is_writing, (void)arg;
	return -1;
}

int tls_new(struct tls **out, const char *certificate_path, const char *key_path,
	struct err *err)
{
	SSL_CTX *context = SSL_CTX_new(TLS_server_method());
	struct tls *tls;
	int rc;

	ERR_clear_error();
	assert(context);
	SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
	SSL_CTX_set_options(context,
		SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
			SSL_OP_CIPHER_SERVER_PREFERENCE);
	/* An idle connection gives its buffers back, which are 34 KiB. */
	SSL_CTX_set_mode(context,
		SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
			SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	SSL_CTX_set_read_ahead(context, 1);
	SSL_CTX_set_alpn_select_cb(context, choose_protocol, NULL);
	SSL_CTX_set_default_passwd_cb(context, refuse_password);
	if (SSL_CTX_use_certificate_chain_file(context, certificate_path) != 1) {
		rc = openssl_err(err, certificate_path, "PEM certificate");
		goto fail;
	}
	if (SSL_CTX_use_PrivateKey_file(context, key_path, SSL_FILETYPE_PEM) != 1 ||
		SSL_CTX_check_private_key(context) != 1) {
		rc = openssl_err(err, key_path, "PEM key of the certificate");
		goto fail;
	}

	tls = xcalloc(1, sizeof(*tls));
	tls->context = context;
	atomic_init(&tls->references, 1);
	*out = tls;
	return 0;

fail:
	ERR_clear_error();
	SSL_CTX_free(context);
	return rc;
}

void tls_ref(struct tls *tls)
{
	atomic_fetch_add(&tls->references, 1);
}

void tls_unref(struct tls *tls)
{
	if (!tls || atomic_fetch_sub(&tls->references, 1) != 1)
		return;
	SSL_CTX_free(tls->context);
	free(tls);
}

/* -- one connection --------------------------------------------------------------- */

struct ssl_st *tls_accept(struct tls *tls, int fd)
{
	SSL *ssl = SSL_new(tls->context);

	assert(ssl);
	secure_socket_attach(ssl, fd);
	SSL_set_accept_state(ssl);
	return ssl;
}
