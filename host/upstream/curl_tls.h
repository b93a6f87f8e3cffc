/* curl_tls.h - the certificates that transfers trust.
 *
 * libcurl would read the system's CA file again for each new connection (12 ms and 400 KB
 * on Debian). Here it is read once per process, and every connection shares it. Only the
 * place of the certificates changes: verification is libcurl's own and stays on. Any
 * thread. */
#pragma once

#include <curl/curl.h>
#include <stdbool.h>

#include "base/err.h"

struct trust;

/* The system's certificates, and those of ca_file (or NULL) with them. A ca_file that has
 * changed is read again. Lives as long as the process. */
MUST_CHECK
int trust_find(struct trust **out, const char *ca_file, struct err *err);
/* For CURLOPT_SSL_CTX_FUNCTION; arg is the trust. */
CURLcode trust_apply(CURL *easy, void *ssl_ctx, void *arg);
/* Frees the buffers of the transfer's connection, if it has TLS, until they are needed again.
 * False: some bytes are still in them. */
bool tls_free_buffers(CURL *easy);
