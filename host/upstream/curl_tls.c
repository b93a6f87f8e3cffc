#include "upstream/curl_tls.h"

#include <openssl/ssl.h>

#include "upstream/trust.h"

CURLcode tls_apply_trust(CURL *easy, void *ssl_ctx, void *trust)
{
	(void)easy;
	SSL_CTX_set1_cert_store(ssl_ctx, trust_store(trust));
	return CURLE_OK;
}

bool tls_free_buffers(CURL *easy)
{
	struct curl_tlssessioninfo *info = NULL;
	SSL *ssl;

	curl_easy_getinfo(easy, CURLINFO_TLS_SSL_PTR, &info);
	ssl = info && info->backend == CURLSSLBACKEND_OPENSSL ? info->internals : NULL;
	return !ssl || (!SSL_has_pending(ssl) && SSL_free_buffers(ssl));
}
