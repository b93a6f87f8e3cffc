#include "storage/shared.h"

#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/map.h"

#define STRIPES 64     /* a power of two */
#define ENTRY_COST 128 /* bytes that an entry takes besides its key and text */

struct entry {
	int64_t expires_ms; /* clock_ms(); 0: never */
	struct shared_value value;
	size_t key_size;
	char *text; /* the value's, or NULL */
	char key[];
};

struct stripe {
	pthread_mutex_t lock;
	struct map *entries;
	int64_t sweep_ms; /* no entry expires before this; INT64_MAX: none ever */
};

struct shared {
	struct stripe stripes[STRIPES];
	size_t memory_max;
	_Atomic size_t memory;
};

static size_t cost_of(const struct entry *entry)
{
	size_t text = entry->value.kind == SHARED_TEXT ? entry->value.text_size : 0;

	/* The key is in the map and in the entry. */
	return ENTRY_COST + 2 * entry->key_size + text;
}

static void free_entry(struct entry *entry)
{
	free(entry->text);
	free(entry);
}

static void free_each(const char *key, size_t key_size, void *value, void *arg)
{
	(void)key;
	(void)key_size;
	(void)arg;
	free_entry(value);
}

struct shared *shared_new(size_t memory_max)
{
	struct shared *shared = xcalloc(1, sizeof(*shared));

	shared->memory_max = memory_max;
	for (size_t i = 0; i < STRIPES; i++) {
		pthread_mutex_init(&shared->stripes[i].lock, NULL);
		shared->stripes[i].entries = map_new();
		shared->stripes[i].sweep_ms = INT64_MAX;
	}
	return shared;
}

void shared_free(struct shared *shared)
{
	if (!shared)
		return;
	for (size_t i = 0; i < STRIPES; i++) {
		map_each(shared->stripes[i].entries, free_each, NULL);
		map_free(shared->stripes[i].entries);
		pthread_mutex_destroy(&shared->stripes[i].lock);
	}
	free(shared);
}

static struct stripe *lock_stripe(struct shared *shared, const char *key, size_t key_size)
{
	struct stripe *stripe;
	uint32_t hash = 5381;

	for (size_t i = 0; i < key_size; i++)
		hash = hash * 33 + (unsigned char)key[i];
	stripe = &shared->stripes[(hash ^ hash >> 16) & (STRIPES - 1)];
	pthread_mutex_lock(&stripe->lock);
	return stripe;
}

static void drop(struct shared *shared, struct stripe *stripe, struct entry *entry)
{
	map_remove(stripe->entries, entry->key, entry->key_size);
	shared->memory -= cost_of(entry);
	free_entry(entry);
}

static struct entry *find(struct shared *shared, struct stripe *stripe, const char *key,
	size_t key_size)
{
	struct entry *entry = map_get(stripe->entries, key, key_size);

	if (!entry || !entry->expires_ms || entry->expires_ms > clock_ms())
		return entry;
	drop(shared, stripe, entry);
	return NULL;
}

struct sweep {
	struct entry **expired;
	size_t count;
	int64_t now;
	int64_t next_ms;
};

static void sort_out(const char *key, size_t key_size, void *value, void *arg)
{
	struct entry *entry = value;
	struct sweep *sweep = arg;

	(void)key;
	(void)key_size;
	if (!entry->expires_ms)
		return;
	if (entry->expires_ms <= sweep->now)
		sweep->expired[sweep->count++] = entry;
	else if (entry->expires_ms < sweep->next_ms)
		sweep->next_ms = entry->expires_ms;
}

static void sweep_stripe(struct shared *shared, struct stripe *stripe, int64_t now)
{
	struct sweep sweep = { .now = now, .next_ms = INT64_MAX };

	if (stripe->sweep_ms > now)
		return;
	sweep.expired = xcalloc(map_count(stripe->entries) + 1, sizeof(struct entry *));
	map_each(stripe->entries, sort_out, &sweep);
	for (size_t i = 0; i < sweep.count; i++)
		drop(shared, stripe, sweep.expired[i]);
	stripe->sweep_ms = sweep.next_ms;
	free(sweep.expired);
}

/* Takes one lock after the other, never two: the caller holds none. */
static void sweep_all(struct shared *shared)
{
	int64_t now = clock_ms();

	for (size_t i = 0; i < STRIPES; i++) {
		pthread_mutex_lock(&shared->stripes[i].lock);
		sweep_stripe(shared, &shared->stripes[i], now);
		pthread_mutex_unlock(&shared->stripes[i].lock);
	}
}

