/* cursor.h - steps over a JSON text that is taken for good.
 *
 * It knows only where strings end and how brackets nest: what it passes over is not
 * checked, and never read beyond its end if it is bad. Whoever must know that a document
 * is good scans it (scan.h). For the files of json/. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "json/scan.h"
#include "json/text.h"

struct cursor {
	const char *at;
	const char *end;
};

/* The next byte that is no white space, or NUL at the end. */
static inline char cursor_peek(struct cursor *cursor)
{
	for (; cursor->at < cursor->end; cursor->at++)
		/* Most documents have no white space at all. */
		if (*cursor->at > ' ' || !text_is_space(*cursor->at))
			return *cursor->at;
	return '\0';
}

static inline bool cursor_take(struct cursor *cursor, char wanted)
{
	if (cursor_peek(cursor) != wanted)
		return false;
	cursor->at++;
	return true;
}

/* The cursor stands on the quote before a string. Sets text to the inside. */
static inline bool cursor_pass_string(struct cursor *cursor, const char **text,
	size_t *size)
{
	bool is_escaped = false;

	*text = ++cursor->at;
	*size = text_string_end(cursor->at, (size_t)(cursor->end - cursor->at),
		&is_escaped);
	cursor->at += *size;
	if (cursor->at == cursor->end)
		return false;
	cursor->at++;
	return true;
}

static inline bool cursor_pass_brackets(struct cursor *cursor)
{
	const char *text;
	size_t size, depth = 0;

	while (cursor->at < cursor->end) {
		char byte = *cursor->at;

		if (byte == '"') {
			if (!cursor_pass_string(cursor, &text, &size))
				return false;
			continue;
		}
		cursor->at++;
		if (byte == '{' || byte == '[')
			depth++;
		else if ((byte == '}' || byte == ']') && --depth == 0)
			return true;
	}
	return false;
}

static inline bool is_scalar_byte(char byte)
{
	return (byte >= '0' && byte <= '9') || (byte >= 'a' && byte <= 'z') ||
		byte == '-' || byte == '+' || byte == '.' || byte == 'E';
}

static inline enum json_kind cursor_kind_at(struct cursor *cursor)
{
	switch (cursor_peek(cursor)) {
	case '{':
		return JSON_OBJECT;
	case '[':
		return JSON_ARRAY;
	case '"':
		return JSON_STRING;
	case 't':
		return JSON_TRUE;
	case 'f':
		return JSON_FALSE;
	case 'n':
		return JSON_NULL;
	case '\0':
		return JSON_NONE;
	case '-':
		return JSON_NUMBER;
	default:
		return *cursor->at >= '0' && *cursor->at <= '9' ? JSON_NUMBER : JSON_NONE;
	}
}

/* Passes over the value where the cursor stands, which is of this kind. */
static inline bool cursor_pass_kind(struct cursor *cursor, enum json_kind kind)
{
	const char *text;
	size_t size;

	switch (kind) {
	case JSON_NONE:
		return false;
	case JSON_OBJECT:
	case JSON_ARRAY:
		return cursor_pass_brackets(cursor);
	case JSON_STRING:
		return cursor_pass_string(cursor, &text, &size);
	default:
		while (cursor->at < cursor->end && is_scalar_byte(*cursor->at))
			cursor->at++;
		return true;
	}
}

static inline bool cursor_pass_value(struct cursor *cursor)
{
	return cursor_pass_kind(cursor, cursor_kind_at(cursor));
}

/* Goes from a member's name to its value; the name's inside comes out. */
static inline bool cursor_pass_name(struct cursor *cursor, const char **name,
	size_t *size)
{
	return cursor_peek(cursor) == '"' && cursor_pass_string(cursor, name, size) &&
		cursor_take(cursor, ':');
}

/* A name that is written with an escape is no name that anybody looks for. */
static inline bool cursor_is_name(const char *text, size_t size, const char *name,
	size_t name_size)
{
	return size == name_size && memcmp(text, name, size) == 0 &&
		!memchr(text, '\\', size);
}
