/* Packed records: whatever the bytes, nothing is read outside of them, and what can be
 * read packs into something that reads the same. */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "storage/record.h"

static struct record_attempt room[RECORD_ATTEMPTS_MAX];

/* Packs the same again once its texts are cut. */
static void check_stable(const struct record *record)
{
	unsigned char *first = malloc(record_size_max(record)), *second;
	size_t size = record_encode(record, first), again;
	struct record back;

	assert(size <= record_size_max(record));
	assert(record_decode(&back, (struct bytes) { first, size }, room) == 0);
	second = malloc(record_size_max(&back));
	again = record_encode(&back, second);
	assert(again == size && memcmp(first, second, size) == 0);
	free(second);
	free(first);
}

static void check_details(const struct record *record)
{
	size_t size_max = record_details_size_max(record);
	unsigned char *row = malloc(size_max);
	size_t size = record_encode_details(record, row);
	struct record back = { 0 };

	assert(size <= size_max);
	assert(record_decode_details(&back, (struct bytes) { row, size }) == 0);
	free(row);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{
	struct record record = { 0 };
	void *copy = malloc(size + 1);
	struct bytes packed = { copy, size };

	memcpy(copy, input, size);
	if (record_decode_details(&record, packed) == 0)
		check_details(&record);
	if (record_decode(&record, packed, room) == 0)
		check_stable(&record);
	free(copy);
	return 0;
}
