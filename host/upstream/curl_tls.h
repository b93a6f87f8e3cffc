/* curl_tls.h - what transfers want of libcurl's TLS.
 *
 * Only the place of the certificates changes: verification is libcurl's own and stays
 * on. Inside of upstream/ only. */
#pragma once

#include <curl/curl.h>
#include <stdbool.h>

/* For CURLOPT_SSL_CTX_FUNCTION; trust is a struct trust. */
CURLcode tls_apply_trust(CURL *easy, void *ssl_ctx, void *trust);
/* Frees the buffers of the transfer's connection, if it has TLS, until they are needed again.
 * False: some bytes are still in them. */
bool tls_free_buffers(CURL *easy);
