/* map.h - text keys to pointers.
 *
 * Keys are copied, values are borrowed. Not for several threads: who
 * shares a map locks. */
#pragma once

#include <stddef.h>

struct map;

typedef void map_fn(const char *key, size_t key_size, void *value, void *arg);

struct map *map_new(void);
void *map_get(const struct map *map, const char *key, size_t key_size); /* NULL: none */
/* Returns what stood there before, or NULL. The value must not be NULL. */
void *map_set(struct map *map, const char *key, size_t key_size, void *value);
void *map_remove(struct map *map, const char *key, size_t key_size);
size_t map_count(const struct map *map);
/* In no order; fn must not change the map. */
void map_each(const struct map *map, map_fn *fn, void *arg);
void map_free(struct map *map);
