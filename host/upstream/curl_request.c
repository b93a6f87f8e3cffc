/* What a transfer sends: curl's options, the header list and the body's pieces. */
#include <stdlib.h>
#include <string.h>

#include "upstream/curl_handle.h"
#include "upstream/curl_pool.h"
#include "upstream/curl_transfer.h"

#define READ_BUFFER_SMALL 1024L   /* bytes; of a stream, whose events are short */
#define READ_BUFFER_LARGE 16384L  /* bytes; libcurl's own size */
#define UPLOAD_BUFFER_SMALL 16384 /* the least that curl takes */
#define UPLOAD_BUFFER_LARGE (128 * 1024)
/* Curl sends bodies up to this in one go with the head, from one run. Of a larger one it
 * copies parts into its upload buffer, and can have them there right from the pieces. */
#define GATHER_MAX (64 * 1024)

static void fail_read(struct transfer *transfer)
{
	transfer_fail(transfer, TRANSFER_PROTOCOL,
		"the request's body could not be read");
}

size_t request_read(char *room, size_t size, size_t count, void *arg)
{
	struct curl_transfer *own = arg;
	struct transfer *transfer = &own->transfer;
	ssize_t got;

	if (transfer->is_closed)
		return CURL_READFUNC_ABORT;
	got = body_read(&transfer->body, room, size * count);
	if (got >= 0)
		return (size_t)got;
	fail_read(transfer);
	return CURL_READFUNC_ABORT;
}

/* Curl starts over when an idle connection turns out to be dead. */
int request_seek(void *arg, curl_off_t offset, int origin)
{
	struct curl_transfer *own = arg;
	struct transfer *transfer = &own->transfer;

	if (origin != SEEK_SET || offset < 0 || (uint64_t)offset > transfer->body.size)
		return CURL_SEEKFUNC_FAIL;
	body_seek(&transfer->body, (uint64_t)offset);
	return CURL_SEEKFUNC_OK;
}

/* The last look before the request leaves: a connection that is used again was opened
 * for another request, which may have been allowed more. */
int request_ready(void *arg, char *peer, char *local, int peer_port, int local_port)
{
	struct curl_transfer *own = arg;
	struct transfer *transfer = &own->transfer;
	bool was_connected = transfer->is_connected;

	(void)local;
	(void)peer_port;
	(void)local_port;
	if (!transfer_may_connect(transfer, address_kind_of_text(peer)))
		return CURL_PREREQFUNC_ABORT;
	transfer_connected(transfer, peer);
	own->handle->is_worn = was_connected;
	return CURL_PREREQFUNC_OK;
}

static bool gather(struct curl_transfer *own)
{
	struct transfer_body *body = &own->transfer.body;

	own->gathered = xmalloc(body->size);
	if (body_read(body, own->gathered, body->size) == (ssize_t)body->size)
		return true;
	fail_read(&own->transfer);
	return false;
}

static void set_body(struct curl_transfer *own)
{
	const struct transfer_body *body = &own->transfer.body;
	CURL *easy = own->handle->easy;
	const char *run = "";
	long buffer_size;

	buffer_size = body->size > GATHER_MAX ? UPLOAD_BUFFER_LARGE : UPLOAD_BUFFER_SMALL;
	curl_easy_setopt(easy, CURLOPT_UPLOAD_BUFFERSIZE, buffer_size);
	curl_easy_setopt(easy, CURLOPT_POST, 1L);
	curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)body->size);
	/* Curl never gets a pointer into the pieces: a close may have to wait until curl
	 * is off the stack, and the pieces are gone by then. */
	if (body->size > GATHER_MAX)
		run = NULL; /* request_read() is asked */
	else if (body->size && gather(own))
		run = own->gathered;
	curl_easy_setopt(easy, CURLOPT_POSTFIELDS, run);
}

static void set_method(struct curl_transfer *own, const struct transfer_request *request)
{
	CURL *easy = own->handle->easy;
	const char *method = request->method;
	bool has_body = request->piece_count || strcmp(method, "POST") == 0 ||
		strcmp(method, "PUT") == 0 || strcmp(method, "PATCH") == 0;
	bool is_usual;

	curl_easy_setopt(easy, CURLOPT_BUFFERSIZE,
		request->is_streamed ? READ_BUFFER_SMALL : READ_BUFFER_LARGE);
	if (has_body)
		set_body(own);
	else if (strcmp(method, "HEAD") == 0)
		curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
	else
		curl_easy_setopt(easy, CURLOPT_HTTPGET, 1L);
	if (!has_body)
		curl_easy_setopt(easy, CURLOPT_UPLOAD_BUFFERSIZE,
			(long)UPLOAD_BUFFER_SMALL);
	is_usual = strcmp(method, has_body ? "POST" : "GET") == 0;
	curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, is_usual ? NULL : method);
}

static void set_headers(struct curl_transfer *own, const struct transfer_request *request)
{
	struct handle *handle = own->handle;

	if (headers_are_for(&handle->headers, request))
		return;
	if (headers_make(&handle->headers, request) != 0)
		transfer_fail(&own->transfer, TRANSFER_PROTOCOL,
			"a header to be sent is malformed");
	curl_easy_setopt(handle->easy, CURLOPT_HTTPHEADER, handle->headers.list);
}

static void set_owner(struct curl_transfer *own)
{
	CURL *easy = own->handle->easy;

	curl_easy_setopt(easy, CURLOPT_PRIVATE, own);
	curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, own->curl_error);
	curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, own);
	curl_easy_setopt(easy, CURLOPT_PREREQDATA, own);
	curl_easy_setopt(easy, CURLOPT_READDATA, own);
	curl_easy_setopt(easy, CURLOPT_SEEKDATA, own);
	curl_easy_setopt(easy, CURLOPT_HEADERDATA, own);
	curl_easy_setopt(easy, CURLOPT_WRITEDATA, own);
}

void request_prepare(struct curl_transfer *own, const struct transfer_request *request)
{
	enum transfer_result failure;
	struct err err;

	failure = handle_aim(own->handle, &err);
	if (failure) {
		transfer_fail(&own->transfer, failure, "%s", err.text);
		return;
	}
	set_owner(own);
	set_method(own, request);
	set_headers(own, request);
}

bool request_is_free_of_pieces(const struct transfer *transfer)
{
	struct curl_transfer *own = curl_transfer_of(transfer);
	curl_off_t sent = 0;

	if (!transfer->body.size || own->gathered)
		return true;
	curl_easy_getinfo(own->handle->easy, CURLINFO_SIZE_UPLOAD_T, &sent);
	return (uint64_t)sent >= transfer->body.size;
}

void request_drop_sent(struct transfer *transfer)
{
	struct curl_transfer *own = curl_transfer_of(transfer);
	CURL *easy = own->handle->easy;
	curl_off_t sent = 0;

	curl_easy_getinfo(easy, CURLINFO_SIZE_UPLOAD_T, &sent);
	if ((uint64_t)sent < transfer->body.size)
		return;
	free(own->gathered);
	own->gathered = NULL;
	transfer->body = (struct transfer_body) { 0 };
	headers_clear(&own->handle->headers);
	curl_easy_setopt(easy, CURLOPT_HTTPHEADER, NULL);
	/* Curl frees the buffer that it has sent from when its size is set. */
	curl_easy_setopt(easy, CURLOPT_UPLOAD_BUFFERSIZE, (long)UPLOAD_BUFFER_SMALL);
}
