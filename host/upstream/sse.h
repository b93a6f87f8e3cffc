/* sse.h - finds server-sent events in a run of bytes (WHATWG HTML, section 9.2, with LF,
 * CR, CRLF and any mixture).
 *
 * It keeps no state: give it the bytes from the start of an event on, again with
 * more behind them if the event was not complete. An event whose blank line ends
 * in a CR is complete when the byte behind the CR is there (or the end), because a
 * LF belongs to it. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"

struct sse_event {
	/* Bytes of the event in the stream, with its blank line; also of comments and
	 * blank lines alone. */
	size_t size;
	/* The event field's value, or NULL; points into the bytes, not NUL-terminated. */
	const char *name;
	size_t name_size;
	/* NULL: the event has no data (comments, blank lines, fields alone). Points into
	 * the bytes where the event has one data line, else into joined. */
	const char *data;
	size_t data_size;
};

/* The first event in data. Returns false if it is not complete yet. is_end: no more bytes
 * will come; then the rest is an event even without its blank line. joined: scratch
 * memory for events of several data lines (lines joined with LF). A byte order mark at
 * the start of a stream is skipped by the caller with sse_bom(). */
bool sse_next(const char *data, size_t size, bool is_end, struct buf *joined,
	struct sse_event *event);
size_t sse_bom(const char *data, size_t size); /* 3 if the bytes begin with one, else 0 */
