/* What is sent: a head of our own writing, and the pieces of the body from where they lie. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/number.h"
#include "upstream/direct_transfer.h"
#include "upstream/url.h"

#define HEAD_ROOM 1024 /* bytes; most heads are smaller */
#define PARTS_MAX 16
#define TURN_MAX (1024 * 1024) /* bytes that are sent before others have their turn */

/* -- the head ---------------------------------------------------------------------- */

enum field {
	FIELD_ANY,
	FIELD_FRAMING, /* says how the message is framed: belongs to the transfer */
	FIELD_HOST,
	FIELD_CODINGS,
};

static bool is_name(const char *name, size_t size, const char *wanted)
{
	return size == strlen(wanted) && strncasecmp(name, wanted, size) == 0;
}

static enum field field_of(const char *name, size_t size)
{
	switch (*name | 0x20) {
	case 'a':
		return is_name(name, size, "accept-encoding") ? FIELD_CODINGS : FIELD_ANY;
	case 'c':
		return is_name(name, size, "content-length") ||
				is_name(name, size, "connection")
			? FIELD_FRAMING
			: FIELD_ANY;
	case 'e':
		return is_name(name, size, "expect") ? FIELD_FRAMING : FIELD_ANY;
	case 'h':
		return is_name(name, size, "host") ? FIELD_HOST : FIELD_ANY;
	case 't':
		return is_name(name, size, "transfer-encoding") ? FIELD_FRAMING
								: FIELD_ANY;
	default:
		return FIELD_ANY;
	}
}

static void add(struct buf *head, const char *text)
{
	buf_append(head, text, strlen(text));
}

static void write_line(struct buf *head, const struct url *url, const char *method)
{
	add(head, method);
	buf_append(head, " /", *url->target == '/' ? 1 : 2);
	buf_append(head, url->target, url->target_size);
	add(head, " HTTP/1.1\r\n");
}

static void write_host(struct buf *head, const struct url *url)
{
	size_t brackets = url->has_brackets ? 1 : 0;

	add(head, "Host: ");
	if (url->has_default_port)
		buf_append(head, url->host - brackets, url->host_size + 2 * brackets);
	else
		buf_append(head, url->authority, url->authority_size);
	add(head, "\r\n");
}

/* Returns 0, or -EINVAL for a field that is malformed. */
static int write_fields(struct buf *head, const struct transfer_request *request,
	bool has_field[])
{
	for (size_t i = 0; i < request->header_count; i++) {
		const char *header = request->headers[i];
		size_t size = strlen(header);
		const char *colon = memchr(header, ':', size);
		enum field field;

		if (!colon || colon == header || memchr(header, '\r', size) ||
			memchr(header, '\n', size))
			return -EINVAL;
		field = field_of(header, (size_t)(colon - header));
		has_field[field] = true;
		if (field == FIELD_FRAMING)
			continue;
		buf_append(head, header, size);
		buf_append(head, "\r\n", 2);
	}
	return 0;
}

static void write_length(struct buf *head, uint64_t length)
{
	char digits[NUMBER_ROOM];

	add(head, "Content-Length: ");
	buf_append(head, digits, number_write(digits, length, 10));
	add(head, "\r\n");
}

static bool wants_length(const struct transfer_request *request)
{
	const char *method = request->method;

	return request->piece_count || strcmp(method, "POST") == 0 ||
		strcmp(method, "PUT") == 0 || strcmp(method, "PATCH") == 0;
}

void direct_write_head(struct direct_transfer *own, const struct url *url,
	const struct transfer_request *request)
{
	struct buf *head = &own->head;
	bool has_field[FIELD_CODINGS + 1] = { false };

	own->has_no_body = strcmp(request->method, "HEAD") == 0;
	buf_reserve(head, HEAD_ROOM);
	write_line(head, url, request->method);
	if (write_fields(head, request, has_field) != 0) {
		transfer_fail(&own->transfer, TRANSFER_PROTOCOL,
			"a header to be sent is malformed");
		return;
	}
	if (!has_field[FIELD_HOST])
		write_host(head, url);
	if (!has_field[FIELD_CODINGS])
		add(head, "Accept-Encoding: identity\r\n");
	if (wants_length(request))
		write_length(head, own->transfer.body.size);
	add(head, "\r\n");
}

/* -- the way out ------------------------------------------------------------------- */

struct parts {
	struct iovec at[PARTS_MAX];
	size_t count;
	size_t size;
};

static void add_part(struct parts *parts, const char *data, size_t size)
{
	if (!size)
		return;
	parts->at[parts->count++] = (struct iovec) { .iov_base = (void *)(uintptr_t)data,
		.iov_len = size };
	parts->size += size;
}

/* What of a piece has to be read first ends the parts: there is one room for it. Returns
 * false if that failed. */
static bool add_source(struct direct_transfer *own, struct parts *parts,
	const struct piece *piece, uint64_t offset)
{
	char *room = own->origin->channels->send_room;
	uint64_t left = piece->size - offset;
	ssize_t got = piece->source->ops->read(piece->source, piece->offset + offset,
		room, left < CHANNEL_ROOM ? left : CHANNEL_ROOM);

	if (got <= 0) {
		transfer_fail(&own->transfer, TRANSFER_PROTOCOL,
			"the request's body could not be read");
		return false;
	}
	add_part(parts, room, (size_t)got);
	return true;
}

/* What is left of head and body, as far as it has room. */
static bool collect(struct direct_transfer *own, struct parts *parts)
{
	const struct transfer_body *body = &own->transfer.body;
	uint64_t offset = body->at - body->piece_at;

	*parts = (struct parts) { .count = 0 };
	add_part(parts, buf_data(&own->head) + own->head_at,
		buf_size(&own->head) - own->head_at);
	for (size_t i = body->piece; i < body->piece_count; i++, offset = 0) {
		const struct piece *piece = &body->pieces[i];

		if (parts->count == PARTS_MAX)
			return true;
		if (offset == piece->size)
			continue;
		if (!piece->data)
			return add_source(own, parts, piece, offset);
		add_part(parts, piece->data + offset, (size_t)(piece->size - offset));
	}
	return true;
}

static void advance(struct direct_transfer *own, size_t sent)
{
	struct transfer_body *body = &own->transfer.body;
	size_t of_head = buf_size(&own->head) - own->head_at;

	if (of_head > sent)
		of_head = sent;
	own->head_at += of_head;
	body_skip(body, sent - of_head);
	own->is_sent = own->head_at == buf_size(&own->head) && body->at == body->size;
}

/* One write. False: no more can be sent now. */
static bool send_some(struct direct_transfer *own, size_t *total)
{
	struct parts parts;
	ssize_t sent;

	if (!collect(own, &parts)) {
		own->is_given_up = true;
		transfer_push_pending(&own->transfer);
		return false;
	}
	sent = channel_write(own->channel, parts.at, parts.count);
	if (sent == -EAGAIN)
		return false;
	if (sent < 0) {
		/* An answer may be there all the same; if none is, reading will tell. */
		own->is_given_up = true;
		return false;
	}
	advance(own, (size_t)sent);
	*total += (size_t)sent;
	return (size_t)sent == parts.size;
}

void direct_send(struct direct_transfer *own)
{
	size_t total = 0;

	while (!own->is_sent && !own->is_given_up && total < TURN_MAX &&
		send_some(own, &total))
		;
	channel_set_writing(own->channel, !own->is_sent && !own->is_given_up);
}

void direct_rewind(struct direct_transfer *own)
{
	own->head_at = 0;
	own->is_sent = false;
	own->is_given_up = false;
	body_seek(&own->transfer.body, 0);
}
