/* path.c - scan_path() and scan_mark(): walk into a complete document along a path.
 *
 * A cursor that knows only where strings end and how brackets nest; everything that it
 * passes over is taken for good JSON, and never read beyond its end if it is not. */
#include "json/scan.h"

#include <stdlib.h>
#include <string.h>

#include "json/text.h"

struct cursor {
	const char *at;
	const char *end;
};

/* The next byte that is no white space, or NUL at the end. */
static char peek(struct cursor *cursor)
{
	while (cursor->at < cursor->end && text_is_space(*cursor->at))
		cursor->at++;
	return cursor->at < cursor->end ? *cursor->at : '\0';
}

static bool take(struct cursor *cursor, char wanted)
{
	if (peek(cursor) != wanted)
		return false;
	cursor->at++;
	return true;
}

/* The cursor stands on the quote before a string. Sets text to the inside. */
static bool pass_string(struct cursor *cursor, const char **text, size_t *size)
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

static bool pass_brackets(struct cursor *cursor)
{
	const char *text;
	size_t size, depth = 0;

	while (cursor->at < cursor->end) {
		char byte = *cursor->at;

		if (byte == '"') {
			if (!pass_string(cursor, &text, &size))
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

static bool is_scalar_byte(char byte)
{
	return (byte >= '0' && byte <= '9') || (byte >= 'a' && byte <= 'z') ||
		byte == '-' || byte == '+' || byte == '.' || byte == 'E';
}

static enum json_kind kind_at(struct cursor *cursor)
{
	switch (peek(cursor)) {
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
	default:
		return text_number(NUMBER_START, *cursor->at) ? JSON_NUMBER : JSON_NONE;
	}
}

static bool pass_value(struct cursor *cursor)
{
	const char *text;
	size_t size;

	switch (kind_at(cursor)) {
	case JSON_NONE:
		return false;
	case JSON_OBJECT:
	case JSON_ARRAY:
		return pass_brackets(cursor);
	case JSON_STRING:
		return pass_string(cursor, &text, &size);
	default:
		while (cursor->at < cursor->end && is_scalar_byte(*cursor->at))
			cursor->at++;
		return true;
	}
}

/* A name that is written with an escape is no name that anybody looks for. */
static bool is_name(const char *text, size_t size, const char *name, size_t name_size)
{
	return size == name_size && memcmp(text, name, size) == 0 &&
		!memchr(text, '\\', size);
}

/* Goes to the value of the member called name; the cursor stands on the "{". */
static bool enter_object(struct cursor *cursor, const char *name)
{
	size_t name_size = strlen(name);

	cursor->at++;
	do {
		const char *text;
		size_t size;

		if (peek(cursor) != '"' || !pass_string(cursor, &text, &size))
			return false;
		if (!take(cursor, ':'))
			return false;
		if (is_name(text, size, name, name_size))
			return true;
		if (!pass_value(cursor))
			return false;
	} while (take(cursor, ','));
	return false;
}

static bool enter_array(struct cursor *cursor, const char *index)
{
	char *rest;
	unsigned long left;

	if (*index < '0' || *index > '9')
		return false;
	left = strtoul(index, &rest, 10);
	if (*rest != '\0')
		return false;
	cursor->at++;
	for (; left > 0; left--)
		if (!pass_value(cursor) || !take(cursor, ','))
			return false;
	return true;
}

enum json_kind scan_path(const char *data, size_t size, const char *const *path,
	size_t path_count, const char **value, size_t *value_size)
{
	struct cursor cursor = { data, data + size };
	enum json_kind kind;
	size_t i;

	for (i = 0; i < path_count; i++) {
		char byte = peek(&cursor);

		if (byte == '{' && enter_object(&cursor, path[i]))
			continue;
		if (byte == '[' && enter_array(&cursor, path[i]))
			continue;
		return JSON_NONE;
	}
	kind = kind_at(&cursor);
	*value = cursor.at;
	if (kind == JSON_NONE || !pass_value(&cursor))
		return JSON_NONE;
	*value_size = (size_t)(cursor.at - *value);
	return kind;
}

/* Passes over a value. is_it: whether it is an object whose member called name is the string
 * text; part: its member of the name that stands there. */
static bool pass_element(struct cursor *cursor, const struct scan_wanted *wanted,
	struct scan_slice *part, bool *is_it)
{
	size_t name_size = strlen(wanted->name), text_size = strlen(wanted->text);
	size_t part_size = strlen(wanted->part);

	*is_it = false;
	*part = (struct scan_slice) { 0 };
	if (peek(cursor) != '{')
		return pass_value(cursor);
	cursor->at++;
	if (take(cursor, '}'))
		return true;
	do {
		const char *member, *value;
		size_t member_size, value_size;

		if (peek(cursor) != '"' || !pass_string(cursor, &member, &member_size) ||
			!take(cursor, ':'))
			return false;
		if (!is_name(member, member_size, wanted->name, name_size) ||
			peek(cursor) != '"') {
			enum json_kind kind = kind_at(cursor);

			value = cursor->at;
			if (!pass_value(cursor))
				return false;
			if (is_name(member, member_size, wanted->part, part_size))
				*part = (struct scan_slice) { value,
					(size_t)(cursor->at - value), kind };
			continue;
		}
		if (!pass_string(cursor, &value, &value_size))
			return false;
		*is_it = is_name(value, value_size, wanted->text, text_size);
	} while (take(cursor, ','));
	return take(cursor, '}');
}

size_t scan_last(const char *data, size_t size, const struct scan_wanted *wanted,
	struct scan_slice *out, size_t count)
{
	struct cursor cursor = { data, data + size };
	size_t found = 0;
	bool is_it;

	if (!take(&cursor, '[') || take(&cursor, ']'))
		return 0;
	do {
		struct scan_slice part;

		if (!pass_element(&cursor, wanted, &part, &is_it))
			return 0;
		if (!is_it)
			continue;
		found = found < count ? found + 1 : count;
		memmove(out + 1, out, (found - 1) * sizeof(*out));
		out[0] = part;
	} while (take(&cursor, ','));
	return peek(&cursor) == ']' ? found : 0;
}

static bool mark_members(struct scan_marks *marks, struct cursor *cursor)
{
	if (!take(cursor, '{'))
		return false;
	if (take(cursor, '}'))
		return true;
	do {
		struct scan_mark *mark = &marks->at[marks->count];

		if (marks->count == SCAN_MARKS_MAX || peek(cursor) != '"' ||
			!pass_string(cursor, &mark->name, &mark->name_size) ||
			!take(cursor, ':'))
			return false;
		mark->kind = kind_at(cursor);
		mark->value = cursor->at;
		if (!pass_value(cursor))
			return false;
		mark->value_size = (size_t)(cursor->at - mark->value);
		marks->count++;
	} while (take(cursor, ','));
	return take(cursor, '}');
}

void scan_mark(struct scan_marks *marks, const char *data, size_t size)
{
	struct cursor cursor = { data, data + size };

	marks->count = 0;
	marks->is_whole = mark_members(marks, &cursor);
}

enum json_kind scan_marked_path(const struct scan_marks *marks, const char *data,
	size_t size, const char *const *path, size_t path_count, const char **value,
	size_t *value_size)
{
	size_t name_size;

	if (!marks->is_whole || path_count == 0)
		return scan_path(data, size, path, path_count, value, value_size);
	name_size = strlen(path[0]);
	for (size_t i = 0; i < marks->count; i++) {
		const struct scan_mark *mark = &marks->at[i];

		if (!is_name(mark->name, mark->name_size, path[0], name_size))
			continue;
		if (path_count > 1)
			return scan_path(mark->value, mark->value_size, path + 1,
				path_count - 1, value, value_size);
		*value = mark->value;
		*value_size = mark->value_size;
		return mark->kind;
	}
	return JSON_NONE;
}
