#include "json/value.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>

#include "json/text.h"

/* Where the reader stands. All of it lives on the stack or belongs to the caller. */
struct reader {
	const char *data;
	size_t size;
	size_t at;
	unsigned depth;
	/* A bit for each open bracket, the innermost lowest: is it "{"? */
	uint64_t objects;
	const struct value_handler *handler;
	void *arg;
	struct buf *scratch;
	struct err *err;
};

static int fail(struct reader *reader, size_t offset, const char *what)
{
	return err_set(reader->err, -EINVAL, "%s at byte %zu", what, offset);
}

static int fail_unexpected(struct reader *reader)
{
	unsigned char byte;

	if (reader->at >= reader->size)
		return fail(reader, reader->size, "the document ends too early");
	byte = (unsigned char)reader->data[reader->at];
	if (byte > ' ' && byte < 0x7f)
		return err_set(reader->err, -EINVAL, "unexpected \"%c\" at byte %zu",
			byte, reader->at);
	return err_set(reader->err, -EINVAL, "unexpected byte 0x%02x at byte %zu", byte,
		reader->at);
}

/* The next byte that is no white space, or NUL at the end. */
static char peek(struct reader *reader)
{
	while (reader->at < reader->size && text_is_space(reader->data[reader->at]))
		reader->at++;
	return reader->at < reader->size ? reader->data[reader->at] : '\0';
}

static int hex_digit(char byte)
{
	if (byte >= '0' && byte <= '9')
		return byte - '0';
	if (byte >= 'a' && byte <= 'f')
		return byte - 'a' + 10;
	if (byte >= 'A' && byte <= 'F')
		return byte - 'A' + 10;
	return -1;
}

/* The unit of a \uXXXX at offset, or -1 if none stands there. */
static int unit_at(const struct reader *reader, size_t offset)
{
	int unit = 0;
	size_t i;

	if (reader->size - offset < 6 || memcmp(reader->data + offset, "\\u", 2) != 0)
		return -1;
	for (i = 2; i < 6; i++) {
		int digit = hex_digit(reader->data[offset + i]);

		if (digit < 0)
			return -1;
		unit = unit << 4 | digit;
	}
	return unit;
}

/* As UTF-8; a surrogate as the three bytes that it would have there. */
static void append_code(struct buf *buf, unsigned code)
{
	char bytes[4];
	size_t size, i;

	if (code < 0x80) {
		bytes[0] = (char)code;
		buf_append(buf, bytes, 1);
		return;
	}
	size = code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
	for (i = size - 1; i > 0; i--) {
		bytes[i] = (char)(0x80 | (code & 0x3f));
		code >>= 6;
	}
	bytes[0] = (char)((0xf00u >> size & 0xf0) | code);
	buf_append(buf, bytes, size);
}

static int read_unicode_escape(struct reader *reader)
{
	int unit = unit_at(reader, reader->at);
	int low;

	if (unit < 0)
		return fail(reader, reader->at, "a bad escape");
	reader->at += 6;
	low = unit >= 0xd800 && unit < 0xdc00 && reader->at < reader->size
		? unit_at(reader, reader->at)
		: -1;
	if (low >= 0xdc00 && low < 0xe000) {
		reader->at += 6;
		unit = 0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00);
	}
	append_code(reader->scratch, (unsigned)unit);
	return 0;
}

static int read_escape(struct reader *reader)
{
	static const char escapes[] = "\"\\/bfnrt";
	static const char meanings[] = "\"\\/\b\f\n\r\t";
	const char *found;

	if (reader->size - reader->at < 2)
		return fail(reader, reader->size, "the document ends too early");
	if (reader->data[reader->at + 1] == 'u')
		return read_unicode_escape(reader);
	found = memchr(escapes, reader->data[reader->at + 1], sizeof(escapes) - 1);
	if (!found)
		return fail(reader, reader->at, "a bad escape");
	buf_append(reader->scratch, &meanings[found - escapes], 1);
	reader->at += 2;
	return 0;
}

/* The reader stands on the opening quote. A string without escapes is handed on where it
 * stands in the document; the others are put together in scratch. */
static int read_string(struct reader *reader, const char **text, size_t *size)
{
	bool has_escapes = false;
	int rc;

	reader->at++;
	buf_reset(reader->scratch);
	for (;;) {
		size_t start = reader->at;
		char byte;

		reader->at += text_clean(reader->data + start, reader->size - start);
		byte = reader->at < reader->size ? reader->data[reader->at] : '\0';
		if (byte == '"' && !has_escapes) {
			*text = reader->data + start;
			*size = reader->at++ - start;
			return 0;
		}
		buf_append(reader->scratch, reader->data + start, reader->at - start);
		if (byte == '"') {
			*text = buf_data(reader->scratch);
			*size = buf_size(reader->scratch);
			reader->at++;
			return 0;
		}
		if ((unsigned char)byte >= 0x80)
			return fail(reader, reader->at, "bad UTF-8");
		if (byte != '\\')
			return fail_unexpected(reader);
		has_escapes = true;
		rc = read_escape(reader);
		if (rc != 0)
			return rc;
	}
}

