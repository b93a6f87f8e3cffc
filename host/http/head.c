#include "http/head.h"

#include <string.h>
#include <strings.h>

#include <llhttp.h>

#include "http/exchange.h"
#include "http/token.h"

/* -- the scan --------------------------------------------------------------------- */

enum scan_state {
	SCAN_LEAD,    /* before the request line */
	SCAN_LEAD_CR, /* an empty line before it */
	SCAN_REQUEST,
	SCAN_CR,
	SCAN_START, /* of a field's line */
	SCAN_NAME,
	SCAN_VALUE,
	SCAN_LAST_CR,
	SCAN_DONE,
	SCAN_BAD,
};

static int step_lead(struct head_scan *scan, unsigned char byte)
{
	/* RFC 9112 2.2 asks for patience with one empty line. */
	if (byte == '\r' && !scan->has_led)
		return SCAN_LEAD_CR;
	return byte_is_token(byte) ? SCAN_REQUEST : SCAN_BAD;
}

static int step(struct head_scan *scan, unsigned char byte)
{
	switch (scan->state) {
	case SCAN_LEAD:
		return step_lead(scan, byte);
	case SCAN_LEAD_CR:
		scan->has_led = true;
		return byte == '\n' ? SCAN_LEAD : SCAN_BAD;
	case SCAN_REQUEST:
		if (byte == '\r')
			return SCAN_CR;
		return byte >= ' ' && byte < 0x7f ? SCAN_REQUEST : SCAN_BAD;
	case SCAN_CR:
		scan->lines++;
		return byte == '\n' ? SCAN_START : SCAN_BAD;
	case SCAN_START:
		/* A space here would be a folded line. */
		if (byte == '\r')
			return SCAN_LAST_CR;
		return byte_is_token(byte) ? SCAN_NAME : SCAN_BAD;
	case SCAN_NAME:
		if (byte == ':')
			return SCAN_VALUE;
		return byte_is_token(byte) ? SCAN_NAME : SCAN_BAD;
	case SCAN_VALUE:
		if (byte == '\r')
			return SCAN_CR;
		return byte_is_text(byte) ? SCAN_VALUE : SCAN_BAD;
	case SCAN_LAST_CR:
		return byte == '\n' ? SCAN_DONE : SCAN_BAD;
	default:
		return SCAN_BAD;
	}
}

enum head_state head_scan(struct head_scan *scan, const char *data, size_t size)
{
	for (size_t i = 0; i < size; i++) {
		/* Values are most of a head: they take the short way. */
		while (scan->state == SCAN_VALUE &&
			byte_is_text((unsigned char)data[i])) {
			scan->size++;
			if (++i == size)
				return HEAD_MORE;
		}
		scan->state = step(scan, (unsigned char)data[i]);
		scan->size++;
		if (scan->state == SCAN_DONE)
			return HEAD_DONE;
		if (scan->state == SCAN_BAD)
			return HEAD_BAD;
	}
	return HEAD_MORE;
}

void head_scan_trailer(struct head_scan *scan)
{
	*scan = (struct head_scan) { .state = SCAN_START };
}

/* -- the parse -------------------------------------------------------------------- */

struct parse {
	struct head *head;
	char *target;
	size_t target_size;
	bool is_complete;
};

static int on_target(llhttp_t *parser, const char *at, size_t size)
{
	struct parse *parse = parser->data;

	if (parse->target)
		return HPE_USER;
	/* The text is the caller's own and may be written to. */
	parse->target = (char *)(uintptr_t)at;
	parse->target_size = size;
	return 0;
}

static int on_name(llhttp_t *parser, const char *at, size_t size)
{
	struct parse *parse = parser->data;

	(void)size;
	parse->head->fields[parse->head->field_count++] = (struct field) { at, NULL };
	return 0;
}

static int on_value(llhttp_t *parser, const char *at, size_t size)
{
	struct parse *parse = parser->data;
	struct field *field;

	(void)size;
	if (!parse->head->field_count)
		return HPE_USER;
	field = &parse->head->fields[parse->head->field_count - 1];
	/* A second piece would be a folded line, which the scan has refused. */
	if (field->value)
		return HPE_USER;
	field->value = at;
	return 0;
}

