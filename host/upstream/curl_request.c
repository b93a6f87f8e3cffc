/* What a transfer sends: curl's options, the header list and the body's pieces. */
#include <arpa/inet.h>
#include <stdio.h>
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

/* Copies from the piece that body->at is in. Returns how much, or a negative errno. */
static ssize_t read_piece(struct transfer_body *body, char *room, size_t size)
{
	while (body->piece < body->piece_count) {
		const struct piece *piece = &body->pieces[body->piece];
		uint64_t offset = body->at - body->piece_at;
		uint64_t left = piece->size - offset;

		if (!left) {
			body->piece_at += piece->size;
			body->piece++;
			continue;
		}
		if (left > size)
			left = size;
		if (!piece->data)
			return piece->source->ops->read(piece->source,
				piece->offset + offset, room, left);
		memcpy(room, piece->data + offset, left);
		return (ssize_t)left;
	}
	return 0;
}

/* Copies up to size bytes of the body at body->at. Returns how many, or -1. */
static ssize_t read_pieces(struct transfer_body *body, char *room, size_t size)
{
	size_t filled = 0;

	if (size > body->size - body->at)
		size = body->size - body->at;
	while (filled < size) {
		ssize_t got = read_piece(body, room + filled, size - filled);

		if (got <= 0)
			return -1; /* an end before the piece's is a failure, too */
		body->at += (uint64_t)got;
		filled += (size_t)got;
	}
	return (ssize_t)filled;
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

static void fail_read(struct transfer *transfer)
{
	transfer_fail(transfer, TRANSFER_PROTOCOL,
		"the request's body could not be read");
}

size_t request_read(char *room, size_t size, size_t count, void *arg)
{
	struct transfer *transfer = arg;
	ssize_t got;

	if (transfer->is_closed)
		return CURL_READFUNC_ABORT;
	got = read_pieces(&transfer->body, room, size * count);
	if (got >= 0)
		return (size_t)got;
	fail_read(transfer);
	return CURL_READFUNC_ABORT;
}

/* Curl starts over when an idle connection turns out to be dead. */
int request_seek(void *arg, curl_off_t offset, int origin)
{
	struct transfer *transfer = arg;

	if (origin != SEEK_SET || offset < 0 || (uint64_t)offset > transfer->body.size)
		return CURL_SEEKFUNC_FAIL;
	rewind_pieces(&transfer->body, (uint64_t)offset);
	return CURL_SEEKFUNC_OK;
}

/* The last look before the request leaves: a connection that is used again was opened
 * for another request, which may have been allowed more. */
int request_ready(void *arg, char *peer, char *local, int peer_port, int local_port)
{
	struct transfer *transfer = arg;

	(void)local;
	(void)peer_port;
	(void)local_port;
	snprintf(transfer->peer, sizeof(transfer->peer), "%s", peer);
	if (!transfer_may_connect(transfer, address_kind_of_text(peer)))
		return CURL_PREREQFUNC_ABORT;
	transfer->handle->is_worn = transfer->is_connected;
	transfer->is_connected = true;
	return CURL_PREREQFUNC_OK;
}

static bool gather(struct transfer *transfer)
{
	struct transfer_body *body = &transfer->body;

	body->gathered = xmalloc(body->size);
	if (read_pieces(body, body->gathered, body->size) == (ssize_t)body->size)
		return true;
	fail_read(transfer);
	return false;
}

static void set_body(struct transfer *transfer, const struct transfer_request *request)
{
	struct transfer_body *body = &transfer->body;
	CURL *easy = transfer->handle->easy;
	const char *run = "";
	long buffer_size;

	body->pieces = request->pieces;
	body->piece_count = request->piece_count;
	for (size_t i = 0; i < body->piece_count; i++)
		body->size += body->pieces[i].size;
	buffer_size = body->size > GATHER_MAX ? UPLOAD_BUFFER_LARGE : UPLOAD_BUFFER_SMALL;
	curl_easy_setopt(easy, CURLOPT_UPLOAD_BUFFERSIZE, buffer_size);
	curl_easy_setopt(easy, CURLOPT_POST, 1L);
	curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)body->size);
	/* Curl never gets a pointer into the pieces: a close may have to wait until curl
	 * is off the stack, and the pieces are gone by then. */
	if (body->size > GATHER_MAX)
		run = NULL; /* request_read() is asked */
	else if (body->size && gather(transfer))
		run = body->gathered;
	curl_easy_setopt(easy, CURLOPT_POSTFIELDS, run);
}

