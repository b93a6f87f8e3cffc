#include "upstream/sse.h"

#include <string.h>

struct line {
	const char *text;
	size_t size;     /* without its end */
	size_t end_size; /* 1 or 2; 0 where the bytes end without a line end */
};

/* A CR that is the last byte may be half of a CRLF: the line is complete only when the
 * byte behind it is there. Otherwise a dropped event could leave its LF behind. */
static bool next_line(const char *data, size_t size, bool is_end, struct line *line)
{
	const char *end, *cr;

	line->text = data;
	line->end_size = 1;
	line->size = 0;
	if (*data == '\n') /* the blank line behind most events */
		return true;
	end = memchr(data, '\n', size);
	cr = memchr(data, '\r', end ? (size_t)(end - data) : size);
	if (cr) {
		line->size = (size_t)(cr - data);
		if (line->size + 1 < size)
			line->end_size = cr[1] == '\n' ? 2 : 1;
		return line->size + 1 < size || is_end;
	}
	line->size = end ? (size_t)(end - data) : size;
	line->end_size = end ? 1 : 0;
	return end || (is_end && size);
}

/* The value of the line if its field is name: what follows the colon and one space. */
static inline bool is_field(const struct line *line, const char *name, size_t name_size,
	const char **value, size_t *value_size)
{
	const char *at = line->text + name_size;
	size_t rest;

	if (line->size < name_size || memcmp(line->text, name, name_size) != 0)
		return false;
	rest = line->size - name_size;
	if (rest && *at != ':')
		return false;
	if (rest) {
		at++;
		rest--;
	}
	if (rest && *at == ' ') {
		at++;
		rest--;
	}
	*value = at;
	*value_size = rest;
	return true;
}

static void add_data(struct sse_event *event, struct buf *joined, const char *value,
	size_t size)
{
	if (!event->data) {
		event->data = value;
		event->data_size = size;
		return;
	}
	if (!buf_size(joined))
		buf_append(joined, event->data, event->data_size);
	/* A first line without bytes leaves joined empty: the LF says that it was
	 * there. */
	buf_append(joined, "\n", 1);
	buf_append(joined, value, size);
	event->data = buf_data(joined);
	event->data_size = buf_size(joined);
}

bool sse_next(const char *data, size_t size, bool is_end, struct buf *joined,
	struct sse_event *event)
{
	struct line line;
	const char *value;
	size_t value_size, at = 0;

	*event = (struct sse_event) { 0 };
	buf_reset(joined);
	while (at < size && next_line(data + at, size - at, is_end, &line)) {
		at += line.size + line.end_size;
		event->size = at;
		if (!line.size)
			return true;
		if (is_field(&line, "data", 4, &value, &value_size)) {
			add_data(event, joined, value, value_size);
		} else if (is_field(&line, "event", 5, &value, &value_size)) {
			/* An empty name means the same as none. */
			event->name = value_size ? value : NULL;
			event->name_size = value_size;
		}
	}
	return is_end && size && at == size;
}

size_t sse_bom(const char *data, size_t size)
{
	return size >= 3 && memcmp(data, "\xEF\xBB\xBF", 3) == 0 ? 3 : 0;
}
