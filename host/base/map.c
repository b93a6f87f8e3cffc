#include "base/map.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

#define MAP_FIRST 16 /* buckets of a new map; always a power of two */

struct entry {
	struct entry *next;
	void *value;
	uint64_t hash;
	size_t key_size;
	char key[];
};

struct map {
	struct entry **buckets;
	size_t bucket_count;
	size_t count;
};

/* FNV-1a, 64 bits (Fowler, Noll, Vo). Keys come from the configuration and from
 * policies, not from strangers: no keyed hash is needed. */
static uint64_t hash_of(const char *key, size_t size)
{
	uint64_t hash = 14695981039346656037u;

	for (size_t i = 0; i < size; i++)
		hash = (hash ^ (unsigned char)key[i]) * 1099511628211u;
	return hash;
}

static struct entry **find(const struct map *map, const char *key, size_t size,
	uint64_t hash)
{
	struct entry **at = &map->buckets[hash & (map->bucket_count - 1)];

	while (*at &&
		((*at)->hash != hash || (*at)->key_size != size ||
			memcmp((*at)->key, key, size) != 0))
		at = &(*at)->next;
	return at;
}

static void grow(struct map *map)
{
	size_t count = map->bucket_count * 2;
	struct entry **buckets = xcalloc(count, sizeof(struct entry *));

	for (size_t i = 0; i < map->bucket_count; i++) {
		struct entry *entry = map->buckets[i];

		while (entry) {
			struct entry *next = entry->next;
			struct entry **bucket = &buckets[entry->hash & (count - 1)];

			entry->next = *bucket;
			*bucket = entry;
			entry = next;
		}
	}
	free(map->buckets);
	map->buckets = buckets;
	map->bucket_count = count;
}

struct map *map_new(void)
{
	struct map *map = xcalloc(1, sizeof(*map));

	map->bucket_count = MAP_FIRST;
	map->buckets = xcalloc(MAP_FIRST, sizeof(struct entry *));
	return map;
}

void *map_get(const struct map *map, const char *key, size_t key_size)
{
	struct entry *entry = *find(map, key, key_size, hash_of(key, key_size));

	return entry ? entry->value : NULL;
}

void *map_set(struct map *map, const char *key, size_t key_size, void *value)
{
	uint64_t hash = hash_of(key, key_size);
	struct entry **at = find(map, key, key_size, hash);
	struct entry *entry;

	if (*at) {
		void *old = (*at)->value;

		(*at)->value = value;
		return old;
	}
	entry = xmalloc(sizeof(*entry) + key_size);
	*entry = (struct entry) { .value = value, .hash = hash, .key_size = key_size };
	memcpy(entry->key, key, key_size);
	*at = entry;
	if (++map->count > map->bucket_count)
		grow(map);
	return NULL;
}

void *map_remove(struct map *map, const char *key, size_t key_size)
{
	struct entry **at = find(map, key, key_size, hash_of(key, key_size));
	struct entry *entry = *at;
	void *value;

	if (!entry)
		return NULL;
	value = entry->value;
	*at = entry->next;
	free(entry);
	map->count--;
	return value;
}

size_t map_count(const struct map *map)
{
	return map->count;
}

void map_each(const struct map *map, map_fn *fn, void *arg)
{
	for (size_t i = 0; i < map->bucket_count; i++)
		for (struct entry *entry = map->buckets[i]; entry; entry = entry->next)
			fn(entry->key, entry->key_size, entry->value, arg);
}

void map_free(struct map *map)
{
	if (!map)
		return;
	for (size_t i = 0; i < map->bucket_count; i++) {
		while (map->buckets[i]) {
			struct entry *next = map->buckets[i]->next;

			free(map->buckets[i]);
			map->buckets[i] = next;
		}
	}
	free(map->buckets);
	free(map);
}
