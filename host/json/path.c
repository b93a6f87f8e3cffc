/* path.c - scan_path(): walks into a complete document along a path. */
#include "json/scan.h"

#include <stdlib.h>
#include <string.h>

#include "json/cursor.h"

/* Goes to the value of the member called name; the cursor stands on the "{". */
static bool enter_object(struct cursor *cursor, const char *name)
{
	size_t name_size = strlen(name);

	cursor->at++;
	do {
		const char *text;
		size_t size;

		if (!cursor_pass_name(cursor, &text, &size))
			return false;
		if (cursor_is_name(text, size, name, name_size))
			return true;
		if (!cursor_pass_value(cursor))
			return false;
	} while (cursor_take(cursor, ','));
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
		if (!cursor_pass_value(cursor) || !cursor_take(cursor, ','))
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
		char byte = cursor_peek(&cursor);

		if (byte == '{' && enter_object(&cursor, path[i]))
			continue;
		if (byte == '[' && enter_array(&cursor, path[i]))
			continue;
		return JSON_NONE;
	}
	kind = cursor_kind_at(&cursor);
	*value = cursor.at;
	if (!cursor_pass_kind(&cursor, kind))
		return JSON_NONE;
	*value_size = (size_t)(cursor.at - *value);
	return kind;
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

		if (!cursor_is_name(mark->name, mark->name_size, path[0], name_size))
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