bool value_decode(const char *text, size_t size, struct buf *out)
{
	struct err err;
	struct reader reader = {
		.data = text,
		.size = size,
		.scratch = out,
		.err = &err,
	};

	while (reader.at < size) {
		size_t run = text_clean(text + reader.at, size - reader.at);

		buf_append(out, text + reader.at, run);
		reader.at += run;
		if (reader.at == size)
			break;
		if (text[reader.at] != '\\' || read_escape(&reader) != 0)
			return false;
	}
	return true;
}

static int read_number(struct reader *reader)
{
	enum text_number number = NUMBER_START;
	size_t start = reader->at;

	while (reader->at < reader->size) {
		enum text_number next = text_number(number, reader->data[reader->at]);

		if (next == NUMBER_NONE)
			break;
		number = next;
		reader->at++;
	}
	if (!text_number_is_whole(number))
		return fail_unexpected(reader);
	return reader->handler->on_number(reader->data + start, reader->at - start,
		reader->arg);
}

static int pass_literal(struct reader *reader, const char *literal)
{
	for (; *literal; literal++, reader->at++)
		if (reader->at >= reader->size || reader->data[reader->at] != *literal)
			return fail_unexpected(reader);
	return 0;
}

static int read_scalar(struct reader *reader, char byte)
{
	const char *text = NULL;
	size_t size = 0;
	int rc;

	switch (byte) {
	case '"':
		rc = read_string(reader, &text, &size);
		return rc ? rc : reader->handler->on_string(text, size, reader->arg);
	case 't':
		rc = pass_literal(reader, "true");
		return rc ? rc : reader->handler->on_boolean(true, reader->arg);
	case 'f':
		rc = pass_literal(reader, "false");
		return rc ? rc : reader->handler->on_boolean(false, reader->arg);
	case 'n':
		rc = pass_literal(reader, "null");
		return rc ? rc : reader->handler->on_null(reader->arg);
	default:
		return read_number(reader);
	}
}

static int open_bracket(struct reader *reader, bool is_object)
{
	const struct value_handler *handler = reader->handler;

	if (reader->depth == VALUE_DEPTH)
		return fail(reader, reader->at, "nested too deeply");
	reader->at++;
	reader->depth++;
	reader->objects = reader->objects << 1 | is_object;
	return is_object ? handler->on_object(false, reader->arg)
			 : handler->on_array(false, reader->arg);
}

static int close_bracket(struct reader *reader)
{
	const struct value_handler *handler = reader->handler;
	bool is_object = reader->objects & 1;

	reader->at++;
	reader->depth--;
	reader->objects >>= 1;
	return is_object ? handler->on_object(true, reader->arg)
			 : handler->on_array(true, reader->arg);
}

static int read_name(struct reader *reader)
{
	const char *text = NULL;
	size_t size = 0;
	int rc;

	if (peek(reader) != '"')
		return fail_unexpected(reader);
	rc = read_string(reader, &text, &size);
	if (rc != 0)
		return rc;
	rc = reader->handler->on_name(text, size, reader->arg);
	if (rc != 0)
		return rc;
	if (peek(reader) != ':')
		return fail_unexpected(reader);
	reader->at++;
	return 0;
}

/* Behind a value: the closing brackets that follow it, then the comma before the next. */
static int read_separator(struct reader *reader)
{
	while (reader->depth > 0) {
		char byte = peek(reader);
		int rc;

		if (byte == ',') {
			reader->at++;
			return 0;
		}
		if (byte != (reader->objects & 1 ? '}' : ']'))
			return fail_unexpected(reader);
		rc = close_bracket(reader);
		if (rc != 0)
			return rc;
	}
	return 0;
}

/* One value up to the place where the next one begins. An opening bracket counts as one
 * unless it is closed at once. */
static int read_step(struct reader *reader)
{
	char byte;
	int rc;

	if (reader->depth > 0 && (reader->objects & 1)) {
		rc = read_name(reader);
		if (rc != 0)
			return rc;
	}
	byte = peek(reader);
	if (byte == '{' || byte == '[') {
		rc = open_bracket(reader, byte == '{');
		if (rc != 0 || peek(reader) != (byte == '{' ? '}' : ']'))
			return rc;
		rc = close_bracket(reader);
	} else {
		rc = read_scalar(reader, byte);
	}
	return rc ? rc : read_separator(reader);
}

int value_read(const char *data, size_t size, const struct value_handler *handler,
	void *arg, struct buf *scratch, struct err *err)
{
	struct reader reader = {
		.data = data,
		.size = size,
		.handler = handler,
		.arg = arg,
		.scratch = scratch,
		.err = err,
	};
	int rc;

	do {
		rc = read_step(&reader);
	} while (rc == 0 && reader.depth > 0);
	if (rc != 0)
		return rc;
	peek(&reader);
	return reader.at == size ? 0 : fail_unexpected(&reader);
}
