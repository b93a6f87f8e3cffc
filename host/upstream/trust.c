#include "upstream/trust.h"

#include <curl/curl.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/x509_vfy.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/arena.h"
#include "base/log.h"

struct trust {
	struct trust *next;
	char *key; /* path and state of the file; "" for the system's alone */
	X509_STORE *store;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct trust *trusts;

static const char *system_file(void)
{
	const char *path = getenv(X509_get_default_cert_file_env());

	if (!path)
		path = curl_version_info(CURLVERSION_NOW)->cainfo;
	return path ? path : X509_get_default_cert_file();
}

static int load(X509_STORE *store, const char *path, struct err *err)
{
	if (X509_STORE_load_file(store, path) == 1)
		return 0;
	ERR_clear_error();
	return err_set(err, -EINVAL, "no certificates could be read from %s", path);
}

static int new_store(X509_STORE **out, const char *ca_file, struct err *err)
{
	X509_STORE *store = X509_STORE_new();
	struct err system_err;

	if (!store)
		return err_set(err, -ENOMEM, "OpenSSL has no memory for certificates");
	/* Without the system's certificates only a ca_file can be trusted: no reason to
	 * fail, a reason to say so. */
	if (load(store, system_file(), &system_err) != 0)
		log_warn("tls", "%s", system_err.text);
	if (ca_file && load(store, ca_file, err) != 0) {
		X509_STORE_free(store);
		return -EINVAL;
	}
	/* The flags that libcurl sets on a store of its own. */
	X509_STORE_set_flags(store,
		X509_V_FLAG_TRUSTED_FIRST | X509_V_FLAG_PARTIAL_CHAIN);
	*out = store;
	return 0;
}

static int make(struct trust **out, const char *key, const char *ca_file, struct err *err)
{
	X509_STORE *store = NULL;
	struct trust *trust;
	int rc = new_store(&store, ca_file, err);

	if (rc != 0)
		return rc;
	trust = xcalloc(1, sizeof(*trust));
	trust->key = xstrdup(key);
	trust->store = store;
	trust->next = trusts;
	trusts = trust;
	*out = trust;
	return 0;
}

int trust_find(struct trust **out, const char *ca_file, struct err *err)
{
	struct arena scratch = { 0 };
	const char *key = "";
	struct trust *trust;
	struct stat state;
	int rc = 0;

	if (ca_file) {
		if (stat(ca_file, &state) != 0)
			return err_set(err, -errno, "%s: %s", ca_file, strerror(errno));
		key = arena_printf(&scratch, "%s\n%lld.%ld %lld", ca_file,
			(long long)state.st_mtim.tv_sec, state.st_mtim.tv_nsec,
			(long long)state.st_size);
	}
	pthread_mutex_lock(&lock);
	for (trust = trusts; trust && strcmp(trust->key, key) != 0; trust = trust->next)
		;
	if (!trust)
		rc = make(&trust, key, ca_file, err);
	pthread_mutex_unlock(&lock);
	arena_clear(&scratch);
	if (rc == 0)
		*out = trust;
	return rc;
}

struct x509_store_st *trust_store(const struct trust *trust)
{
	return trust->store;
}