static void set_method(struct transfer *transfer, const struct transfer_request *request)
{
	CURL *easy = transfer->handle->easy;
	const char *method = request->method;
	bool has_body = request->piece_count || strcmp(method, "POST") == 0 ||
		strcmp(method, "PUT") == 0 || strcmp(method, "PATCH") == 0;
	bool is_usual;

	curl_easy_setopt(easy, CURLOPT_BUFFERSIZE,
		request->is_streamed ? READ_BUFFER_SMALL : READ_BUFFER_LARGE);
	if (has_body)
		set_body(transfer, request);
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

static void set_headers(struct transfer *transfer, const struct transfer_request *request)
{
	struct handle *handle = transfer->handle;

	if (headers_are_for(&handle->headers, request))
		return;
	if (headers_make(&handle->headers, request) != 0)
		transfer_fail(transfer, TRANSFER_PROTOCOL,
			"a header to be sent is malformed");
	curl_easy_setopt(handle->easy, CURLOPT_HTTPHEADER, handle->headers.list);
}

static void set_owner(struct transfer *transfer)
{
	CURL *easy = transfer->handle->easy;

	curl_easy_setopt(easy, CURLOPT_PRIVATE, transfer);
	curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, transfer->curl_error);
	curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, transfer);
	curl_easy_setopt(easy, CURLOPT_PREREQDATA, transfer);
	curl_easy_setopt(easy, CURLOPT_READDATA, transfer);
	curl_easy_setopt(easy, CURLOPT_SEEKDATA, transfer);
	curl_easy_setopt(easy, CURLOPT_HEADERDATA, transfer);
	curl_easy_setopt(easy, CURLOPT_WRITEDATA, transfer);
}

void request_prepare(struct transfer *transfer, const struct transfer_request *request)
{
	enum transfer_result failure;
	struct err err;

	failure = handle_aim(transfer->handle, &err);
	if (failure) {
		transfer_fail(transfer, failure, "%s", err.text);
		return;
	}
	set_owner(transfer);
	set_method(transfer, request);
	set_headers(transfer, request);
}

bool request_is_free_of_pieces(const struct transfer *transfer)
{
	curl_off_t sent = 0;

	if (!transfer->body.size || transfer->body.gathered)
		return true;
	curl_easy_getinfo(transfer->handle->easy, CURLINFO_SIZE_UPLOAD_T, &sent);
	return (uint64_t)sent >= transfer->body.size;
}

void request_drop_sent(struct transfer *transfer)
{
	CURL *easy = transfer->handle->easy;
	curl_off_t sent = 0;

	curl_easy_getinfo(easy, CURLINFO_SIZE_UPLOAD_T, &sent);
	if ((uint64_t)sent < transfer->body.size)
		return;
	request_clear(transfer);
	headers_clear(&transfer->handle->headers);
	curl_easy_setopt(easy, CURLOPT_HTTPHEADER, NULL);
	/* Curl frees the buffer that it has sent from when its size is set. */
	curl_easy_setopt(easy, CURLOPT_UPLOAD_BUFFERSIZE, (long)UPLOAD_BUFFER_SMALL);
}

void request_clear(struct transfer *transfer)
{
	free(transfer->body.gathered);
	transfer->body = (struct transfer_body) { 0 };
}
