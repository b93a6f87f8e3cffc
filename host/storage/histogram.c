#include "storage/histogram.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

#define PER_DOUBLING 16 /* buckets */
#define EXACT (2 * PER_DOUBLING)

/* Above EXACT the bucket is the doubling and the four bits below its leading one. */
unsigned histogram_bucket(uint32_t ms)
{
	unsigned doubling;

	if (ms >= HISTOGRAM_TOP_MS)
		ms = HISTOGRAM_TOP_MS - 1;
	if (ms < EXACT)
		return ms;
	doubling = 31 - (unsigned)__builtin_clz(ms) - 4;
	return doubling * PER_DOUBLING + (ms >> doubling);
}

/* The middle of a bucket, from which no time in it is further than half its width. */
static uint32_t middle(unsigned bucket)
{
	unsigned doubling;
	uint32_t least;

	if (bucket < EXACT)
		return bucket;
	doubling = bucket / PER_DOUBLING - 1;
	least = (uint32_t)(bucket % PER_DOUBLING + PER_DOUBLING) << doubling;
	return least + ((1u << doubling) - 1) / 2;
}

/* -- the buckets that are not empty, or were not once ------------------------------ */

struct walk {
	const uint64_t *used;
	uint64_t bits; /* of the word, that are still to come */
	unsigned word;
};

static inline struct walk walk_start(const struct histogram *histogram)
{
	return (struct walk) { histogram->used, histogram->used[0], 0 };
}

/* False: there are no more. */
static inline bool walk_next(struct walk *walk, unsigned *bucket)
{
	while (!walk->bits) {
		if (++walk->word == HISTOGRAM_WORDS)
			return false;
		walk->bits = walk->used[walk->word];
	}
	*bucket = walk->word * 64 + (unsigned)__builtin_ctzll(walk->bits);
	walk->bits &= walk->bits - 1;
	return true;
}

static inline void use(struct histogram *histogram, unsigned bucket)
{
	histogram->used[bucket / 64] |= (uint64_t)1 << bucket % 64;
}

/* -- counting --------------------------------------------------------------------- */

void histogram_add(struct histogram *histogram, unsigned bucket, uint64_t count)
{
	use(histogram, bucket);
	histogram->counts[bucket] += count;
}

void histogram_merge(struct histogram *into, const struct histogram *from)
{
	struct walk walk = walk_start(from);

	for (unsigned i; walk_next(&walk, &i);)
		histogram_add(into, i, from->counts[i]);
}

void histogram_subtract(struct histogram *from, const struct histogram *part)
{
	struct walk walk = walk_start(part);

	for (unsigned i; walk_next(&walk, &i);)
		histogram_add(from, i, 0 - part->counts[i]);
}

void histogram_clear(struct histogram *histogram)
{
	struct walk walk = walk_start(histogram);

	for (unsigned i; walk_next(&walk, &i);)
		histogram->counts[i] = 0;
	memset(histogram->used, 0, sizeof(histogram->used));
}

uint64_t histogram_count(const struct histogram *histogram)
{
	struct walk walk = walk_start(histogram);
	uint64_t count = 0;

	for (unsigned i; walk_next(&walk, &i);)
		count += histogram->counts[i];
	return count;
}

uint32_t histogram_quantile(const struct histogram *histogram, double share)
{
	double rank = ceil(share * (double)histogram_count(histogram));
	struct walk walk = walk_start(histogram);
	uint64_t seen = 0;
	unsigned last = 0;

	for (unsigned i; walk_next(&walk, &i);) {
		if (!histogram->counts[i])
			continue;
		seen += histogram->counts[i];
		last = i;
		if ((double)seen >= rank)
			break;
	}
	return middle(last);
}

/* -- packing ---------------------------------------------------------------------- */

/* For each bucket that is not empty how many lie between it and the one before (and one),
 * and whether it has more than one; these as a number of their own. Then 0. */
unsigned char *histogram_pack(const struct histogram *histogram, unsigned char *out)
{
	struct walk walk = walk_start(histogram);
	unsigned next = 0;

	for (unsigned i; walk_next(&walk, &i);) {
		uint64_t count = histogram->counts[i];

		if (!count)
			continue;
		out = pack_number(out, (i - next + 1) << 1 | (count > 1));
		if (count > 1)
			out = pack_number(out, count);
		next = i + 1;
	}
	return pack_number(out, 0);
}

void histogram_unpack(struct histogram *into, struct unpack *from)
{
	uint64_t step, end = 0;

	while ((step = unpack_number(from)) != 0) {
		uint64_t count = step & 1 ? unpack_number(from) : 1;

		if (step >> 1 == 0 || step >> 1 > HISTOGRAM_BUCKETS - end)
			unpack_bad(from);
		if (from->is_bad)
			break;
		end += step >> 1;
		histogram_add(into, (unsigned)end - 1, count);
	}
}
