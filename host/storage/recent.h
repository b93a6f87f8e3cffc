/* recent.h - what was seen lately: short texts by the hash of others, in fixed memory.
 *
 * A table that forgets: each key has a few places that it may stand in, and a new entry
 * takes the one that ends first. So it never grows, never fails, and a look costs the
 * same whatever is in it. Two keys are told apart by 64 bits of a hash with a secret of
 * the process; who depends on more asks elsewhere. Any thread. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RECENT_TEXT_MAX 39 /* bytes; a longer text is not kept */
#define RECENT_SECRET 16   /* bytes */

struct recent;

/* entries: how many it holds, a power of two from 256 on. 64 bytes each. */
struct recent *recent_new(size_t entries);
void recent_free(struct recent *recent);

/* What makes the keys of one scope: the same text in another scope has another key. */
struct recent_scope {
	unsigned char secret[RECENT_SECRET];
};

struct recent_scope recent_scope(const struct recent *recent, const char *name,
	size_t size);
uint64_t recent_key(const struct recent_scope *scope, const char *text, size_t size);
/* Copies the text into out and returns its size; 0 where there is none any more. */
size_t recent_get(struct recent *recent, uint64_t key, char out[RECENT_TEXT_MAX]);
/* Keeps the text for ttl_ms from now, in place of what stood there. */
void recent_put(struct recent *recent, uint64_t key, const char *text, size_t size,
	int64_t ttl_ms);
