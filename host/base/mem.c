#include "base/mem.h"

#include <malloc.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* Bytes; larger blocks are mapped one by one, and each of their pages is a fault. A body that
 * lies in memory is smaller. */
#define MAPPED_FROM (4 * 1024 * 1024)
#define SMALL 1024                      /* bytes of a block that a thread keeps */
#define TRIMMED_FROM (16 * 1024 * 1024) /* bytes free at the end of a heap */

/* What malloc keeps for a thread are seven blocks of a size, and none above 1 KiB: with more
 * requests at once it searches, splits and joins. A thread that answers requests keeps more,
 * one behind the other: each begins with the address of the next. */
#define KEPT_STEP 128 /* bytes between two sizes */
#define KEPT_SIZES 16 /* up to 2 KiB: most answers of providers are longer than 1 */
#define KEPT_COUNT 64 /* blocks of each size */

static _Thread_local bool keeps;
static _Thread_local struct kept {
	void *first;
	size_t count;
} kept[KEPT_SIZES];

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

/* Where blocks of this size are kept; NULL: malloc has them. */
static inline struct kept *kept_of(size_t size)
{
#ifdef NEAP_SANITIZE
	/* The sanitizers watch malloc's blocks, one by one. */
	(void)size;
	return NULL;
#else
	return size - 1 < KEPT_STEP * KEPT_SIZES ? &kept[(size - 1) / KEPT_STEP] : NULL;
#endif
}

void *mem_take(size_t size)
{
	struct kept *at = kept_of(size);
	void *memory = at ? at->first : NULL;

	if (!memory)
		return xmalloc(at ? (size_t)(at - kept + 1) * KEPT_STEP : size);
	memcpy(&at->first, memory, sizeof(at->first));
	at->count--;
	return memory;
}

void mem_give(void *memory, size_t size)
{
	struct kept *at = kept_of(size);

	if (!memory || !at || !keeps || at->count == KEPT_COUNT) {
		free(memory);
		return;
	}
	memcpy(memory, &at->first, sizeof(at->first));
	at->first = memory;
	at->count++;
}

void *mem_resize(void *old, size_t old_size, size_t size)
{
	void *memory;

	if (!kept_of(old_size) && !kept_of(size))
		return xrealloc(old, size);
	memory = mem_take(size);
	if (old)
		memcpy(memory, old, old_size < size ? old_size : size);
	mem_give(old, old_size);
	return memory;
}

void mem_keep(bool is_keeping)
{
	keeps = is_keeping;
	for (size_t i = 0; i < KEPT_SIZES && !keeps; i++)
		while (kept[i].first)
			free(mem_take((i + 1) * KEPT_STEP));
}

void *xmalloc(size_t size)
{
	return check(malloc(size ? size : 1), size);
}

void *mem_map_large(void)
{
	/* In twice the size there is one at a multiple of it. */
	size_t size = 2 * MEM_LARGE;
	char *start = mmap(NULL, size, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	size_t before;
	char *memory;

	check(start == MAP_FAILED ? NULL : start, size);
	before = -(uintptr_t)start % MEM_LARGE;
	memory = start + before;
	if (before)
		munmap(start, before);
	munmap(memory + MEM_LARGE, MEM_LARGE - before);
	madvise(memory, MEM_LARGE, MADV_HUGEPAGE);
	return memory;
}

void mem_unmap_large(void *memory)
{
	munmap(memory, MEM_LARGE);
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
