#include "storage/histogram.h"

#include <math.h>
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

void histogram_add(struct histogram *histogram, unsigned bucket, uint64_t count)
{
	if (histogram->low == histogram->high) {
		histogram->low = (uint16_t)bucket;
		histogram->high = (uint16_t)(bucket + 1);
	}
	if (bucket < histogram->low)
		histogram->low = (uint16_t)bucket;
	if (bucket >= histogram->high)
		histogram->high = (uint16_t)(bucket + 1);
	histogram->counts[bucket] += count;
}

void histogram_merge(struct histogram *into, const struct histogram *from)
{
	for (unsigned i = from->low; i < from->high; i++)
		if (from->counts[i])
			histogram_add(into, i, from->counts[i]);
}

void histogram_clear(struct histogram *histogram)
{
	memset(histogram->counts + histogram->low, 0,
		(size_t)(histogram->high - histogram->low) * sizeof(uint64_t));
	histogram->low = histogram->high = 0;
}

uint64_t histogram_count(const struct histogram *histogram)
{
	uint64_t count = 0;

	for (unsigned i = histogram->low; i < histogram->high; i++)
		count += histogram->counts[i];
	return count;
}

uint32_t histogram_quantile(const struct histogram *histogram, double share)
{
	double rank = ceil(share * (double)histogram_count(histogram));
	uint64_t seen = 0;
	unsigned last = 0;

	for (unsigned i = histogram->low; i < histogram->high; i++) {
		if (!histogram->counts[i])
			continue;
		seen += histogram->counts[i];
		last = i;
		if ((double)seen >= rank)
			break;
	}
	return middle(last);
}

/* The number of buckets, then for each how many empty ones lie before it and whether it
 * has more than one; these as a number of their own. */
unsigned char *histogram_pack(const struct histogram *histogram, unsigned char *out)
{
	unsigned used = 0, next = 0;

	for (unsigned i = histogram->low; i < histogram->high; i++)
		used += histogram->counts[i] != 0;
	out = pack_number(out, used);
	for (unsigned i = histogram->low; i < histogram->high; i++) {
		uint64_t count = histogram->counts[i];

		if (!count)
			continue;
		out = pack_number(out, (i - next) << 1 | (count > 1));
		if (count > 1)
			out = pack_number(out, count);
		next = i + 1;
	}
	return out;
}

void histogram_unpack(struct histogram *into, struct unpack *from)
{
	uint64_t used = unpack_number(from);
	uint64_t bucket = 0;

	for (uint64_t i = 0; i < used && !from->is_bad; i++) {
		uint64_t step = unpack_number(from);
		uint64_t count = step & 1 ? unpack_number(from) : 1;

		bucket += step >> 1;
		if (bucket >= HISTOGRAM_BUCKETS || step >> 1 >= HISTOGRAM_BUCKETS)
			unpack_bad(from);
		if (from->is_bad)
			return;
		histogram_add(into, (unsigned)bucket, count);
		bucket++;
	}
}