/* Puts an entry in place of what stands there. -ENOSPC leaves everything as it was. */
static int replace(struct shared *shared, struct stripe *stripe, const char *key,
	size_t key_size, const struct shared_value *value, int64_t ttl_ms)
{
	struct entry *old = map_get(stripe->entries, key, key_size);
	struct entry *entry;
	size_t freed = old ? cost_of(old) : 0;

	if (value->kind == SHARED_NONE) {
		if (old)
			drop(shared, stripe, old);
		return 0;
	}
	entry = xcalloc(1, sizeof(*entry) + key_size);
	memcpy(entry->key, key, key_size);
	entry->key_size = key_size;
	entry->value = *value;
	if (shared->memory - freed + cost_of(entry) > shared->memory_max) {
		free(entry);
		return -ENOSPC;
	}
	if (value->kind == SHARED_TEXT)
		entry->value.text = entry->text = xmemdup(value->text, value->text_size);
	entry->expires_ms = ttl_ms ? clock_ms() + ttl_ms : 0;
	if (ttl_ms && entry->expires_ms < stripe->sweep_ms)
		stripe->sweep_ms = entry->expires_ms;
	shared->memory += cost_of(entry);
	map_set(stripe->entries, entry->key, key_size, entry);
	if (old) {
		shared->memory -= freed;
		free_entry(old);
	}
	return 0;
}

static int check(size_t key_size, const struct shared_value *value)
{
	bool is_long = value->kind == SHARED_TEXT && value->text_size > SHARED_TEXT_MAX;

	return key_size > SHARED_KEY_MAX || is_long ? -EMSGSIZE : 0;
}

struct shared_value shared_get(struct shared *shared, const char *key, size_t key_size)
{
	struct stripe *stripe = lock_stripe(shared, key, key_size);
	struct entry *entry = find(shared, stripe, key, key_size);
	struct shared_value value = { 0 };

	if (entry)
		value = entry->value;
	if (value.kind == SHARED_TEXT)
		value.text = xmemdup(entry->text, value.text_size);
	pthread_mutex_unlock(&stripe->lock);
	return value;
}

static int set_once(struct shared *shared, const char *key, size_t key_size,
	const struct shared_value *value, int64_t ttl_ms)
{
	struct stripe *stripe = lock_stripe(shared, key, key_size);
	int rc = replace(shared, stripe, key, key_size, value, ttl_ms);

	pthread_mutex_unlock(&stripe->lock);
	return rc;
}

int shared_set(struct shared *shared, const char *key, size_t key_size,
	const struct shared_value *value, int64_t ttl_ms)
{
	int rc = check(key_size, value);

	if (rc != 0)
		return rc;
	rc = set_once(shared, key, key_size, value, ttl_ms);
	if (rc != -ENOSPC)
		return rc;
	sweep_all(shared);
	return set_once(shared, key, key_size, value, ttl_ms);
}

static int add_once(struct shared *shared, const char *key, size_t key_size, double step,
	int64_t ttl_ms, double limit, double *sum)
{
	struct stripe *stripe = lock_stripe(shared, key, key_size);
	struct entry *entry = find(shared, stripe, key, key_size);
	struct shared_value fresh = { .kind = SHARED_NUMBER, .number = step };
	int rc = 0;

	if (entry)
		fresh.number += entry->value.number;
	if (entry && entry->value.kind != SHARED_NUMBER)
		rc = -EINVAL;
	else if (!isnan(limit) && fresh.number > limit)
		rc = -EDQUOT;
	else if (entry)
		entry->value.number = fresh.number;
	else
		rc = replace(shared, stripe, key, key_size, &fresh, ttl_ms);
	pthread_mutex_unlock(&stripe->lock);
	if (rc == 0)
		*sum = fresh.number;
	return rc;
}

int shared_add(struct shared *shared, const char *key, size_t key_size, double step,
	int64_t ttl_ms, double limit, double *sum)
{
	int rc;

	if (key_size > SHARED_KEY_MAX)
		return -EMSGSIZE;
	rc = add_once(shared, key, key_size, step, ttl_ms, limit, sum);
	if (rc != -ENOSPC)
		return rc;
	sweep_all(shared);
	return add_once(shared, key, key_size, step, ttl_ms, limit, sum);
}

static bool is_same(const struct shared_value *one, const struct shared_value *other)
{
	if (one->kind != other->kind)
		return false;
	if (one->kind == SHARED_TEXT)
		return one->text_size == other->text_size &&
			memcmp(one->text, other->text, one->text_size) == 0;
	return one->kind == SHARED_NONE || one->number == other->number;
}

static int swap_once(struct shared *shared, const char *key, size_t key_size,
	const struct shared_value *old, const struct shared_value *fresh, int64_t ttl_ms)
{
	static const struct shared_value none = { 0 };
	struct stripe *stripe = lock_stripe(shared, key, key_size);
	struct entry *entry = find(shared, stripe, key, key_size);
	int rc = 0;

	if (is_same(entry ? &entry->value : &none, old)) {
		rc = replace(shared, stripe, key, key_size, fresh, ttl_ms);
		rc = rc == 0 ? 1 : rc;
	}
	pthread_mutex_unlock(&stripe->lock);
	return rc;
}

int shared_swap(struct shared *shared, const char *key, size_t key_size,
	const struct shared_value *old, const struct shared_value *fresh, int64_t ttl_ms)
{
	int rc = check(key_size, fresh);

	if (rc != 0)
		return rc;
	rc = swap_once(shared, key, key_size, old, fresh, ttl_ms);
	if (rc != -ENOSPC)
		return rc;
	sweep_all(shared);
	return swap_once(shared, key, key_size, old, fresh, ttl_ms);
}
