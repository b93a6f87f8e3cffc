#include "json/gist.h"

#include <string.h>

#include "base/buf.h"
#include "json/cursor.h"
#include "json/value.h"

#define RAW_MAX 2048 /* bytes of a string that are all decoded */
/* Bytes of a longer one that are: no escape is so long that less than GIST_BEGIN came of
 * them. */
#define RAW_BEGIN (GIST_BEGIN * 6 + 12)

static size_t less(size_t a, size_t b)
{
	return a < b ? a : b;
}

void gist_add(struct gist *gist, const char *text, size_t size)
{
	size_t begin = less(size, GIST_BEGIN - gist->begin_size), stay;

	gist->size += size;
	memcpy(gist->begin + gist->begin_size, text, begin);
	gist->begin_size += begin;
	text += begin;
	size -= begin;
	if (size > GIST_END) {
		text += size - GIST_END;
		size = GIST_END;
	}
	stay = less(gist->end_size, GIST_END - size);
	memmove(gist->end, gist->end + gist->end_size - stay, stay);
	memcpy(gist->end + stay, text, size);
	gist->end_size = stay + size;
}

/* What is no good JSON counts as it stands there. */
static void add_decoded(struct gist *gist, const char *text, size_t size)
{
	struct buf decoded = { 0 };

	if (!memchr(text, '\\', size) || !value_decode(text, size, &decoded))
		gist_add(gist, text, size);
	else
		gist_add(gist, buf_data(&decoded), buf_size(&decoded));
	buf_clear(&decoded);
}

/* text: with its quotes. */
static void add_string(struct gist *gist, const char *text, size_t size)
{
	size_t had = gist->size;

	text++;
	size -= 2;
	if (size <= RAW_MAX) {
		add_decoded(gist, text, size);
		return;
	}
	add_decoded(gist, text, text_cut(text, size, RAW_BEGIN));
	gist_add(gist, text + size - GIST_END, GIST_END);
	gist->size = had + size;
}

static void add_parts(struct gist *gist, const struct scan_slice *list, const char *part)
{
	struct cursor cursor = { list->data, list->data + list->size };

	cursor_take(&cursor, '[');
	for (size_t i = 0; i < GIST_PARTS_MAX; i++) {
		const char *element, *text;
		size_t size;

		cursor_peek(&cursor);
		element = cursor.at;
		if (!cursor_pass_value(&cursor))
			return;
		if (scan_path(element, (size_t)(cursor.at - element), &part, 1, &text,
			    &size) == JSON_STRING)
			add_string(gist, text, size);
		if (!cursor_take(&cursor, ','))
			return;
	}
}

void gist_of_value(struct gist *gist, const struct scan_slice *value, const char *part)
{
	gist->size = gist->begin_size = gist->end_size = 0;
	if (value->kind == JSON_STRING)
		add_string(gist, value->data, value->size);
	else if (value->kind == JSON_ARRAY)
		add_parts(gist, value, part);
}

static bool begins_character(char byte)
{
	return ((unsigned char)byte & 0xc0) != 0x80;
}

size_t gist_characters(const struct gist *gist, size_t count)
{
	size_t at;

	if (!gist->begin_size || !begins_character(gist->begin[0]))
		return 0;
	for (at = 0; at < gist->begin_size; at++)
		if (begins_character(gist->begin[at]) && count-- == 0)
			return at;
	return count ? 0 : at;
}
