#include "storage/recent.h"

#include <assert.h>
#include <pthread.h>
#include <string.h>

#include <sodium.h>

#include "base/clock.h"
#include "base/mem.h"

#define WAYS 4   /* places of a key */
#define LOCKS 64 /* a power of two */

_Static_assert(RECENT_SECRET == crypto_shorthash_KEYBYTES, "a secret of the hash");

struct entry {
	uint64_t key;
	int64_t ends_ms; /* clock_tick_ms(); 0: empty */
	uint8_t size;
	char text[RECENT_TEXT_MAX];
};

struct recent {
	size_t mask; /* of the places' groups */
	unsigned char secret[RECENT_SECRET];
	pthread_mutex_t locks[LOCKS];
	struct entry entries[];
};

struct recent *recent_new(size_t entries)
{
	struct recent *recent;

	assert(entries >= LOCKS * WAYS && (entries & (entries - 1)) == 0);
	recent = xcalloc(1, sizeof(*recent) + entries * sizeof(struct entry));
	recent->mask = entries / WAYS - 1;
	randombytes_buf(recent->secret, sizeof(recent->secret));
	for (size_t i = 0; i < LOCKS; i++)
		pthread_mutex_init(&recent->locks[i], NULL);
	return recent;
}

void recent_free(struct recent *recent)
{
	if (!recent)
		return;
	for (size_t i = 0; i < LOCKS; i++)
		pthread_mutex_destroy(&recent->locks[i]);
	free(recent);
}

struct recent_scope recent_scope(const struct recent *recent, const char *name,
	size_t size)
{
	struct recent_scope scope;
	uint64_t hash;

	/* The scope makes the secret of its texts: no text can stand in for another's
	 * scope and text together. */
	crypto_shorthash((unsigned char *)&hash, (const unsigned char *)name, size,
		recent->secret);
	memcpy(scope.secret, recent->secret, sizeof(scope.secret));
	for (size_t i = 0; i < sizeof(hash); i++)
		scope.secret[i] ^= (unsigned char)(hash >> 8 * i);
	return scope;
}

uint64_t recent_key(const struct recent_scope *scope, const char *text, size_t size)
{
	uint64_t hash;

	crypto_shorthash((unsigned char *)&hash, (const unsigned char *)text, size,
		scope->secret);
	return hash;
}

static struct entry *lock_places(struct recent *recent, uint64_t key,
	pthread_mutex_t **lock)
{
	size_t group = (size_t)key & recent->mask;

	*lock = &recent->locks[group & (LOCKS - 1)];
	pthread_mutex_lock(*lock);
	return &recent->entries[group * WAYS];
}

size_t recent_get(struct recent *recent, uint64_t key, char out[RECENT_TEXT_MAX])
{
	pthread_mutex_t *lock;
	const struct entry *places = lock_places(recent, key, &lock);
	int64_t now = clock_tick_ms();
	size_t size = 0;

	for (size_t i = 0; i < WAYS; i++) {
		if (places[i].key != key || places[i].ends_ms <= now)
			continue;
		size = places[i].size;
		memcpy(out, places[i].text, size);
		break;
	}
	pthread_mutex_unlock(lock);
	return size;
}

void recent_put(struct recent *recent, uint64_t key, const char *text, size_t size,
	int64_t ttl_ms)
{
	pthread_mutex_t *lock;
	struct entry *places, *place;

	if (size > RECENT_TEXT_MAX)
		return;
	places = lock_places(recent, key, &lock);
	place = &places[0];
	for (size_t i = 0; i < WAYS && place->key != key; i++)
		if (places[i].key == key || places[i].ends_ms < place->ends_ms)
			place = &places[i];
	place->key = key;
	place->ends_ms = clock_tick_ms() + ttl_ms;
	place->size = (uint8_t)size;
	memcpy(place->text, text, size);
	pthread_mutex_unlock(lock);
}
