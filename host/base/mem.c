#include "base/mem.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Bytes; larger blocks are mapped one by one, and each of their pages is a fault. A body that
 * lies in memory is smaller. */
#define MAPPED_FROM (4 * 1024 * 1024)
#define SMALL 1024                      /* bytes of a block that a thread keeps */
#define TRIMMED_FROM (16 * 1024 * 1024) /* bytes free at the end of a heap */

void mem_prepare(void)
{
	mallopt(M_MMAP_THRESHOLD, MAPPED_FROM);
	mallopt(M_TRIM_THRESHOLD, TRIMMED_FROM);
}

static void *check(void *memory, size_t size)
{
	if (!memory) {
		/* No log call: it would allocate. */
		fprintf(stderr, "out of memory: %zu bytes refused\n", size);
		abort();
	}
	return memory;
}

void *xmalloc(size_t size)
{
	return check(malloc(size ? size : 1), size);
}

/* glibc's calloc() passes by what its thread has kept for small blocks, and takes five times
 * as long. */
void *xcalloc(size_t count, size_t size)
{
	if (count <= 1 && size <= SMALL)
		return memset(xmalloc(size), 0, size);
	return check(calloc(count ? count : 1, size ? size : 1), size);
}

void *xrealloc(void *old, size_t size)
{
	return check(realloc(old, size ? size : 1), size);
}

char *xmemdup(const void *data, size_t size)
{
	char *copy = xmalloc(size + 1);

	if (size)
		memcpy(copy, data, size);
	copy[size] = '\0';
	return copy;
}

char *xstrdup(const char *text)
{
	return xmemdup(text, strlen(text));
}
