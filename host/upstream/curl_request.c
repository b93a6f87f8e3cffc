/* What a transfer sends: curl's options, the header list and the body's pieces. */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "upstream/curl_pool.h"
#include "upstream/curl_transfer.h"

#define READ_BUFFER_SMALL 4096L   /* bytes; of a stream, whose events are short */
#define READ_BUFFER_LARGE 16384L  /* bytes; libcurl's own size */
#define GATHER_MAX (256 * 1024)   /* bodies up to this are copied into one run */
#define UPLOAD_BUFFER_SMALL 16384 /* the least curl takes; held while TLS streams */
#define UPLOAD_BUFFER_LARGE (128 * 1024)
#define SMALL_BODY (64 * 1024) /* curl sends bodies up to this together with the head */
#define KEEPALIVE_IDLE_SECONDS 30L
#define KEEPALIVE_STEP_SECONDS 15L

/* Copies up to size bytes of the body at body->at. Returns how many, or -1. */
static ssize_t read_pieces(struct transfer_body *body, char *room, size_t size)
{
	while (body->piece < body->piece_count) {
		const struct piece *piece = &body->pieces[body->piece];
		uint64_t offset = body->at - body->piece_at;
		uint64_t left = piece->size - offset;
		ssize_t got;

		if (!left) {
			body->piece_at += piece->size;
			body->piece++;
			continue;
		}
		if (left > size)
			left = size;
		if (piece->data) {
			memcpy(room, piece->data + offset, left);
			got = (ssize_t)left;
		} else {
			got = piece->source->ops->read(piece->source,
				piece->offset + offset, room, left);
		}
		if (got <= 0)
			return -1; /* an end before the piece's is a failure, too */
		body->at += (uint64_t)got;
		return got;
	}
	return 0;
}

static void rewind_pieces(struct transfer_body *body, uint64_t at)
{
	body->at = at;
	body->piece = 0;
	body->piece_at = 0;
	while (body->piece < body->piece_count &&
		at - body->piece_at >= body->pieces[body->piece].size)
		body->piece_at += body->pieces[body->piece++].size;
}

static size_t on_read(char *room, size_t size, size_t count, void *arg)
{
	struct transfer *transfer = arg;
	ssize_t got;

	if (transfer->is_closed)
		return CURL_READFUNC_ABORT;
	got = read_pieces(&transfer->body, room, size * count);
	if (got >= 0)
		return (size_t)got;
	transfer_fail(transfer, TRANSFER_PROTOCOL,
		"the request's body could not be read");
	return CURL_READFUNC_ABORT;
}

/* Curl starts over when an idle connection turns out to be dead. */
static int on_seek(void *arg, curl_off_t offset, int origin)
{
	struct transfer *transfer = arg;

	if (origin != SEEK_SET || offset < 0 || (uint64_t)offset > transfer->body.size)
		return CURL_SEEKFUNC_FAIL;
	rewind_pieces(&transfer->body, (uint64_t)offset);
	return CURL_SEEKFUNC_OK;
}

/* The last look before the request leaves: a connection that is used again was opened
 * for another request, which may have been allowed more. */
static int on_ready(void *arg, char *peer, char *local, int peer_port, int local_port)
{
	struct transfer *transfer = arg;

	(void)local;
	(void)peer_port;
	(void)local_port;
	snprintf(transfer->peer, sizeof(transfer->peer), "%s", peer);
	if (!transfer_may_connect(transfer, address_kind_of_text(peer)))
		return CURL_PREREQFUNC_ABORT;
	transfer->is_connected = true;
	return CURL_PREREQFUNC_OK;
}

static bool gather(struct transfer *transfer)
{
	struct transfer_body *body = &transfer->body;
	uint64_t filled = 0;

	body->gathered = xmalloc(body->size);
	while (filled < body->size) {
		ssize_t got = read_pieces(body, body->gathered + filled,
			body->size - filled);

		if (got <= 0) {
			transfer_fail(transfer, TRANSFER_PROTOCOL,
				"the request's body could not be read");
			return false;
		}
		filled += (uint64_t)got;
	}
	return true;
}

