#include "script/blocks.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

#define CHUNK (32 * 1024) /* bytes */

#ifdef NEAP_SANITIZE

/* The sanitizers watch malloc's blocks, one by one. */
void *blocks_change(struct blocks *blocks, void *old, size_t old_size, size_t size)
{
	(void)blocks;
	(void)old_size;
	if (size)
		return xrealloc(old, size);
	free(old);
	return NULL;
}

#else

static size_t class_of(size_t size)
{
	return (size + 15) / 16;
}

static void *take(struct blocks *blocks, size_t size)
{
	size_t class = class_of(size);
	void *block = blocks->free[class];

	if (block) {
		memcpy(&blocks->free[class], block, sizeof(void *));
		return block;
	}
	size = class * 16;
	if (blocks->fresh_size < size) {
		void **chunk = xmalloc(CHUNK);

		*chunk = blocks->chunks;
		blocks->chunks = chunk;
		blocks->fresh = (char *)chunk + 16;
		blocks->fresh_size = CHUNK - 16;
	}
	block = blocks->fresh;
	blocks->fresh += size;
	blocks->fresh_size -= size;
	return block;
}

static void give(struct blocks *blocks, void *block, size_t size)
{
	size_t class = class_of(size);

	memcpy(block, &blocks->free[class], sizeof(void *));
	blocks->free[class] = block;
}

static void *allocate(struct blocks *blocks, size_t size)
{
	return size > BLOCKS_MAX ? xmalloc(size) : take(blocks, size);
}

static void release(struct blocks *blocks, void *block, size_t size)
{
	if (size > BLOCKS_MAX)
		free(block);
	else
		give(blocks, block, size);
}

void *blocks_change(struct blocks *blocks, void *old, size_t old_size, size_t size)
{
	void *block;

	if (!old)
		return size ? allocate(blocks, size) : NULL;
	if (!size) {
		release(blocks, old, old_size);
		return NULL;
	}
	if (old_size > BLOCKS_MAX && size > BLOCKS_MAX)
		return xrealloc(old, size);
	if (class_of(old_size) == class_of(size))
		return old;
	block = allocate(blocks, size);
	memcpy(block, old, old_size < size ? old_size : size);
	release(blocks, old, old_size);
	return block;
}

#endif

void blocks_clear(struct blocks *blocks)
{
	while (blocks->chunks) {
		void *next = *(void **)blocks->chunks;

		free(blocks->chunks);
		blocks->chunks = next;
	}
}
