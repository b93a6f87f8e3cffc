#include "upstream/outline.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

#include "base/number.h"

#define HEAD_ROOM 1024 /* bytes; most heads are smaller */

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

static void write_line(struct buf *head, const struct url *url, const char *method)
{
	buf_append_text(head, method);
	buf_append(head, " /", *url->target == '/' ? 1 : 2);
	buf_append(head, url->target, url->target_size);
	buf_append_text(head, " HTTP/1.1\r\n");
}

static void write_host(struct buf *head, const struct url *url)
{
	size_t brackets = url->has_brackets ? 1 : 0;

	buf_append_text(head, "Host: ");
	if (url->has_default_port)
		buf_append(head, url->host - brackets, url->host_size + 2 * brackets);
	else
		buf_append(head, url->authority, url->authority_size);
	buf_append_text(head, "\r\n");
}

/* has_field: of those before, and then of these, too. There is one Host, the first. Returns 0,
 * or -EINVAL for a field that is malformed. */
static int write_fields(struct buf *head, const char *const *headers, size_t count,
	bool has_field[])
{
	for (size_t i = 0; i < count; i++) {
		const char *header = headers[i];
		size_t size = strlen(header);
		const char *colon = memchr(header, ':', size);
		enum field field;

		if (!colon || colon == header || memchr(header, '\r', size) ||
			memchr(header, '\n', size))
			return -EINVAL;
		field = field_of(header, (size_t)(colon - header));
		if (field == FIELD_FRAMING || (field == FIELD_HOST && has_field[field]))
			continue;
		has_field[field] = true;
		buf_append(head, header, size);
		buf_append(head, "\r\n", 2);
	}
	return 0;
}

static void write_length(struct buf *head, uint64_t length)
{
	char digits[NUMBER_ROOM];
	size_t size = number_write(digits, length);

	buf_append_text(head, "Content-Length: ");
	buf_append(head, digits, size);
	buf_append_text(head, "\r\n");
}

static bool wants_length(const struct transfer_request *request)
{
	const char *method = request->method;

	return request->piece_count || strcmp(method, "POST") == 0 ||
		strcmp(method, "PUT") == 0 || strcmp(method, "PATCH") == 0;
}

void outline_init(struct outline *outline, const struct transfer_request *request)
{
	bool has_field[FIELD_CODINGS + 1] = { false };

	*outline = (struct outline) { .text = request->url };
	outline->is_plain = url_parse(&outline->url, request->url);
	if (!outline->is_plain)
		return;
	buf_reserve(&outline->head, HEAD_ROOM);
	write_line(&outline->head, &outline->url, request->method);
	outline->is_malformed = write_fields(&outline->head, request->headers,
					request->header_count, has_field) != 0;
	if (!has_field[FIELD_HOST])
		write_host(&outline->head, &outline->url);
	outline->has_codings = has_field[FIELD_CODINGS];
}

void outline_clear(struct outline *outline)
{
	buf_clear(&outline->head);
}

int outline_write(const struct outline *outline, const struct transfer_request *request,
	uint64_t size, struct buf *head)
{
	bool has_field[FIELD_CODINGS +
		1] = { [FIELD_HOST] = true, [FIELD_CODINGS] = outline->has_codings };

	buf_reserve(head, HEAD_ROOM);
	buf_append(head, buf_data(&outline->head), buf_size(&outline->head));
	if (outline->is_malformed ||
		write_fields(head, request->own_headers, request->own_header_count,
			has_field) != 0)
		return -EINVAL;
	if (!has_field[FIELD_CODINGS])
		buf_append_text(head, "Accept-Encoding: identity\r\n");
	if (wants_length(request))
		write_length(head, size);
	buf_append(head, "\r\n", 2);
	return 0;
}