static void set_body(struct transfer *transfer, const struct transfer_request *request)
{
	struct transfer_body *body = &transfer->body;
	CURL *easy = transfer->easy;
	const char *run = "";
	long buffer_size;

	body->pieces = request->pieces;
	body->piece_count = request->piece_count;
	for (size_t i = 0; i < body->piece_count; i++)
		body->size += body->pieces[i].size;
	curl_easy_setopt(easy, CURLOPT_POST, 1L);
	curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)body->size);
	buffer_size = body->size > SMALL_BODY ? UPLOAD_BUFFER_LARGE : UPLOAD_BUFFER_SMALL;
	curl_easy_setopt(easy, CURLOPT_UPLOAD_BUFFERSIZE, buffer_size);
	/* Curl never gets a pointer into the pieces: a close may have to wait until curl
	 * is off the stack, and the pieces are gone by then. */
	if (body->size > GATHER_MAX) {
		curl_easy_setopt(easy, CURLOPT_READFUNCTION, on_read);
		curl_easy_setopt(easy, CURLOPT_READDATA, transfer);
		curl_easy_setopt(easy, CURLOPT_SEEKFUNCTION, on_seek);
		curl_easy_setopt(easy, CURLOPT_SEEKDATA, transfer);
		return;
	} else if (body->size) {
		if (!gather(transfer))
			return;
		run = body->gathered;
	}
	curl_easy_setopt(easy, CURLOPT_POSTFIELDS, run);
}

static void set_method(struct transfer *transfer, const struct transfer_request *request)
{
	const char *method = request->method;
	bool has_body = request->piece_count || strcmp(method, "POST") == 0 ||
		strcmp(method, "PUT") == 0 || strcmp(method, "PATCH") == 0;

	curl_easy_setopt(transfer->easy, CURLOPT_BUFFERSIZE,
		request->is_streamed ? READ_BUFFER_SMALL : READ_BUFFER_LARGE);
	if (has_body)
		set_body(transfer, request);
	else if (strcmp(method, "HEAD") == 0)
		curl_easy_setopt(transfer->easy, CURLOPT_NOBODY, 1L);
	else
		curl_easy_setopt(transfer->easy, CURLOPT_HTTPGET, 1L);
	if (!has_body)
		curl_easy_setopt(transfer->easy, CURLOPT_UPLOAD_BUFFERSIZE,
			(long)UPLOAD_BUFFER_SMALL);
	if (strcmp(method, has_body ? "POST" : "GET") != 0)
		curl_easy_setopt(transfer->easy, CURLOPT_CUSTOMREQUEST, method);
}

static bool has_name(const char *header, const char *name)
{
	size_t size = strlen(name);

	return strncasecmp(header, name, size) == 0 && header[size] == ':';
}

/* Fields that say how the message is framed belong to the transfer. */
static bool is_framing(const char *header)
{
	return has_name(header, "content-length") ||
		has_name(header, "transfer-encoding") || has_name(header, "connection") ||
		has_name(header, "expect");
}

static bool is_without_value(const char *colon)
{
	return colon[1 + strspn(colon + 1, " \t")] == '\0';
}

static void add_header(struct transfer *transfer, const char *header)
{
	const char *colon = strchr(header, ':');
	char *bare;

	if (!colon || colon == header || strpbrk(header, "\r\n")) {
		transfer_fail(transfer, TRANSFER_PROTOCOL,
			"a header to be sent is malformed");
		return;
	}
	if (is_framing(header))
		return;
	if (!is_without_value(colon)) {
		transfer->headers = curl_slist_append(transfer->headers, header);
		return;
	}
	/* "Name:" would mean to curl: leave it out. "Name;" is a field without a
	 * value. */
	bare = xmemdup(header, (size_t)(colon - header) + 1);
	bare[colon - header] = ';';
	transfer->headers = curl_slist_append(transfer->headers, bare);
	free(bare);
}

static void set_headers(struct transfer *transfer, const struct transfer_request *request)
{
	bool has_type = false, has_accept = false;

	for (size_t i = 0; i < request->header_count; i++) {
		has_type |= has_name(request->headers[i], "content-type");
		has_accept |= has_name(request->headers[i], "accept");
		add_header(transfer, request->headers[i]);
	}
	/* What curl would add by itself. */
	transfer->headers = curl_slist_append(transfer->headers, "Expect:");
	if (!has_type)
		transfer->headers = curl_slist_append(transfer->headers, "Content-Type:");
	if (!has_accept)
		transfer->headers = curl_slist_append(transfer->headers, "Accept:");
	curl_easy_setopt(transfer->easy, CURLOPT_HTTPHEADER, transfer->headers);
}

/* Curl's messages quote a proxy that they do not understand, so it gets the address and
 * the credentials apart, and a scheme that is known to be good. */
