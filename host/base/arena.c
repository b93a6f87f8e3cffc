#include "base/arena.h"

#include <assert.h>
#include <stdalign.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ARENA_BLOCK 1024 /* bytes of an ordinary block, its header included */

struct arena_block {
	struct arena_block *next;
	size_t used;
	size_t capacity;
	alignas(max_align_t) char memory[];
};

static struct arena_block *add_block(struct arena *arena, size_t size)
{
	size_t capacity = ARENA_BLOCK - sizeof(struct arena_block);
	struct arena_block *block;

	if (size > capacity)
		capacity = size;
	block = mem_take(sizeof(*block) + capacity);
	block->next = arena->blocks;
	block->used = 0;
	block->capacity = capacity;
	arena->blocks = block;
	return block;
}

void *arena_alloc(struct arena *arena, size_t size)
{
	size_t unit = alignof(max_align_t);
	struct arena_block *block = arena->blocks;
	void *memory;

	size = (size + unit - 1) / unit * unit;
	if (!block || block->capacity - block->used < size)
		block = add_block(arena, size);
	memory = block->memory + block->used;
	block->used += size;
	return memory;
}

void *arena_calloc(struct arena *arena, size_t size)
{
	return memset(arena_alloc(arena, size), 0, size);
}

char *arena_strdup(struct arena *arena, const void *data, size_t size)
{
	char *copy = arena_alloc(arena, size + 1);

	if (size)
		memcpy(copy, data, size);
	copy[size] = '\0';
	return copy;
}

char *arena_printf(struct arena *arena, const char *format, ...)
{
	va_list arguments, again;
	char *text;
	int size;

	va_start(arguments, format);
	va_copy(again, arguments);
	size = vsnprintf(NULL, 0, format, arguments);
	assert(size >= 0);
	text = arena_alloc(arena, (size_t)size + 1);
	vsnprintf(text, (size_t)size + 1, format, again);
	va_end(again);
	va_end(arguments);
	return text;
}

void arena_clear(struct arena *arena)
{
	while (arena->blocks) {
		struct arena_block *next = arena->blocks->next;

		mem_give(arena->blocks, sizeof(*next) + arena->blocks->capacity);
		arena->blocks = next;
	}
}
