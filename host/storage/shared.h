/* shared.h - small values that all workers see at once: what policies count in.
 *
 * Text keys to numbers, booleans and short texts, with expiry; each call is atomic.
 * Striped locks, held for a few instructions and never while anything else runs. Lost
 * when the process ends. Any thread. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/mem.h"

#define SHARED_KEY_MAX 1024
#define SHARED_TEXT_MAX (64 * 1024)

struct shared;

enum shared_kind { SHARED_NONE, SHARED_NUMBER, SHARED_BOOLEAN, SHARED_TEXT };

struct shared_value {
	enum shared_kind kind;
	double number;    /* NUMBER; BOOLEAN: 0 or 1 */
	const char *text; /* TEXT */
	size_t text_size;
};

/* memory_max: bytes for all entries together. When it is full, setting fails with -ENOSPC
 * after the expired ones were dropped. */
struct shared *shared_new(size_t memory_max);
void shared_free(struct shared *shared);

/* A TEXT result is a copy that the caller frees. */
struct shared_value shared_get(struct shared *shared, const char *key, size_t key_size);
/* ttl_ms 0: for ever. A NONE value removes. -ENOSPC, -EMSGSIZE. */
MUST_CHECK
int shared_set(struct shared *shared, const char *key, size_t key_size,
	const struct shared_value *value, int64_t ttl_ms);
/* Adds to a number (a missing or expired entry counts as 0 and gets ttl_ms from now; an
 * existing one keeps its own expiry). Where the sum would pass limit (NAN: none) nothing
 * changes and it returns -EDQUOT; -EINVAL where a value of another kind stands. */
MUST_CHECK
int shared_add(struct shared *shared, const char *key, size_t key_size, double step,
	int64_t ttl_ms, double limit, double *sum);
/* Sets fresh if the present value equals old (NONE: there is none). Returns 1 if it did,
 * 0 if not, or as shared_set. */
MUST_CHECK
int shared_swap(struct shared *shared, const char *key, size_t key_size,
	const struct shared_value *old, const struct shared_value *fresh, int64_t ttl_ms);