static int on_head(llhttp_t *parser)
{
	struct parse *parse = parser->data;

	parse->head->is_keep_alive = llhttp_should_keep_alive(parser);
	parse->is_complete = true;
	return HPE_PAUSED;
}

static const llhttp_settings_t parse_settings = {
	.on_url = on_target,
	.on_header_field = on_name,
	.on_header_value = on_value,
	.on_headers_complete = on_head,
};

static int refuse(const char **message, int status, const char *text)
{
	*message = text;
	return status;
}

/* llhttp's loose mode forgives several things in this line, so its shape is settled
 * first: method SP target SP version, one space each. */
static int check_request_line(struct head *head, char *line, size_t size,
	const char **message)
{
	char *first = memchr(line, ' ', size);
	char *last = memrchr(line, ' ', size);
	const char *version = last ? last + 1 : line;

	if (!first || first == last || memchr(first + 1, ' ', (size_t)(last - first - 1)))
		return refuse(message, 400, "the request line is malformed");
	if (last == first + 1 || line + size - version != 8 ||
		memcmp(version, "HTTP/", 5) != 0 || !byte_is_digit(version[5]) ||
		version[6] != '.' || !byte_is_digit(version[7]))
		return refuse(message, 400, "the request line is malformed");
	if (version[5] != '1' || (version[7] != '0' && version[7] != '1'))
		return refuse(message, 505, "only HTTP/1.1 and HTTP/1.0 are spoken here");
	head->is_http_1_0 = version[7] == '0';

	for (const char *at = line; at < first; at++) {
		if ((*at < 'A' || *at > 'Z') && *at != '-' && *at != '_')
			return refuse(message, 400, "the method is malformed");
	}
	if (memchr(first, '#', (size_t)(last - first)))
		return refuse(message, 400, "the target holds a fragment");
	if (first - line == 7 && memcmp(line, "CONNECT", 7) == 0)
		return refuse(message, 501, "this is no proxy");
	return 0;
}

static int hex_value(char digit)
{
	if (byte_is_digit(digit))
		return digit - '0';
	digit |= 0x20;
	return digit >= 'a' && digit <= 'f' ? digit - 'a' + 10 : -1;
}

static bool path_is_valid(const char *path)
{
	for (; (path = strchr(path, '%')); path += 3) {
		int high = hex_value(path[1]);
		int low = high < 0 ? -1 : hex_value(path[2]);

		if (low < 0 || (high == 0 && low == 0))
			return false;
	}
	return true;
}

/* Splits the target and hands back the authority of an absolute one, which the Host field
 * must repeat. */
static int split_target(struct head *head, char *target, size_t size, char **authority,
	const char **message)
{
	char *query;

	target[size] = '\0';
	if ((query = strchr(target, '?')) != NULL) {
		*query++ = '\0';
		head->query = query;
	}
	if (strncasecmp(target, "http://", 7) == 0 ||
		strncasecmp(target, "https://", 8) == 0) {
		char *start = strchr(target, ':') + 3;
		char *path = start + strcspn(start, "/");
		size_t length = (size_t)(path - start);

		/* The authority moves down by one, over the second slash: its NUL needs
		 * the place in front of the path. */
		target = path;
		*authority = memmove(start - 1, start, length);
		(*authority)[length] = '\0';
	}
	head->path = *authority && !*target ? "/" : target;
	if (*head->path != '/' &&
		(strcmp(target, "*") != 0 || strcmp(head->method, "OPTIONS") != 0))
		return refuse(message, 400, "the target is malformed");
	if (!path_is_valid(target))
		return refuse(message, 400, "the target has a malformed escape");
	return 0;
}

static bool host_is_valid(const char *host)
{
	static const char allowed[] =
		"abcdefghijklmnopqrstuvwxyz"
		"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~%!$&'()*+;=:[]";

	return *host && !strstr(host, "..") && !host[strspn(host, allowed)];
}

