/* buf.h - a growing run of bytes that is filled at its end and used up at its start.
 *
 *	struct buf buf = { 0 };            // all zero is an empty buffer
 *	buf_append(&buf, "hello", 5);
 *	send(fd, buf_data(&buf), buf_size(&buf), 0);
 *	buf_consume(&buf, 3);
 *	buf_clear(&buf);                   // gives the memory back
 *
 * Pointers into it are good until the next call that is not a question. */
#pragma once

#include <stddef.h>
#include <string.h>

#include "base/mem.h"

struct buf {
	char *memory;
	size_t start; /* bytes used up already */
	size_t end;   /* where the next byte goes */
	size_t capacity;
};

static inline char *buf_data(const struct buf *buf)
{
	return buf->memory + buf->start;
}

static inline size_t buf_size(const struct buf *buf)
{
	return buf->end - buf->start;
}

/* The long way of buf_reserve(): moves the bytes. */
char *buf_make_room(struct buf *buf, size_t size);

/* Room for size more bytes; fill it, then call buf_grow() with what was filled. Here and
 * not in buf.c: a line of JSON is made of a hundred small pieces. */
static inline char *buf_reserve(struct buf *buf, size_t size)
{
	if (buf->memory && buf->capacity - buf->end >= size)
		return buf->memory + buf->end;
	return buf_make_room(buf, size);
}

void buf_grow(struct buf *buf, size_t size);

static inline void buf_append(struct buf *buf, const void *data, size_t size)
{
	if (!size)
		return;
	memcpy(buf_reserve(buf, size), data, size);
	buf->end += size;
}

static inline void buf_append_text(struct buf *buf, const char *text)
{
	buf_append(buf, text, strlen(text));
}

void buf_printf(struct buf *buf, const char *format, ...) PRINTF_LIKE(2, 3);
/* Drops size bytes at the start; an emptied buffer keeps its memory. */
void buf_consume(struct buf *buf, size_t size);
/* Forgets the bytes, keeps the memory. */
void buf_reset(struct buf *buf);
/* Gives back the memory behind the bytes: for what stays and grows no more. */
void buf_trim(struct buf *buf);
/* Gives the memory back; the buffer is empty and can be used again. */
void buf_clear(struct buf *buf);
