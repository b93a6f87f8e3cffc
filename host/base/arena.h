/* arena.h - memory of one lifetime, freed together.
 *
 *	struct arena arena = { 0 };        // all zero is an empty arena
 *	char *name = arena_strdup(&arena, "x", 1);
 *	arena_clear(&arena);               // frees everything that came from it
 *
 * Nothing in an arena is freed alone. Not for what grows without limit. */
#pragma once

#include <stddef.h>

#include "base/mem.h"

struct arena_block;

struct arena {
	struct arena_block *blocks; /* newest first */
};

/* Aligned for any type, not zeroed. */
void *arena_alloc(struct arena *arena, size_t size);
void *arena_calloc(struct arena *arena, size_t size);
/* A copy of size bytes with a NUL behind them. */
char *arena_strdup(struct arena *arena, const void *data, size_t size);
char *arena_printf(struct arena *arena, const char *format, ...) PRINTF_LIKE(2, 3);
void arena_clear(struct arena *arena);
