/* What comes back to a transfer: the head's fields, and the body under its limits. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "upstream/curl_handle.h"
#include "upstream/curl_pool.h"
#include "upstream/curl_tls.h"
#include "upstream/curl_transfer.h"

#define HEAD_MAX (64 * 1024) /* bytes of all heads and trailers of one answer */
#define FIELDS_MAX 256
#define INFORMAL_MAX 16   /* heads with 1xx */
#define RATIO_MAX 100     /* decoded bytes for each byte that came */
#define RATIO_SLACK 16384 /* bytes that curl may have read and not counted yet */

static bool fail(struct transfer *transfer, const char *text)
{
	transfer_fail(transfer, TRANSFER_PROTOCOL, "%s", text);
	return false;
}

/* "HTTP/1.1 200 OK": a new head begins, and forgets an informal one before it. */
static bool take_status(struct transfer *transfer, const char *line, size_t size)
{
	struct transfer_head *head = &transfer->head;
	const char *space = memchr(line, ' ', size);

	if (!space || line + size - space < 4)
		return fail(transfer, "the answer's status line is malformed");
	head->status = (space[1] - '0') * 100 + (space[2] - '0') * 10 + (space[3] - '0');
	head->field_count = 0;
	head->length = -1;
	head->is_chunked = false;
	head->is_encoded = false;
	buf_reset(&head->fields);
	if (head->status >= 100 && head->status < 200)
		return true;
	if (head->status < 200 || head->status > 999)
		return fail(transfer, "the answer's status is out of range");
	transfer->clock.first_byte = 0;
	return true;
}

static bool take_length(struct transfer *transfer, const char *value)
{
	struct transfer_head *head = &transfer->head;
	char *end;
	long long length;

	errno = 0;
	length = strtoll(value, &end, 10);
	if (*value < '0' || *value > '9' || *end || errno)
		return fail(transfer, "the answer's Content-Length is malformed");
	if (head->length >= 0 && head->length != length)
		return fail(transfer, "the answer has two lengths");
	head->length = length;
	return true;
}

/* The fields that say where the body ends, and how it is to be read. */
static bool take_framing(struct transfer *transfer, const char *name, const char *value)
{
	struct transfer_head *head = &transfer->head;

	if (strcasecmp(name, "content-length") == 0) {
		if (!take_length(transfer, value))
			return false;
	} else if (strcasecmp(name, "transfer-encoding") == 0) {
		if (strcasecmp(value, "chunked") != 0 || head->is_chunked)
			return fail(transfer,
				"the answer's Transfer-Encoding is not chunked");
		head->is_chunked = true;
	} else if (strcasecmp(name, "content-encoding") == 0) {
		head->is_encoded |= *value && strcasecmp(value, "identity") != 0;
	}
	if (head->is_chunked && head->length >= 0)
		return fail(transfer,
			"the answer has Content-Length and Transfer-Encoding");
	return true;
}

static bool take_field(struct transfer *transfer, const char *line, size_t size)
{
	struct transfer_head *head = &transfer->head;
	const char *colon = memchr(line, ':', size);
	const char *value, *end = line + size;
	size_t name_at, value_at;

	if (++head->field_count > FIELDS_MAX)
		return fail(transfer, "the answer's head has too many fields");
	if (!colon || colon == line || *line == ' ' || *line == '\t' ||
		memchr(line, '\0', size))
		return fail(transfer, "a field of the answer's head is malformed");
	for (value = colon + 1; value < end && (*value == ' ' || *value == '\t'); value++)
		;
	while (end > value && (end[-1] == ' ' || end[-1] == '\t'))
		end--;
	name_at = buf_size(&head->fields);
	buf_append(&head->fields, line, (size_t)(colon - line));
	buf_append(&head->fields, "", 1);
	value_at = buf_size(&head->fields);
	buf_append(&head->fields, value, (size_t)(end - value));
	buf_append(&head->fields, "", 1);
	return take_framing(transfer, buf_data(&head->fields) + name_at,
		buf_data(&head->fields) + value_at);
}

/* The blank line behind a head. */
static bool finish_head(struct transfer *transfer)
{
	struct transfer_head *head = &transfer->head;

	if (head->status == 101)
		return fail(transfer, "the provider switched protocols");
	if (head->status < 200) {
		if (++head->informal_count > INFORMAL_MAX)
			return fail(transfer,
				"the provider sends informational answers without end");
		return true;
	}
	if (head->status < 400 && head->status >= 300)
		return fail(transfer, "the provider redirects, which is not followed");
	head->is_complete = true;
	if (transfer->is_streamed) {
		request_drop_sent(transfer);
		buf_trim(&head->fields);
	}
	transfer->clock.read = clock_ms();
	transfer_arm(transfer);
	if (!transfer->is_closed && transfer->handler->on_head)
		transfer->handler->on_head(transfer, transfer->arg);
	return !transfer->is_closed;
}

size_t response_head_line(char *line, size_t size, size_t count, void *arg)
{
	struct transfer *transfer = arg;
	struct transfer_head *head = &transfer->head;
	size_t left = size * count;
	bool is_good;

	head->size += left;
	if (head->size > HEAD_MAX) {
		fail(transfer, "the answer's head is too large");
		return 0;
	}
	if (head->is_complete)
		return left; /* trailers */
	while (left && (line[left - 1] == '\n' || line[left - 1] == '\r'))
		left--;
	if (!left)
		is_good = finish_head(transfer);
	else if (left > 5 && memcmp(line, "HTTP/", 5) == 0)
		is_good = take_status(transfer, line, left);
	else
		is_good = take_field(transfer, line, left);
	return is_good && !transfer->is_closed ? size * count : 0;
}

static bool is_within_limits(struct transfer *transfer, size_t size)
{
	curl_off_t came = 0;

	transfer->decoded += size;
	if (transfer->decoded > transfer->decoded_max)
		return fail(transfer, "the answer is too large once it is decoded");
	curl_easy_getinfo(transfer->handle->easy, CURLINFO_SIZE_DOWNLOAD_T, &came);
	if (transfer->decoded / RATIO_MAX > (uint64_t)came + RATIO_SLACK)
		return fail(transfer, "the answer expands too much when it is decoded");
	return true;
}

size_t response_data(char *data, size_t size, size_t count, void *arg)
{
	struct transfer *transfer = arg;

	size *= count;
	if (transfer->is_closed)
		return size + 1;
	if (transfer->is_paused) {
		transfer->is_stalled = true;
		return CURL_WRITEFUNC_PAUSE;
	}
	if (transfer->head.is_encoded && !is_within_limits(transfer, size))
		return size + 1;
	/* OpenSSL takes a buffer of 16 KiB to read the server's tickets, for an answer that it
	 * has none to give to, and frees it with the next write: a stream writes no more. */
	if (transfer->is_streamed && !transfer->is_lean)
		transfer->is_lean = tls_free_buffers(transfer->handle->easy);
	transfer->clock.read = clock_ms();
	if (transfer->handler->on_data)
		transfer->handler->on_data(transfer, data, size, transfer->arg);
	return transfer->is_closed ? size + 1 : size;
}
