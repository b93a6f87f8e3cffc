/* mem.h - allocation that cannot fail, and the marks that other headers use.
 *
 * Memory is bounded by limits (sizes, counts, connections), not by checking every
 * malloc: when the system refuses memory the process ends with a log line. */
#pragma once

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

void *xmalloc(size_t size);
void *xcalloc(size_t count, size_t size);
void *xrealloc(void *old, size_t size);
char *xstrdup(const char *text);
/* A copy of size bytes with a NUL behind them. */
char *xmemdup(const void *data, size_t size);
