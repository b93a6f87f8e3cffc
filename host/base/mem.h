/* mem.h - allocation that cannot fail, and the marks that other headers use.
 *
 * Memory is bounded by limits (sizes, counts, connections), not by checking every
 * malloc: when the system refuses memory the process ends with a log line. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* A fallible function returns 0 or a negative errno, and the caller must look. */
#define MUST_CHECK __attribute__((warn_unused_result))
#define PRINTF_LIKE(format_at, arguments_at) \
	__attribute__((format(printf, format_at, arguments_at)))

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))
#define CONTAINER_OF(pointer, type, member) \
	((type *)(void *)(((char *)(pointer)) - offsetof(type, member)))

/* Once, before the first thread: the buffers of one request after another take memory that
 * the process has, instead of giving it to the system and asking again each time. */
void mem_prepare(void);

/* From now on, or no more, the calling thread keeps blocks that it gives back for those that
 * it takes next. A thread that ends keeps none. */
void mem_keep(bool is_keeping);
/* Blocks that come and go with each request: take is as xmalloc(), give as free() with the
 * size that was taken, resize as xrealloc() with it. Blocks that xmalloc() gave are none of
 * them, but any of them may be free()d as well. */
void *mem_take(size_t size);
void mem_give(void *memory, size_t size);
void *mem_resize(void *old, size_t old_size, size_t size);

/* Memory of that size at a multiple of it, all zero. Where the system does so when it is
 * asked, it is one page for the processor and not 512. */
#define MEM_LARGE (2 * 1024 * 1024)
void *mem_map_large(void);
void mem_unmap_large(void *memory);

void *xmalloc(size_t size);
void *xcalloc(size_t count, size_t size);
void *xrealloc(void *old, size_t size);
char *xstrdup(const char *text);
/* A copy of size bytes with a NUL behind them. */
char *xmemdup(const void *data, size_t size);
