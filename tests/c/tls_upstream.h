/* tls_upstream.h - a scripted provider that speaks TLS, with a certificate made here. */
#pragma once

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "base/clock.h"
#include "scripted_upstream.h"

struct identity {
	EVP_PKEY *key;
	X509 *certificate;
	SSL_CTX *context;
	char path[64]; /* the certificate, to be trusted */
};

static inline void make_identity(struct identity *identity, const char *names, long from,
	long until)
{
	X509 *certificate = X509_new();
	X509V3_CTX context;
	X509_EXTENSION *extension;
	FILE *file;

	identity->key = EVP_EC_gen("P-256");
	identity->certificate = certificate;
	X509_set_version(certificate, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(certificate), (long)clock_us());
	X509_gmtime_adj(X509_getm_notBefore(certificate), from);
	X509_gmtime_adj(X509_getm_notAfter(certificate), until);
	X509_set_pubkey(certificate, identity->key);
	X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate), "CN", MBSTRING_ASC,
		(const unsigned char *)"test", -1, -1, 0);
	X509_set_issuer_name(certificate, X509_get_subject_name(certificate));
	X509V3_set_ctx(&context, certificate, certificate, NULL, NULL, 0);
	extension = X509V3_EXT_conf_nid(NULL, &context, NID_subject_alt_name, names);
	X509_add_ext(certificate, extension, -1);
	X509_EXTENSION_free(extension);
	X509_sign(certificate, identity->key, EVP_sha256());
	identity->context = SSL_CTX_new(TLS_server_method());
	SSL_CTX_use_certificate(identity->context, certificate);
	SSL_CTX_use_PrivateKey(identity->context, identity->key);
	snprintf(identity->path, sizeof(identity->path), "/tmp/transfer_tls_XXXXXX");
	file = fdopen(mkstemp(identity->path), "w");
	PEM_write_X509(file, certificate);
	fclose(file);
}

static inline void free_identity(struct identity *identity)
{
	unlink(identity->path);
	SSL_CTX_free(identity->context);
	X509_free(identity->certificate);
	EVP_PKEY_free(identity->key);
}

#define TLS_LONG 8000 /* bytes of an answer of one record, that is read in parts */

/* The answer to "/long" is of that size; any other says hello. */
static inline void answer_over_tls(SSL *ssl, bool is_long)
{
	static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
	char text[TLS_LONG + 128];
	int size;

	if (!is_long) {
		SSL_write(ssl, answer, sizeof(answer) - 1);
		return;
	}
	size = snprintf(text, sizeof(text),
		"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", TLS_LONG);
	memset(text + size, 'x', TLS_LONG);
	SSL_write(ssl, text, size + TLS_LONG);
}

static inline bool script_tls(struct scripted *upstream, int fd, int nth)
{
	struct identity *identity = upstream->arg;
	SSL *ssl = SSL_new(identity->context);
	char room[4096];
	int size = 0, got;

	(void)nth;
	SSL_set_fd(ssl, fd);
	if (SSL_accept(ssl) == 1) {
		while ((got = SSL_read(ssl, room + size, (int)sizeof(room) - 1 - size)) >
			0) {
			size += got;
			room[size] = '\0';
			if (!strstr(room, "\r\n\r\n"))
				continue;
			upstream->requests++;
			answer_over_tls(ssl, strncmp(room, "GET /long ", 10) == 0);
			size = 0;
		}
	}
	SSL_free(ssl);
	return false;
}
