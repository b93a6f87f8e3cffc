#include "http/head.h"

#include <string.h>
#include <strings.h>

#include <llhttp.h>

#include "base/token.h"
#include "http/exchange.h"

/* -- the fields ------------------------------------------------------------------- */

/* One of 64 bits for a name in any case: most names that are asked for are not there, and
 * most of these have a bit that no field has. */
static uint64_t name_bit(const char *name, size_t size)
{
	unsigned first = (unsigned char)name[0] | 0x20;
	unsigned last = (unsigned char)name[size - 1] | 0x20;

	return (uint64_t)1 << ((size * 5 + first * 3 + last) & 63);
}

const char *head_next_value(const struct head *head, const char *name, size_t *place)
{
	while (*place < head->field_count) {
		const struct field *field = &head->fields[(*place)++];

		if ((*field->name | 0x20) == (*name | 0x20) &&
			strcasecmp(field->name, name) == 0)
			return field->value;
	}
	return NULL;
}

const char *head_value(const struct head *head, const char *name)
{
	size_t size = strlen(name), place = 0;

	if (!size || !(head->names & name_bit(name, size)))
		return NULL;
	return head_next_value(head, name, &place);
}

static bool is_space(char byte)
{
	return byte == ' ' || byte == '\t';
}

/* What the fields say about how the request is read, and what comes behind it. */
struct framing {
	const char *length;
	const char *coding;
	const char *host;
	const char *expect;
	bool is_repeated; /* one of these four */
};

static bool text_is(const char *text, size_t size, const char *wanted)
{
	return size == strlen(wanted) && strncasecmp(text, wanted, size) == 0;
}

static void note_field(struct framing *framing, const struct field *field, size_t size)
{
	const char **at = NULL;

	if (text_is(field->name, size, "Host"))
		at = &framing->host;
	else if (text_is(field->name, size, "Content-Length"))
		at = &framing->length;
	else if (text_is(field->name, size, "Transfer-Encoding"))
		at = &framing->coding;
	else if (text_is(field->name, size, "Expect"))
		at = &framing->expect;
	if (!at)
		return;
	if (*at)
		framing->is_repeated = true;
	*at = field->value;
}

/* Cuts the lines from text on into fields, up to the empty line: ends names and values
 * with a NUL each and takes the white space around the values away. The scan has seen the
 * lines, so that each has its colon. */
static void cut_fields(struct head *head, char *text, struct framing *framing)
{
	while (*text != '\r') {
		struct field *field = &head->fields[head->field_count++];
		char *colon = strchr(text, ':');
		size_t name_size = (size_t)(colon - text);
		char *value = colon + 1;
		char *line_end, *end;

		while (is_space(*value))
			value++;
		line_end = end = strchr(value, '\r');
		while (end > value && is_space(end[-1]))
			end--;
		*colon = '\0';
		*end = '\0';
		*field = (struct field) { text, value };
		head->names |= name_bit(text, name_size);
		note_field(framing, field, name_size);
		text = line_end + 2;
	}
}

/* -- the parse -------------------------------------------------------------------- */

/* Of the request line: from its first byte to the space behind it. */
struct target {
	char *start;
	char *end;
};

static int refuse(const char **message, int status, const char *text)
{
	*message = text;
	return status;
}

/* The line is method SP target SP version, with one space each and nothing else: llhttp's loose
 * mode forgives several things in this line. */
static int find_target(struct head *head, char *line, size_t size, struct target *target,
	const char **message)
{
	char *first = memchr(line, ' ', size);
	char *last = memrchr(line, ' ', size);
	const char *version = last ? last + 1 : line;

	if (!first || !last || first == last ||
		memchr(first + 1, ' ', (size_t)(last - first - 1)))
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
	*target = (struct target) { first + 1, last };
	return 0;
}

static int on_head(llhttp_t *parser)
{
	bool *is_complete = parser->data;

	*is_complete = true;
	return HPE_PAUSED;
}