/* Digits only, and nothing that 63 bits cannot hold. Returns -1 for anything else. */
static int64_t parse_length(const char *text)
{
	int64_t length = 0;

	if (!*text)
		return -1;
	for (; *text; text++) {
		if (!byte_is_digit(*text) || length > (INT64_MAX - 9) / 10)
			return -1;
		length = length * 10 + (*text - '0');
	}
	return length;
}

/* Ends name and value with a NUL each and takes the white space around the value away. */
static void trim_field(struct field *field)
{
	char *colon = strchr((char *)(uintptr_t)field->name, ':');
	char *value = colon + 1;
	char *end;

	*colon = '\0';
	value += strspn(value, " \t");
	end = strchr(value, '\r');
	while (end > value && (end[-1] == ' ' || end[-1] == '\t'))
		end--;
	*end = '\0';
	field->value = value;
}

struct framing {
	const char *length;
	const char *coding;
	const char *host;
	const char *expect;
};

/* Finds the fields that decide how the request is read. None may come twice. */
static bool find_framing(const struct head *head, struct framing *framing)
{
	for (size_t i = 0; i < head->field_count; i++) {
		const struct field *field = &head->fields[i];
		const char **at;

		if (strcasecmp(field->name, "Content-Length") == 0)
			at = &framing->length;
		else if (strcasecmp(field->name, "Transfer-Encoding") == 0)
			at = &framing->coding;
		else if (strcasecmp(field->name, "Host") == 0)
			at = &framing->host;
		else if (strcasecmp(field->name, "Expect") == 0)
			at = &framing->expect;
		else
			continue;
		if (*at)
			return false;
		*at = field->value;
	}
	return true;
}

static int check_framing(struct head *head, const char *authority, const char **message)
{
	struct framing framing = { 0 };

	if (!find_framing(head, &framing))
		return refuse(message, 400, "a framing field is repeated");
	if (!framing.host && !head->is_http_1_0)
		return refuse(message, 400, "the Host field is missing");
	if (framing.host && !host_is_valid(framing.host))
		return refuse(message, 400, "the Host field is malformed");
	if (authority && framing.host && strcasecmp(authority, framing.host) != 0)
		return refuse(message, 400, "the Host field contradicts the target");
	if (framing.coding) {
		if (framing.length)
			return refuse(message, 400, "a length beside a transfer coding");
		if (head->is_http_1_0 || strcasecmp(framing.coding, "chunked") != 0)
			return refuse(message, 400, "the transfer coding is not chunked");
		head->body_length = -1;
	}
	if (framing.length && (head->body_length = parse_length(framing.length)) < 0)
		return refuse(message, 400, "the Content-Length is malformed");
	/* HTTP/1.0 knows no Expect (RFC 9110 10.1.1). */
	if (framing.expect && !head->is_http_1_0) {
		if (strcasecmp(framing.expect, "100-continue") != 0)
			return refuse(message, 417, "only 100-continue can be expected");
		head->expects_continue = head->body_length != 0;
	}
	return 0;
}

int head_parse(struct head *head, char *text, size_t size, struct field *fields,
	const char **message)
{
	struct parse parse = { .head = head };
	char *authority = NULL;
	char *line_end = memchr(text, '\r', size);
	llhttp_t parser;
	llhttp_errno_t result;
	int status;

	*head = (struct head) { .method = "", .path = "", .query = "", .fields = fields };
	status = check_request_line(head, text, (size_t)(line_end - text), message);
	if (status)
		return status;
	llhttp_init(&parser, HTTP_REQUEST, &parse_settings);
	parser.data = &parse;
	result = llhttp_execute(&parser, text, size);
	if (!parse.is_complete || result != HPE_PAUSED) {
		head->field_count = 0;
		if (result == HPE_INVALID_METHOD)
			return refuse(message, 501, "the method is unknown");
		return refuse(message, 400, "the head is malformed");
	}

	for (size_t i = 0; i < head->field_count; i++)
		trim_field(&head->fields[i]);
	*strchr(text, ' ') = '\0';
	head->method = text;
	status = split_target(head, parse.target, parse.target_size, &authority, message);
	return status ? status : check_framing(head, authority, message);
}
