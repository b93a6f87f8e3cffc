/* Histograms of times: exact below 32 ms, within five percent above, whole when packed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "storage/histogram.h"

#define TIMES 2000

static int compare_times(const void *a, const void *b)
{
	uint32_t one = *(const uint32_t *)a, other = *(const uint32_t *)b;

	return (one > other) - (one < other);
}

/* What has the rank of this share among sorted times. */
static uint32_t exact(const uint32_t *times, size_t count, double share)
{
	size_t rank = (size_t)ceil(share * (double)count);

	return times[rank ? rank - 1 : 0];
}

/* From 0 up to about limit, as many short ones as long ones. */
static uint32_t any_time(double limit)
{
	return (uint32_t)(pow(limit + 1, drand48()) - 1);
}

static void quantiles_are_within_five_percent(void **state)
{
	static const double shares[] = { 0, 0.01, 0.5, 0.9, 0.95, 0.99, 1 };
	static uint32_t times[TIMES];

	(void)state;
	srand48(4);
	for (int round = 0; round < 200; round++) {
		struct histogram histogram = { 0 };
		size_t count = 1 + (size_t)(drand48() * (TIMES - 1));
		double limit = pow(10, 1 + drand48() * 6);

		for (size_t i = 0; i < count; i++) {
			times[i] = any_time(limit);
			histogram_add(&histogram, histogram_bucket(times[i]), 1);
		}
		assert_int_equal(histogram_count(&histogram), count);
		qsort(times, count, sizeof(times[0]), compare_times);
		for (size_t i = 0; i < sizeof(shares) / sizeof(shares[0]); i++) {
			double wanted = exact(times, count, shares[i]);
			double found = histogram_quantile(&histogram, shares[i]);

			assert_true(fabs(found - wanted) <= 0.05 * wanted);
			if (wanted < 32)
				assert_true(found == wanted);
		}
	}
}

static void each_time_has_a_bucket(void **state)
{
	unsigned before = 0;

	(void)state;
	for (uint32_t ms = 0; ms < 1u << 20; ms++) {
		unsigned bucket = histogram_bucket(ms);

		assert_true(bucket == before || bucket == before + 1);
		before = bucket;
	}
	assert_int_equal(histogram_bucket(HISTOGRAM_TOP_MS - 1), HISTOGRAM_BUCKETS - 1);
	assert_int_equal(histogram_bucket(HISTOGRAM_TOP_MS), HISTOGRAM_BUCKETS - 1);
	assert_int_equal(histogram_bucket(UINT32_MAX), HISTOGRAM_BUCKETS - 1);
}

static void fill(struct histogram *histogram, size_t count)
{
	for (size_t i = 0; i < count; i++)
		histogram_add(histogram, (unsigned)(drand48() * HISTOGRAM_BUCKETS),
			1 + (uint64_t)(pow(2, drand48() * 40)));
}

static size_t pack_all(const struct histogram *histogram,
	unsigned char packed[HISTOGRAM_PACKED_MAX])
{
	size_t size = (size_t)(histogram_pack(histogram, packed) - packed);

	assert_true(size <= HISTOGRAM_PACKED_MAX);
	return size;
}

/* Merging is adding up, whether the parts were packed in between or not. */
static void parts_make_the_whole(void **state)
{
	static unsigned char packed[HISTOGRAM_PACKED_MAX];

	(void)state;
	srand48(5);
	for (int round = 0; round < 200; round++) {
		struct histogram a = { 0 }, b = { 0 }, merged, unpacked;
		struct unpack from;

		fill(&a, (size_t)(drand48() * 50));
		fill(&b, (size_t)(drand48() * 500));
		merged = unpacked = a;
		histogram_merge(&merged, &b);
		from = unpack_start((struct bytes) { packed, pack_all(&b, packed) });
		histogram_unpack(&unpacked, &from);
		assert_false(from.is_bad);
		assert_true(unpack_is_over(&from));
		assert_memory_equal(&merged, &unpacked, sizeof(merged));
		for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++)
			assert_true(merged.counts[i] == a.counts[i] + b.counts[i]);
		histogram_subtract(&merged, &b);
		assert_memory_equal(merged.counts, a.counts, sizeof(a.counts));
		histogram_clear(&merged);
		assert_int_equal(histogram_count(&merged), 0);
		assert_memory_equal(&merged, &(struct histogram) { 0 }, sizeof(merged));
	}
}

static void an_empty_one_is_one_byte_and_zero(void **state)
{
	static unsigned char packed[HISTOGRAM_PACKED_MAX];
	struct histogram histogram = { 0 };

	(void)state;
	assert_int_equal(pack_all(&histogram, packed), 1);
	assert_int_equal(histogram_quantile(&histogram, 0.5), 0);
}

/* Ten thousand ordinary times take no more than a few hundred bytes. */
static void packed_it_is_small(void **state)
{
	static unsigned char packed[HISTOGRAM_PACKED_MAX];
	struct histogram histogram = { 0 };

	(void)state;
	srand48(6);
	for (int i = 0; i < 10000; i++)
		histogram_add(&histogram, histogram_bucket(200 + any_time(20000)), 1);
	assert_true(pack_all(&histogram, packed) < 350);
}

static void nonsense_is_refused(void **state)
{
	static const unsigned char rows[][4] = {
		{ 2 },                /* the end is missing */
		{ 3 },                /* a count is missing */
		{ 1, 5, 0 },          /* no bucket, which has five */
		{ 0xa2, 0x05, 0 },    /* bucket 336 */
		{ 0xa0, 0x05, 2, 0 }, /* bucket 335, then 336 */
	};
	static const size_t sizes[] = { 1, 1, 3, 3, 4 };

	(void)state;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct histogram histogram = { 0 };
		struct unpack from = unpack_start((struct bytes) { rows[i], sizes[i] });

		histogram_unpack(&histogram, &from);
		assert_true(from.is_bad);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(quantiles_are_within_five_percent),
		cmocka_unit_test(each_time_has_a_bucket),
		cmocka_unit_test(parts_make_the_whole),
		cmocka_unit_test(an_empty_one_is_one_byte_and_zero),
		cmocka_unit_test(packed_it_is_small),
		cmocka_unit_test(nonsense_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
