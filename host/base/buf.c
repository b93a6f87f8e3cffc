#include "base/buf.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BUF_FIRST 256 /* bytes of the first allocation */

char *buf_make_room(struct buf *buf, size_t size)
{
	size_t used = buf_size(buf);
	size_t wanted;

	/* Moving the bytes down is worth it only where it frees at least half: otherwise
	 * a buffer that is nearly full would move all its bytes for each append. */
	if (buf->start >= used && buf->capacity - used >= size && buf->memory) {
		memmove(buf->memory, buf->memory + buf->start, used);
	} else {
		char *memory;

		wanted = buf->capacity ? buf->capacity * 2 : BUF_FIRST;
		while (wanted < used + size)
			wanted *= 2;
		memory = mem_take(wanted);
		if (buf->memory)
			memcpy(memory, buf->memory + buf->start, used);
		mem_give(buf->memory, buf->capacity);
		buf->memory = memory;
		buf->capacity = wanted;
	}
	buf->start = 0;
	buf->end = used;
	return buf->memory + buf->end;
}

void buf_grow(struct buf *buf, size_t size)
{
	assert(buf->capacity - buf->end >= size);
	buf->end += size;
}

void buf_printf(struct buf *buf, const char *format, ...)
{
	va_list arguments, again;
	int size;

	va_start(arguments, format);
	va_copy(again, arguments);
	size = vsnprintf(NULL, 0, format, arguments);
	assert(size >= 0);
	vsnprintf(buf_reserve(buf, (size_t)size + 1), (size_t)size + 1, format, again);
	buf->end += (size_t)size;
	va_end(again);
	va_end(arguments);
}

void buf_consume(struct buf *buf, size_t size)
{
	assert(size <= buf_size(buf));
	buf->start += size;
	if (buf->start == buf->end)
		buf_reset(buf);
}

void buf_reset(struct buf *buf)
{
	buf->start = 0;
	buf->end = 0;
}

void buf_trim(struct buf *buf)
{
	if (buf->end == buf->start) {
		buf_clear(buf);
	} else if (buf->end < buf->capacity) {
		buf->memory = mem_resize(buf->memory, buf->capacity, buf->end);
		buf->capacity = buf->end;
	}
}

void buf_clear(struct buf *buf)
{
	mem_give(buf->memory, buf->capacity);
	*buf = (struct buf) { 0 };
}
