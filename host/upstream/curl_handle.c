#include "upstream/curl_handle.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/buf.h"
#include "upstream/curl_pool.h"
#include "upstream/curl_tls.h"
#include "upstream/curl_transfer.h"
#include "upstream/trust.h"

#define KEEPALIVE_IDLE_SECONDS 30L
#define KEEPALIVE_STEP_SECONDS 15L

/* -- the place -------------------------------------------------------------------- */

static struct origin *find_origin(struct curl_pool *pool,
	const struct transfer_request *request)
{
	const char *host = strstr(request->url, "://");
	size_t size = host ? 3 + strcspn(host + 3, "/?#") + (size_t)(host - request->url)
			   : 0;
	struct buf key = { 0 };
	struct origin *origin;

	buf_append(&key, request->url, size);
	buf_append(&key, "\n", 1);
	buf_append_text(&key, request->proxy ? request->proxy : "");
	buf_append(&key, "\n", 1);
	buf_append_text(&key, request->ca_file ? request->ca_file : "");
	origin = origin_of(pool, buf_data(&key), buf_size(&key));
	buf_clear(&key);
	return origin;
}

static bool is_same(const char *one, const char *other)
{
	return one == other || (one && other && strcmp(one, other) == 0);
}

static bool is_for(const struct handle *handle, const struct transfer_request *request)
{
	return is_same(handle->url, request->url) &&
		is_same(handle->proxy, request->proxy) &&
		is_same(handle->ca_file, request->ca_file);
}

static enum transfer_result set_address(struct handle *handle, struct err *err)
{
	CURLUcode code;

	if (strncasecmp(handle->url, "http://", 7) != 0 &&
		strncasecmp(handle->url, "https://", 8) != 0) {
		(void)err_set(err, 0, "the URL is neither http nor https");
		return TRANSFER_PROTOCOL;
	}
	handle->address = curl_url();
	assert(handle->address);
	code = curl_url_set(handle->address, CURLUPART_URL, handle->url,
		CURLU_PATH_AS_IS);
	if (code != CURLUE_OK) {
		(void)err_set(err, 0, "the URL is malformed: %s",
			curl_url_strerror(code));
		return TRANSFER_PROTOCOL;
	}
	curl_easy_setopt(handle->easy, CURLOPT_CURLU, handle->address);
	return TRANSFER_OK;
}

/* Curl's messages quote a proxy that they do not understand, so it gets the address and
 * the credentials apart, and a scheme that is known to be good. */
static enum transfer_result set_proxy(struct handle *handle, struct err *err)
{
	static const char *const schemes[] = { "http", "https", "socks5", "socks5h" };
	CURL *easy = handle->easy;
	CURLU *url = curl_url();
	char *scheme = NULL, *user = NULL, *password = NULL, *bare = NULL;
	bool is_known = false;

	if (curl_url_set(url, CURLUPART_URL, handle->proxy, CURLU_NON_SUPPORT_SCHEME) ==
			CURLUE_OK &&
		curl_url_get(url, CURLUPART_SCHEME, &scheme, 0) == CURLUE_OK)
		for (size_t i = 0; i < COUNT_OF(schemes); i++)
			is_known |= strcmp(scheme, schemes[i]) == 0;
	curl_url_get(url, CURLUPART_USER, &user, CURLU_URLDECODE);
	curl_url_get(url, CURLUPART_PASSWORD, &password, CURLU_URLDECODE);
	curl_url_set(url, CURLUPART_USER, NULL, 0);
	curl_url_set(url, CURLUPART_PASSWORD, NULL, 0);
	is_known = is_known && curl_url_get(url, CURLUPART_URL, &bare, 0) == CURLUE_OK;
	if (is_known) {
		curl_easy_setopt(easy, CURLOPT_PROXY, bare);
		curl_easy_setopt(easy, CURLOPT_PROXYUSERNAME, user);
		curl_easy_setopt(easy, CURLOPT_PROXYPASSWORD, password);
	} else {
		(void)err_set(err, 0, "the proxy's address is malformed");
	}
	curl_free(scheme);
	curl_free(user);
	curl_free(password);
	curl_free(bare);
	curl_url_cleanup(url);
	return is_known ? TRANSFER_OK : TRANSFER_CONNECT;
}

/* Looked up each time: the file may have changed. */
static enum transfer_result set_trust(struct handle *handle, struct err *err)
{
	CURL *easy = handle->easy;
	struct trust *trust;

	if (trust_find(&trust, handle->ca_file, err) != 0)
		return TRANSFER_TLS;
	if (trust == handle->trust)
		return TRANSFER_OK;
	/* Connections and TLS sessions are shared by what curl knows of the trust. The
	 * folder is never looked into, as its store is replaced, but its name keeps those
	 * that were verified with another ca_file apart. */
	curl_easy_setopt(easy, CURLOPT_CAINFO, NULL);
	curl_easy_setopt(easy, CURLOPT_CAPATH, handle->ca_file);
	curl_easy_setopt(easy, CURLOPT_PROXY_CAINFO, NULL);
	curl_easy_setopt(easy, CURLOPT_PROXY_CAPATH, handle->ca_file);
	curl_easy_setopt(easy, CURLOPT_SSL_CTX_FUNCTION, tls_apply_trust);
	curl_easy_setopt(easy, CURLOPT_SSL_CTX_DATA, trust);
	handle->trust = trust;
	return TRANSFER_OK;
}

