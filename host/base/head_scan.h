/* head_scan.h - finds the end of a head, or of a chunked body's trailer, as bytes arrive.
 *
 * It looks at every byte and knows only lines, names and forbidden bytes: a lone CR or LF,
 * folded lines, control characters and names that are no token are refused. Nothing is
 * repaired. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

enum head_state { HEAD_MORE, HEAD_DONE, HEAD_BAD };

/* Where a scan stands. All zero: before the request line. */
struct head_scan {
	size_t size;  /* bytes used up so far */
	size_t lines; /* that have ended, the empty ones left out */
	int state;    /* of the machine in head_scan.c */
	bool has_led; /* an empty line stood before the request line */
};

/* Goes on with the bytes behind scan->size. On HEAD_DONE scan->size is the size of the
 * whole head with its empty line; more bytes than that are not looked at. */
enum head_state head_scan(struct head_scan *scan, const char *data, size_t size);
/* A scan of a chunked body's trailer: fields and an empty line, but no request line. */
void head_scan_trailer(struct head_scan *scan);
