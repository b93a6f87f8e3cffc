#include "base/buf.h"

#include <assert.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BUF_FIRST 256 /* bytes of the first allocation */
#define KEPT_MAX 32   /* blocks that a thread keeps for its next buffers */
#ifdef NEAP_SANITIZE
#define KEPT_SIZE SIZE_MAX /* none: the sanitizers watch malloc's blocks, one by one */
#else
#define KEPT_SIZE 2048 /* bytes of each */
#endif

/* What malloc keeps for a thread ends at 1 KiB; for more it searches, splits and joins. Most
 * answers of providers are somewhat longer. Threads that fill buffers live as long as the
 * process, so that nobody gives this back. One behind the other, each begins with the
 * address of the next. */
static _Thread_local struct {
	char *first;
	size_t count;
} kept;

static char *take_memory(size_t capacity)
{
	char *memory = kept.first;

	if (capacity != KEPT_SIZE || !memory)
		return xmalloc(capacity);
	memcpy(&kept.first, memory, sizeof(kept.first));
	kept.count--;
	return memory;
}

static void give_memory(char *memory, size_t capacity)
{
	if (!memory || capacity != KEPT_SIZE || kept.count >= KEPT_MAX) {
		free(memory);
		return;
	}
	memcpy(memory, &kept.first, sizeof(kept.first));
	kept.first = memory;
	kept.count++;
}

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
		memory = take_memory(wanted);
		if (buf->memory)
			memcpy(memory, buf->memory + buf->start, used);
		give_memory(buf->memory, buf->capacity);
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
		buf->memory = xrealloc(buf->memory, buf->end);
		buf->capacity = buf->end;
	}
}

void buf_clear(struct buf *buf)
{
	give_memory(buf->memory, buf->capacity);
	*buf = (struct buf) { 0 };
}