/* -- what is the same for every place --------------------------------------------- */

static void set_connection(CURL *easy, struct curl_pool *pool)
{
	curl_easy_setopt(easy, CURLOPT_SHARE, pool->share);
	curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
	/* Without it a close waits for the thread that asks a mute DNS server. */
	curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L);
	curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_1_1);
	curl_easy_setopt(easy, CURLOPT_PROXY, "");
	curl_easy_setopt(easy, CURLOPT_NOPROXY, "");
	curl_easy_setopt(easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
	curl_easy_setopt(easy, CURLOPT_TCP_NODELAY, 1L);
	curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
	curl_easy_setopt(easy, CURLOPT_TCP_KEEPIDLE, KEEPALIVE_IDLE_SECONDS);
	curl_easy_setopt(easy, CURLOPT_TCP_KEEPINTVL, KEEPALIVE_STEP_SECONDS);
	curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, socket_open);
	curl_easy_setopt(easy, CURLOPT_CLOSESOCKETFUNCTION, socket_close);
	curl_easy_setopt(easy, CURLOPT_CLOSESOCKETDATA, pool);
}

static void set_exchange(CURL *easy)
{
	curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(easy, CURLOPT_PATH_AS_IS, 1L);
	curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
	curl_easy_setopt(easy, CURLOPT_HTTP09_ALLOWED, 0L);
	curl_easy_setopt(easy, CURLOPT_ACCEPT_ENCODING, "identity");
	curl_easy_setopt(easy, CURLOPT_PREREQFUNCTION, request_ready);
	curl_easy_setopt(easy, CURLOPT_READFUNCTION, request_read);
	curl_easy_setopt(easy, CURLOPT_SEEKFUNCTION, request_seek);
	curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, response_head_line);
	curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, response_data);
}

/* -- life ------------------------------------------------------------------------- */

static char *copy(const char *text)
{
	return text ? xstrdup(text) : NULL;
}

static struct handle *new_handle(struct curl_pool *pool,
	const struct transfer_request *request)
{
	struct handle *handle = xcalloc(1, sizeof(*handle));

	list_init(&handle->link);
	handle->easy = curl_easy_init();
	assert(handle->easy); /* only memory can be lacking */
	handle->origin = find_origin(pool, request);
	handle->url = xstrdup(request->url);
	handle->proxy = copy(request->proxy);
	handle->ca_file = copy(request->ca_file);
	set_connection(handle->easy, pool);
	set_exchange(handle->easy);
	return handle;
}

static void free_handle(struct handle *handle)
{
	list_remove(&handle->link);
	curl_easy_cleanup(handle->easy);
	curl_url_cleanup(handle->address);
	headers_clear(&handle->headers);
	origin_unref(handle->origin);
	free(handle->url);
	free(handle->proxy);
	free(handle->ca_file);
	free(handle);
}

struct handle *handle_take(struct curl_pool *pool, const struct transfer_request *request)
{
	struct list *at = pool->handles.previous;

	for (; at != &pool->handles; at = at->previous) {
		struct handle *handle = CONTAINER_OF(at, struct handle, link);

		if (!is_for(handle, request))
			continue;
		list_remove(&handle->link);
		pool->handle_count--;
		return handle;
	}
	return new_handle(pool, request);
}

enum transfer_result handle_aim(struct handle *handle, struct err *err)
{
	enum transfer_result failure = TRANSFER_OK;

	if (!handle->is_aimed)
		failure = set_address(handle, err);
	if (!handle->is_aimed && !failure && handle->proxy)
		failure = set_proxy(handle, err);
	if (failure)
		return failure;
	handle->is_aimed = true;
	return set_trust(handle, err);
}

void handle_give(struct handle *handle)
{
	struct curl_pool *pool = handle->origin->pool;

	if (!handle->is_aimed || handle->is_worn) {
		free_handle(handle);
		return;
	}
	/* The transfer is freed sooner than the handle. */
	curl_easy_setopt(handle->easy, CURLOPT_ERRORBUFFER, NULL);
	curl_easy_setopt(handle->easy, CURLOPT_PRIVATE, NULL);
	list_append(&pool->handles, &handle->link);
	if (pool->handle_count == HANDLES_KEPT)
		free_handle(CONTAINER_OF(pool->handles.next, struct handle, link));
	else
		pool->handle_count++;
}

void handles_free(struct curl_pool *pool)
{
	while (!list_is_empty(&pool->handles))
		/* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): list_remove() unlinks it */
		free_handle(CONTAINER_OF(pool->handles.next, struct handle, link));
	pool->handle_count = 0;
}
