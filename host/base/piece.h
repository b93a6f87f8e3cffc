/* piece.h - a part of a body to be sent: bytes in memory, or a range of something that
 * is read when it is needed.
 *
 * A body is a list of pieces, so that two spliced members cost two small pieces and no
 * copy of the megabytes around them. Reading a source twice gives the same bytes. */
#pragma once

#include <stdint.h>
#include <sys/types.h>

struct source;

struct source_ops {
	/* Copies up to size bytes from offset on. Returns how many (0: the end), or a
	 * negative errno. Never waits for a disk longer than a page cache does. */
	ssize_t (*read)(struct source *source, uint64_t offset, void *room, size_t size);
};

struct source {
	const struct source_ops *ops;
};

struct piece {
	const char *data; /* NULL: the bytes are in source */
	struct source *source;
	uint64_t offset; /* in source */
	uint64_t size;
};
