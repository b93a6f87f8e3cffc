/* trust.h - the certificates that transfers trust.
 *
 * The system's CA file is read once per process (12 ms and 400 KB on Debian), and every
 * connection shares what was read. Any thread. */
#pragma once

#include "base/err.h"

struct trust;
struct x509_store_st;

/* The system's certificates, and those of ca_file (or NULL) with them. A ca_file that has
 * changed is read again. Lives as long as the process. */
MUST_CHECK
int trust_find(struct trust **out, const char *ca_file, struct err *err);
/* OpenSSL's X509_STORE; whoever keeps it counts a reference. */
struct x509_store_st *trust_store(const struct trust *trust);