static void set_proxy(struct transfer *transfer, const char *proxy)
{
	static const char *const schemes[] = { "http", "https", "socks5", "socks5h" };
	CURLU *url = curl_url();
	char *scheme = NULL, *user = NULL, *password = NULL, *bare = NULL;
	bool is_known = false;

	if (curl_url_set(url, CURLUPART_URL, proxy, CURLU_NON_SUPPORT_SCHEME) ==
			CURLUE_OK &&
		curl_url_get(url, CURLUPART_SCHEME, &scheme, 0) == CURLUE_OK)
		for (size_t i = 0; i < COUNT_OF(schemes); i++)
			is_known |= strcmp(scheme, schemes[i]) == 0;
	curl_url_get(url, CURLUPART_USER, &user, CURLU_URLDECODE);
	curl_url_get(url, CURLUPART_PASSWORD, &password, CURLU_URLDECODE);
	curl_url_set(url, CURLUPART_USER, NULL, 0);
	curl_url_set(url, CURLUPART_PASSWORD, NULL, 0);
	if (is_known && curl_url_get(url, CURLUPART_URL, &bare, 0) == CURLUE_OK) {
		curl_easy_setopt(transfer->easy, CURLOPT_PROXY, bare);
		if (user)
			curl_easy_setopt(transfer->easy, CURLOPT_PROXYUSERNAME, user);
		if (password)
			curl_easy_setopt(transfer->easy, CURLOPT_PROXYPASSWORD, password);
	} else {
		transfer_fail(transfer, TRANSFER_CONNECT,
			"the proxy's address is malformed");
	}
	curl_free(scheme);
	curl_free(user);
	curl_free(password);
	curl_free(bare);
	curl_url_cleanup(url);
}

static void set_trust(struct transfer *transfer, const char *ca_file)
{
	CURL *easy = transfer->easy;
	struct trust *trust;
	struct err err;

	/* Connections and TLS sessions are shared by what curl knows of the trust. The
	 * folder is never looked into, as its store is replaced, but its name keeps those
	 * that were verified with another ca_file apart. */
	curl_easy_setopt(easy, CURLOPT_CAINFO, NULL);
	curl_easy_setopt(easy, CURLOPT_CAPATH, ca_file);
	curl_easy_setopt(easy, CURLOPT_PROXY_CAINFO, NULL);
	curl_easy_setopt(easy, CURLOPT_PROXY_CAPATH, ca_file);
	if (trust_find(&trust, ca_file, &err) != 0) {
		transfer_fail(transfer, TRANSFER_TLS, "%s", err.text);
		return;
	}
	curl_easy_setopt(easy, CURLOPT_SSL_CTX_FUNCTION, trust_apply);
	curl_easy_setopt(easy, CURLOPT_SSL_CTX_DATA, trust);
}

static void set_connection(struct transfer *transfer)
{
	CURL *easy = transfer->easy;

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
	curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, transfer);
	curl_easy_setopt(easy, CURLOPT_CLOSESOCKETFUNCTION, socket_close);
	curl_easy_setopt(easy, CURLOPT_CLOSESOCKETDATA, transfer->pool);
	curl_easy_setopt(easy, CURLOPT_PREREQFUNCTION, on_ready);
	curl_easy_setopt(easy, CURLOPT_PREREQDATA, transfer);
}

static void set_exchange(struct transfer *transfer, const char *url)
{
	CURL *easy = transfer->easy;

	curl_easy_setopt(easy, CURLOPT_PRIVATE, transfer);
	curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, transfer->curl_error);
	curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(easy, CURLOPT_URL, url);
	curl_easy_setopt(easy, CURLOPT_PATH_AS_IS, 1L);
	curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
	curl_easy_setopt(easy, CURLOPT_HTTP09_ALLOWED, 0L);
	curl_easy_setopt(easy, CURLOPT_ACCEPT_ENCODING, "identity");
	curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, response_head_line);
	curl_easy_setopt(easy, CURLOPT_HEADERDATA, transfer);
	curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, response_data);
	curl_easy_setopt(easy, CURLOPT_WRITEDATA, transfer);
}

void request_prepare(struct transfer *transfer, const struct transfer_request *request)
{
	if (strncasecmp(request->url, "http://", 7) != 0 &&
		strncasecmp(request->url, "https://", 8) != 0) {
		transfer_fail(transfer, TRANSFER_PROTOCOL,
			"the URL is neither http nor https");
		return;
	}
	set_connection(transfer);
	set_exchange(transfer, request->url);
	set_trust(transfer, request->ca_file);
	if (request->proxy)
		set_proxy(transfer, request->proxy);
	set_method(transfer, request);
	set_headers(transfer, request);
}

bool request_is_free_of_pieces(const struct transfer *transfer)
{
	curl_off_t sent = 0;

	if (!transfer->body.size || transfer->body.gathered)
		return true;
	curl_easy_getinfo(transfer->easy, CURLINFO_SIZE_UPLOAD_T, &sent);
	return (uint64_t)sent >= transfer->body.size;
}

void request_clear(struct transfer *transfer)
{
	curl_slist_free_all(transfer->headers);
	transfer->headers = NULL;
	free(transfer->body.gathered);
	transfer->body = (struct transfer_body) { 0 };
}
