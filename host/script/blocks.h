/* blocks.h - small blocks of memory for one Lua state.
 *
 * Lua allocates a hundred small things for each request and frees them soon after. Blocks
 * of up to BLOCKS_MAX bytes come from chunks that belong to the state and go back to a
 * free list by size; larger ones are malloc's. The chunks are freed with the state. One
 * thread at a time. */
#pragma once

#include <stddef.h>

#define BLOCKS_MAX 1536 /* bytes */

struct blocks {
	void *free[BLOCKS_MAX / 16 + 1];
	void *chunks; /* newest first */
	char *fresh;  /* what is left of the newest */
	size_t fresh_size;
};

/* As realloc() with the old size: size 0 frees. */
void *blocks_change(struct blocks *blocks, void *old, size_t old_size, size_t size);
void blocks_clear(struct blocks *blocks);
