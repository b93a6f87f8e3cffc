/* The head of an answer: its fields, what they say of the body, and the limits. */
#include <assert.h>
#include <stdint.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "upstream/transfer_inside.h"

#define FIELDS_MAX 256
#define FIELDS_ROOM 512   /* bytes; most heads are smaller */
#define INFORMAL_MAX 16   /* heads with 1xx */
#define RATIO_MAX 100     /* decoded bytes for each byte that came */
#define RATIO_SLACK 16384 /* bytes that may have been read and not counted yet */

static bool fail(struct transfer *transfer, const char *text)
{
	transfer_fail(transfer, TRANSFER_PROTOCOL, "%s", text);
	return false;
}

static bool is_digit(char byte)
{
	return byte >= '0' && byte <= '9';
}

/* "HTTP/1.1 200 OK": a new head begins, and forgets an informal one before it. */
static bool take_status(struct transfer *transfer, const char *line, size_t size)
{
	struct transfer_head *head = &transfer->head;
	const char *space = memchr(line, ' ', size);

	if (!space || line + size - space < 4 || !is_digit(space[1]) ||
		!is_digit(space[2]) || !is_digit(space[3]))
		return fail(transfer, "the answer's status line is malformed");
	head->status = (space[1] - '0') * 100 + (space[2] - '0') * 10 + (space[3] - '0');
	head->field_count = 0;
	head->length = -1;
	head->is_chunked = false;
	head->is_encoded = false;
	buf_reset(&head->fields);
	buf_reserve(&head->fields, FIELDS_ROOM);
	if (head->status >= 100 && head->status < 200)
		return true;
	if (head->status < 200 || head->status > 999)
		return fail(transfer, "the answer's status is out of range");
	transfer->clock.first_byte = 0;
	return true;
}

/* -1: no number, or a larger one than there are bytes anywhere. */
static int64_t read_length(const char *text)
{
	int64_t length = 0;

	if (!*text)
		return -1;
	for (; *text; text++) {
		if (!is_digit(*text) || length > (INT64_MAX - 9) / 10)
			return -1;
		length = length * 10 + (*text - '0');
	}
	return length;
}

static bool take_length(struct transfer *transfer, const char *value)
{
	struct transfer_head *head = &transfer->head;
	int64_t length = read_length(value);

	if (length < 0)
		return fail(transfer, "the answer's Content-Length is malformed");
	if (head->length >= 0 && head->length != length)
		return fail(transfer, "the answer has two lengths");
	head->length = length;
	return true;
}

/* Their sizes rule most names out. */
static bool is_name(const char *name, size_t size, const char *wanted)
{
	return size == strlen(wanted) && strncasecmp(name, wanted, size) == 0;
}

/* The fields that say where the body ends, and how it is to be read. */
static bool take_framing(struct transfer *transfer, const char *name, size_t size,
	const char *value)
{
	struct transfer_head *head = &transfer->head;

	if (is_name(name, size, "content-length")) {
		if (!take_length(transfer, value))
			return false;
	} else if (is_name(name, size, "transfer-encoding")) {
		if (strcasecmp(value, "chunked") != 0 || head->is_chunked)
			return fail(transfer,
				"the answer's Transfer-Encoding is not chunked");
		head->is_chunked = true;
	} else if (is_name(name, size, "content-encoding")) {
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
	size_t value_at;

	if (++head->field_count > FIELDS_MAX)
		return fail(transfer, "the answer's head has too many fields");
	if (!colon || colon == line || *line == ' ' || *line == '\t' ||
		memchr(line, '\0', size))
		return fail(transfer, "a field of the answer's head is malformed");
	for (value = colon + 1; value < end && (*value == ' ' || *value == '\t'); value++)
		;
	while (end > value && (end[-1] == ' ' || end[-1] == '\t'))
		end--;
	buf_append(&head->fields, line, (size_t)(colon - line));
	buf_append(&head->fields, "", 1);
	value_at = buf_size(&head->fields);
	buf_append(&head->fields, value, (size_t)(end - value));
	buf_append(&head->fields, "", 1);
	return take_framing(transfer, line, (size_t)(colon - line),
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
	/* No provider says this: neap has not come as far as to it. */
	if (head->status == 407 && transfer->is_proxied) {
		transfer_fail(transfer, TRANSFER_CONNECT,
			"the proxy wants another user and password");
		return false;
	}
	head->is_complete = true;
	if (transfer->is_streamed) {
		transfer->carrier->drop_sent(transfer);
		buf_trim(&head->fields);
	}
	transfer->clock.read = clock_ms();
	transfer_arm(transfer);
	return true;
}

bool transfer_count_head(struct transfer *transfer, size_t size)
{
	struct transfer_head *head = &transfer->head;

	head->size += size;
	return head->size <= TRANSFER_HEAD_MAX ||
		fail(transfer, "the answer's head is too large");
}

bool transfer_take_line(struct transfer *transfer, const char *line, size_t size)
{
	if (!size)
		return finish_head(transfer);
	if (size > 5 && memcmp(line, "HTTP/", 5) == 0)
		return take_status(transfer, line, size);
	return take_field(transfer, line, size);
}

bool transfer_count_decoded(struct transfer *transfer, size_t size, uint64_t came)
{
	transfer->decoded += size;
	if (transfer->decoded > transfer->decoded_max)
		return fail(transfer, "the answer is too large once it is decoded");
	if (transfer->decoded / RATIO_MAX > came + RATIO_SLACK)
		return fail(transfer, "the answer expands too much when it is decoded");
	return true;
}

/* -- what others may know of it ---------------------------------------------------- */

int transfer_status(const struct transfer *transfer)
{
	return transfer->head.is_complete ? transfer->head.status : 0;
}

/* The field behind the one at name, given the fields that lie between. */
static const char *value_of(const char *name)
{
	return name + strlen(name) + 1;
}

static const char *field_behind(const char *name)
{
	const char *value = value_of(name);

	return value + strlen(value) + 1;
}

const char *transfer_header(const struct transfer *transfer, const char *name)
{
	const char *field = buf_data(&transfer->head.fields);

	for (size_t i = 0; i < transfer_header_count(transfer); i++) {
		if (strcasecmp(field, name) == 0)
			return value_of(field);
		field = field_behind(field);
	}
	return NULL;
}

size_t transfer_header_count(const struct transfer *transfer)
{
	return transfer->head.is_complete ? transfer->head.field_count : 0;
}

void transfer_header_at(const struct transfer *transfer, size_t index, const char **name,
	const char **value)
{
	const char *field = buf_data(&transfer->head.fields);

	assert(index < transfer_header_count(transfer));
	while (index--)
		field = field_behind(field);
	*name = field;
	*value = value_of(field);
}

int64_t transfer_length(const struct transfer *transfer)
{
	return transfer->head.is_encoded ? -1 : transfer->head.length;
}
