/* histogram.h - how long things took, in so few buckets that it can be kept for ever.
 *
 * Log-linear: up to 31 ms each millisecond has a bucket of its own, above each doubling
 * has 16. What a quantile says is at most 3.2 % away from the time that has that rank.
 * Times of HISTOGRAM_TOP_MS and more are told apart no further. Histograms add up without
 * loss, and only buckets that are not empty take room where they are packed. All zero is
 * empty. Plain memory, any thread. */
#pragma once

#include <stdint.h>

#include "storage/pack.h"

#define HISTOGRAM_BUCKETS 336
#define HISTOGRAM_WORDS ((HISTOGRAM_BUCKETS + 63) / 64)
#define HISTOGRAM_TOP_MS (1u << 24) /* 4.6 hours */
/* Bytes that are enough for histogram_pack(). */
#define HISTOGRAM_PACKED_MAX (PACK_NUMBER_MAX + HISTOGRAM_BUCKETS * (2 + PACK_NUMBER_MAX))

struct histogram {
	uint64_t used[HISTOGRAM_WORDS]; /* a bit for each bucket; no other is not 0 */
	uint64_t counts[HISTOGRAM_BUCKETS];
};

/* Which bucket a time falls into. */
unsigned histogram_bucket(uint32_t ms);
void histogram_add(struct histogram *histogram, unsigned bucket, uint64_t count);
void histogram_merge(struct histogram *into, const struct histogram *from);
/* Takes off what was merged into it. */
void histogram_subtract(struct histogram *from, const struct histogram *part);
/* Of all that are empty only what was in use is touched: cheaper than zeroing. */
void histogram_clear(struct histogram *histogram);
/* How many times it has seen. */
uint64_t histogram_count(const struct histogram *histogram);
/* The time that this share of all (0 to 1) does not exceed; 0 for an empty one. */
uint32_t histogram_quantile(const struct histogram *histogram, double share);

unsigned char *histogram_pack(const struct histogram *histogram, unsigned char *out);
/* Adds what was packed. Bad: buckets that there are not, or out of order. */
void histogram_unpack(struct histogram *into, struct unpack *from);
