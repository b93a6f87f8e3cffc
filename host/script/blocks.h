/* blocks.h - small blocks of memory for one Lua state.
 *
 * Lua allocates a hundred small things for each request and frees them soon after. Blocks
 * of up to BLOCKS_MAX bytes come from chunks that belong to the state and go back to a
 * free list by size; larger ones are malloc's. The chunks are freed with the state. They
 * are large: what a request touches lies all over them, and to find out where a page is
 * takes as long as to read from it. One thread at a time. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#define BLOCKS_MAX 1536 /* bytes */

struct blocks {
	void *free[BLOCKS_MAX / 16 + 1];
	void *chunks; /* newest first */
	char *fresh;  /* what is left of the newest */
	size_t fresh_size;
};

static inline size_t blocks_class(size_t size)
{
	return (size + 15) / 16;
}

static inline bool blocks_is_small(size_t size)
{
#ifdef NEAP_SANITIZE
	/* The sanitizers watch malloc's blocks, one by one. */
	(void)size;
	return false;
#else
	return size <= BLOCKS_MAX;
#endif
}

/* A small block of a class that has no free one. */
void *blocks_cut(struct blocks *blocks, size_t size);
/* What blocks_change() does where a large block is in the play, or both sizes are not 0. */
void *blocks_move(struct blocks *blocks, void *old, size_t old_size, size_t size);
void blocks_clear(struct blocks *blocks);

static inline void *blocks_take(struct blocks *blocks, size_t size)
{
	void **first = &blocks->free[blocks_class(size)];
	void *block = *first;

	if (!block)
		return blocks_cut(blocks, size);
	memcpy(first, block, sizeof(*first));
	/* It was freed megabytes of other blocks ago, and is out of the processor's caches: on
	 * its way back while the program does something else. */
	__builtin_prefetch(*first, 1);
	return block;
}

static inline void blocks_give(struct blocks *blocks, void *block, size_t size)
{
	void **first = &blocks->free[blocks_class(size)];

	memcpy(block, first, sizeof(*first));
	*first = block;
}

/* As realloc() with the old size: size 0 frees. Here, and not in blocks.c, because Lua calls
 * it a hundred times for each request. */
static inline void *blocks_change(struct blocks *blocks, void *old, size_t old_size,
	size_t size)
{
	if (!size && blocks_is_small(old_size)) {
		if (old)
			blocks_give(blocks, old, old_size);
		return NULL;
	}
	if (!old && blocks_is_small(size))
		return blocks_take(blocks, size);
	return blocks_move(blocks, old, old_size, size);
}
