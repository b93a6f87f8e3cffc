#include "script/blocks.h"

#include <stdlib.h>

#include "base/mem.h"

void *blocks_cut(struct blocks *blocks, size_t size)
{
	void *block;

	size = blocks_class(size) * 16;
	if (blocks->fresh_size < size) {
		void **chunk = mem_map_large();

		*chunk = blocks->chunks;
		blocks->chunks = chunk;
		blocks->fresh = (char *)chunk + 16;
		blocks->fresh_size = MEM_LARGE - 16;
	}
	block = blocks->fresh;
	blocks->fresh += size;
	blocks->fresh_size -= size;
	return block;
}

static void *allocate(struct blocks *blocks, size_t size)
{
	return blocks_is_small(size) ? blocks_take(blocks, size) : xmalloc(size);
}

static void release(struct blocks *blocks, void *block, size_t size)
{
	if (blocks_is_small(size))
		blocks_give(blocks, block, size);
	else
		free(block);
}

void *blocks_move(struct blocks *blocks, void *old, size_t old_size, size_t size)
{
	void *block;

	if (!old)
		return size ? allocate(blocks, size) : NULL;
	if (!size) {
		release(blocks, old, old_size);
		return NULL;
	}
	if (!blocks_is_small(old_size) && !blocks_is_small(size))
		return xrealloc(old, size);
	if (blocks_class(old_size) == blocks_class(size))
		return old;
	block = allocate(blocks, size);
	memcpy(block, old, old_size < size ? old_size : size);
	release(blocks, old, old_size);
	return block;
}

void blocks_clear(struct blocks *blocks)
{
	while (blocks->chunks) {
		void *next = *(void **)blocks->chunks;

		mem_unmap_large(blocks->chunks);
		blocks->chunks = next;
	}
}
