/* Packed sums: whatever the bytes, nothing is read outside of them, and what can be read
 * packs into something that reads the same. */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "storage/rollup_row.h"

static struct rollup_sums sums, again;
static unsigned char packed[ROLLUP_PACKED_MAX];

/* A bucket may be packed with a count of 0, which is as if it were not there. */
static void assert_same(const struct histogram *a, const struct histogram *b)
{
	assert(memcmp(a->counts, b->counts, sizeof(a->counts)) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{
	void *copy = malloc(size + 1);
	struct bytes row = { copy, size };
	int rc;

	memcpy(copy, input, size);
	memset(&sums, 0, sizeof(sums));
	rc = rollup_unpack(&sums, row, ROLLUP_NUMBERS);
	memset(&sums, 0, sizeof(sums));
	if (rollup_unpack(&sums, row, ROLLUP_WHOLE) == 0) {
		assert(rc == 0);
		size = rollup_pack(&sums, packed);
		assert(size <= sizeof(packed));
		memset(&again, 0, sizeof(again));
		row = (struct bytes) { packed, size };
		assert(rollup_unpack(&again, row, ROLLUP_WHOLE) == 0);
		assert(memcmp(sums.counts, again.counts, sizeof(sums.counts)) == 0);
		assert(sums.cost_micros == again.cost_micros);
		assert_same(&sums.ms, &again.ms);
		assert_same(&sums.first_event_ms, &again.first_event_ms);
		assert(histogram_quantile(&sums.ms, 0.95) <= HISTOGRAM_TOP_MS);
		rollup_sums_clear(&sums);
		assert(histogram_count(&sums.ms) == 0);
	}
	free(copy);
	return 0;
}