/* llhttp judges the head as a whole; what it leaves open is looked at here. */
static int judge(struct head *head, const char *text, size_t size, const char **message)
{
	static const llhttp_settings_t settings = { .on_headers_complete = on_head };
	bool is_complete = false;
	llhttp_t parser;
	llhttp_errno_t result;

	llhttp_init(&parser, HTTP_REQUEST, &settings);
	parser.data = &is_complete;
	result = llhttp_execute(&parser, text, size);
	if (result == HPE_INVALID_METHOD)
		return refuse(message, 501, "the method is unknown");
	if (!is_complete || result != HPE_PAUSED)
		return refuse(message, 400, "the head is malformed");
	head->is_keep_alive = llhttp_should_keep_alive(&parser);
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

static bool byte_is_of_host(unsigned char byte)
{
	/* One bit for each of the bytes 0 to 127: !$%&'()*+-. 0-9 :;= A-Z [] _ a-z ~ */
	static const unsigned long long set[2] = { 0x2fff6ff200000000,
		0x47fffffeaffffffe };

	return byte < 0x80 && (set[byte >> 6] >> (byte & 63) & 1);
}

static bool host_is_valid(const char *host)
{
	const char *at = host;

	for (; byte_is_of_host((unsigned char)*at); at++) {
		if (at[0] == '.' && at[1] == '.')
			return false;
	}
	return at > host && !*at;
}

/* Splits the target and hands back the authority of an absolute one, which the Host field
 * must repeat. */
static int split_target(struct head *head, char *target, char **authority,
	const char **message)
{
	char *query;

	if ((query = strchr(target, '?')) != NULL) {
		*query++ = '\0';
		head->query = query;
	}
	if (*target != '/' &&
		(strncasecmp(target, "http://", 7) == 0 ||
			strncasecmp(target, "https://", 8) == 0)) {
		char *start = strchr(target, ':') + 3;
		char *path = start + strcspn(start, "/");
		size_t length = (size_t)(path - start);

		/* The authority moves down by one, over the second slash: its NUL needs
		 * the place in front of the path. */
		target = path;
		*authority = memmove(start - 1, start, length);
		(*authority)[length] = '\0';
		if (!host_is_valid(*authority))
			return refuse(message, 400, "the target's host is malformed");
	}
	head->path = *authority && !*target ? "/" : target;
	if (*head->path != '/' &&
		(strcmp(target, "*") != 0 || strcmp(head->method, "OPTIONS") != 0))
		return refuse(message, 400, "the target is malformed");
	if (!path_is_valid(target))
		return refuse(message, 400, "the target has a malformed escape");
	return 0;
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

static int check_framing(struct head *head, const struct framing *framing,
	const char *authority, const char **message)
{
	if (framing->is_repeated)
		return refuse(message, 400, "a framing field is repeated");
	if (!framing->host && !head->is_http_1_0)
		return refuse(message, 400, "the Host field is missing");
	if (framing->host && !host_is_valid(framing->host))
		return refuse(message, 400, "the Host field is malformed");
	if (authority && framing->host && strcasecmp(authority, framing->host) != 0)
		return refuse(message, 400, "the Host field contradicts the target");
	if (framing->coding) {
		if (framing->length)
			return refuse(message, 400, "a length beside a transfer coding");
		if (head->is_http_1_0 || strcasecmp(framing->coding, "chunked") != 0)
			return refuse(message, 400, "the transfer coding is not chunked");
		head->body_length = -1;
	}
	if (framing->length && (head->body_length = parse_length(framing->length)) < 0)
		return refuse(message, 400, "the Content-Length is malformed");
	/* HTTP/1.0 knows no Expect (RFC 9110 10.1.1). */
	if (framing->expect && !head->is_http_1_0) {
		if (strcasecmp(framing->expect, "100-continue") != 0)
			return refuse(message, 417, "only 100-continue can be expected");
		head->expects_continue = head->body_length != 0;
	}
	return 0;
}

int head_parse(struct head *head, char *text, size_t size, struct field *fields,
	const char **message)
{
	struct framing framing = { 0 };
	char *authority = NULL;
	char *line_end = memchr(text, '\r', size);
	struct target target;
	int status;

	*head = (struct head) { .method = "", .path = "", .query = "", .fields = fields };
	status = find_target(head, text, (size_t)(line_end - text), &target, message);
	if (!status)
		status = judge(head, text, size, message);
	if (status)
		return status;
	target.start[-1] = '\0';
	*target.end = '\0';
	head->method = text;
	cut_fields(head, line_end + 2, &framing);
	status = split_target(head, target.start, &authority, message);
	return status ? status : check_framing(head, &framing, authority, message);
}
