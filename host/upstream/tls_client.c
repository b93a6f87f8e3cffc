#include "upstream/tls_client.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

#include "base/secure_socket.h"
#include "upstream/trust.h"

struct tls_client {
	SSL_CTX *context;
	SSL_SESSION *session; /* to be offered next, or NULL */
	bool is_address;
	char host[];
};

/* Tickets come when they like. Returns 1: the reference is kept. */
static int on_session(SSL *ssl, SSL_SESSION *session)
{
	struct tls_client *client = SSL_get_app_data(ssl);

	SSL_SESSION_free(client->session);
	client->session = session;
	return 1;
}

static void set_context(SSL_CTX *context, const struct trust *trust)
{
	static const unsigned char protocols[] = "\x08http/1.1";
	/* The shorter key first, as browsers have it: nobody breaks either, and of a body of
	 * 100 KB the longer one takes half as much again. */
	static const char ciphers[] = "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:"
				      "TLS_CHACHA20_POLY1305_SHA256";

	SSL_CTX_set_ciphersuites(context, ciphers);
	SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
	SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
	/* An idle connection gives its buffers back, which are 34 KiB. */
	SSL_CTX_set_mode(context,
		SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
			SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	SSL_CTX_set_read_ahead(context, 1);
	SSL_CTX_set_alpn_protos(context, protocols, sizeof(protocols) - 1);
	SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
	SSL_CTX_set1_cert_store(context, trust_store(trust));
	SSL_CTX_set_session_cache_mode(context,
		SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
	SSL_CTX_sess_set_new_cb(context, on_session);
}

struct tls_client *tls_client_new(const struct trust *trust, const char *host)
{
	size_t size = strlen(host) + 1;
	struct tls_client *client = xcalloc(1, sizeof(*client) + size);
	struct in6_addr address;

	memcpy(client->host, host, size);
	client->is_address = inet_pton(AF_INET, host, &address) == 1 ||
		inet_pton(AF_INET6, host, &address) == 1;
	client->context = SSL_CTX_new(TLS_client_method());
	assert(client->context); /* only memory can be lacking */
	set_context(client->context, trust);
	return client;
}

void tls_client_free(struct tls_client *client)
{
	if (!client)
		return;
	SSL_SESSION_free(client->session);
	SSL_CTX_free(client->context);
	free(client);
}

struct ssl_st *tls_client_open(struct tls_client *client, int fd)
{
	SSL *ssl = SSL_new(client->context);
	X509_VERIFY_PARAM *verified;
	int rc;

	assert(ssl);
	verified = SSL_get0_param(ssl);
	X509_VERIFY_PARAM_set_hostflags(verified, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	rc = client->is_address ? X509_VERIFY_PARAM_set1_ip_asc(verified, client->host)
				: X509_VERIFY_PARAM_set1_host(verified, client->host, 0);
	assert(rc == 1); /* else anybody's certificate would do */
	/* RFC 6066 3: no addresses in a server's name. */
	if (!client->is_address)
		SSL_set_tlsext_host_name(ssl, client->host);
	if (client->session)
		SSL_set_session(ssl, client->session);
	SSL_set_app_data(ssl, client);
	secure_socket_attach(ssl, fd);
	SSL_set_connect_state(ssl);
	return ssl;
}

static int fail(SSL *ssl, int result, struct err *err)
{
	int reason = SSL_get_error(ssl, result);
	unsigned long code = ERR_peek_last_error();
	long verified = SSL_get_verify_result(ssl);
	const char *text = ERR_reason_error_string(code);

	ERR_clear_error();
	SSL_set_quiet_shutdown(ssl, 1);
	if (verified != X509_V_OK)
		return err_set(err, -EPROTO, "the provider's certificate: %s",
			X509_verify_cert_error_string(verified));
	if (reason == SSL_ERROR_SYSCALL || !text)
		text = "the connection was closed";
	return err_set(err, -EPROTO, "the TLS handshake failed: %s", text);
}

int tls_client_shake(struct ssl_st *ssl, bool *wants_write, struct err *err)
{
	int result;

	ERR_clear_error();
	result = SSL_do_handshake(ssl);
	*wants_write = false;
	if (result == 1)
		return 0;
	switch (SSL_get_error(ssl, result)) {
	case SSL_ERROR_WANT_WRITE:
		*wants_write = true;
		return -EAGAIN;
	case SSL_ERROR_WANT_READ:
		return -EAGAIN;
	default:
		return fail(ssl, result, err);
	}
}
