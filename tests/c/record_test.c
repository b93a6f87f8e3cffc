/* Packed records: nothing is lost, nothing is read that is not there. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>

#include "record_sample.h"
#include "storage/pack.h"

#define ROOM 65536

static unsigned char packed[ROOM];
static struct record_attempt room[RECORD_ATTEMPTS_MAX];

static struct bytes pack(const struct record *record)
{
	assert_true(record_size_max(record) <= ROOM);
	return (struct bytes) { packed, record_encode(record, packed) };
}

static void assert_text(struct bytes a, struct bytes b)
{
	assert_int_equal(a.size, b.size);
	if (a.size)
		assert_memory_equal(a.data, b.data, a.size);
}

static void assert_attempt(const struct record_attempt *a, const struct record_attempt *b)
{
	assert_text(a->provider, b->provider);
	assert_text(a->model, b->model);
	assert_text(a->key, b->key);
	assert_text(a->failure, b->failure);
	assert_int_equal(a->status, b->status);
	assert_int_equal(a->is_lost, b->is_lost);
	assert_int_equal(a->ms, b->ms);
	assert_int_equal(a->first_event_ms, b->first_event_ms);
}

static void assert_texts(const struct record *a, const struct record *b)
{
	assert_text(a->request_id, b->request_id);
	assert_text(a->token, b->token);
	assert_text(a->group, b->group);
	assert_text(a->endpoint, b->endpoint);
	assert_text(a->dialect_in, b->dialect_in);
	assert_text(a->dialect_out, b->dialect_out);
	assert_text(a->model, b->model);
	assert_text(a->provider, b->provider);
	assert_text(a->target_model, b->target_model);
	assert_text(a->key, b->key);
	assert_text(a->conversation, b->conversation);
	assert_text(a->client, b->client);
}

static void assert_record(const struct record *a, const struct record *b)
{
	assert_memory_equal(a->id, b->id, sizeof(a->id));
	assert_int_equal(a->start_us, b->start_us);
	assert_texts(a, b);
	assert_int_equal(a->status, b->status);
	assert_int_equal(a->outcome, b->outcome);
	assert_int_equal(a->is_stream, b->is_stream);
	assert_int_equal(a->is_test, b->is_test);
	assert_int_equal(a->ms, b->ms);
	assert_int_equal(a->first_byte_ms, b->first_byte_ms);
	assert_int_equal(a->first_event_ms, b->first_event_ms);
	assert_int_equal(a->usage.is_known, b->usage.is_known);
	assert_int_equal(a->usage.is_estimate, b->usage.is_estimate);
	assert_memory_equal(&a->usage.in_fresh, &b->usage.in_fresh,
		sizeof(a->usage) - offsetof(struct record_usage, in_fresh));
	assert_int_equal(a->has_cost, b->has_cost);
	assert_int_equal(a->cost_micros, b->cost_micros);
	assert_int_equal(a->price_version, b->price_version);
	assert_int_equal(a->bytes_in, b->bytes_in);
	assert_int_equal(a->bytes_out, b->bytes_out);
	assert_int_equal(a->generation, b->generation);
	assert_int_equal(a->attempt_count, b->attempt_count);
	for (size_t i = 0; i < a->attempt_count; i++)
		assert_attempt(&a->attempts[i], &b->attempts[i]);
}

static void assert_comes_back(const struct record *record)
{
	struct record back;

	assert_int_equal(record_decode(&back, pack(record), room), 0);
	assert_record(&back, record);
}

static void an_ordinary_record_is_small_and_comes_back(void **state)
{
	struct record_attempt attempt;
	struct record record = sample_record(&attempt);

	(void)state;
	assert_comes_back(&record);
	assert_in_range(pack(&record).size, 1, 300);
}

static void extremes_come_back(void **state)
{
	static const struct record nothing = { .outcome = RECORD_TRUNCATED };
	struct record_attempt attempts[3] = { { .is_lost = true,
						      .failure = SAMPLE_TEXT("timeout"),
						      .first_event_ms = RECORD_NO_MS },
		{ .provider = SAMPLE_TEXT("other"), .ms = UINT32_MAX },
		{ .key = SAMPLE_TEXT("k\0k"), .status = 599 } };
	struct record record = sample_record(&attempts[2]);
	uint64_t *kinds = &record.usage.in_fresh;

	(void)state;
	assert_comes_back(&nothing);
	record.attempts = attempts;
	record.attempt_count = 3;
	record.outcome = RECORD_ABORTED;
	record.is_test = true;
	record.is_stream = false;
	record.first_byte_ms = record.first_event_ms = RECORD_NO_MS;
	record.start_us = -1;
	record.cost_micros = INT64_MIN;
	record.ms = UINT32_MAX;
	record.bytes_in = record.bytes_out = record.generation = UINT64_MAX;
	record.price_version = UINT32_MAX;
	for (size_t i = 0; i < 10; i++)
		kinds[i] = UINT64_MAX - i;
	record.usage.is_estimate = true;
	assert_comes_back(&record);
}

static void what_is_too_long_is_cut(void **state)
{
	static char text[RECORD_TEXT_MAX + 60];
	struct bytes is_long = { text, sizeof(text) };
	struct bytes is_cut = { text, RECORD_TEXT_MAX };
	struct record_attempt attempts[RECORD_ATTEMPTS_MAX + 8] = { 0 };
	struct record record = sample_record(&attempts[0]), back;

	(void)state;
	for (size_t i = 0; i < COUNT_OF(attempts); i++)
		attempts[i] = (struct record_attempt) { .status = (int)i,
			.provider = is_long,
			.model = is_long,
			.key = is_long,
			.failure = is_long };
	record.attempts = attempts;
	record.attempt_count = COUNT_OF(attempts);
	record.token = record.model = record.client = is_long;
	assert_in_range(pack(&record).size, 1, record_size_max(&record));
	assert_int_equal(record_decode(&back, pack(&record), room), 0);
	assert_text(back.token, is_cut);
	assert_text(back.client, is_cut);
	assert_int_equal(back.attempt_count, RECORD_ATTEMPTS_MAX);
	assert_text(back.attempts[0].failure, is_cut);
	for (int i = 0; i < RECORD_ATTEMPTS_MAX - 1; i++)
		assert_int_equal(back.attempts[i].status, i);
	assert_int_equal(back.attempts[RECORD_ATTEMPTS_MAX - 1].status,
		COUNT_OF(attempts) - 1);
}

/* From memory of just that size, so that reading behind its end is seen. */
static int decode_copy(const void *data, size_t size)
{
	void *copy = xmemdup(data, size);
	struct record record;
	int rc;

	copy = xrealloc(copy, size ? size : 1);
	rc = record_decode(&record, (struct bytes) { copy, size }, room);
	free(copy);
	return rc;
}

static void a_record_that_was_cut_is_refused(void **state)
{
	struct record_attempt attempt;
	struct record record = sample_record(&attempt);
	struct bytes whole = pack(&record);

	(void)state;
	for (size_t size = 0; size < whole.size; size++)
		assert_int_equal(decode_copy(whole.data, size), -EBADMSG);
	assert_int_equal(decode_copy(whole.data, whole.size), 0);
	packed[0] = 2;
	assert_int_equal(decode_copy(whole.data, whole.size), -EPROTO);
}

/* A later version adds to an attempt (the last part), to the usage's mask and behind the
 * end. */
static void later_fields_are_skipped(void **state)
{
	struct record_attempt attempt;
	struct record record = sample_record(&attempt), back;
	struct bytes whole = pack(&record);
	unsigned char *size = NULL;
	size_t attempt_size;

	(void)state;
	for (size_t at = whole.size - 3; !size; at--)
		if ((packed[at] & 0x7f) + (packed[at + 1] << 7) + 2 + at == whole.size &&
			packed[at] & 0x80)
			size = packed + at;
	attempt_size = whole.size - (size_t)(size - packed) - 2 + 5;
	size[0] = (unsigned char)(attempt_size | 0x80);
	size[1] = (unsigned char)(attempt_size >> 7);
	memcpy(packed + whole.size, "later\x01more", 10);
	assert_int_equal(record_decode(&back, (struct bytes) { packed, whole.size + 10 },
				 room),
		0);
	assert_record(&back, &record);
}

static void details_come_back(void **state)
{
	static char big[RECORD_DETAIL_MAX + 1];
	struct record record = { .raw_usage = SAMPLE_TEXT("{\"total_tokens\":9}"),
		.error = SAMPLE_TEXT("overloaded"),
		.trace = { big, sizeof(big) } };
	struct record back = { 0 };
	unsigned char *row = xmalloc(record_details_size_max(&record));
	size_t size = record_encode_details(&record, row);

	(void)state;
	assert_in_range(size, 1, record_details_size_max(&record));
	assert_int_equal(record_decode_details(&back, (struct bytes) { row, size }), 0);
	assert_text(back.raw_usage, record.raw_usage);
	assert_text(back.error, record.error);
	assert_int_equal(back.trace.size, RECORD_DETAIL_MAX);
	assert_int_equal(record_decode_details(&back, (struct bytes) { row, size - 1 }),
		-EBADMSG);
	row[0] = 9;
	assert_int_equal(record_decode_details(&back, (struct bytes) { row, size }),
		-EPROTO);
	free(row);
	/* The record itself says whether it has any. */
	assert_int_equal(record_decode(&back, pack(&record), room), 0);
	assert_true(back.has_details);
	record.raw_usage = record.error = record.trace = (struct bytes) { 0 };
	assert_int_equal(record_decode(&back, pack(&record), room), 0);
	assert_false(back.has_details);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_ordinary_record_is_small_and_comes_back),
		cmocka_unit_test(extremes_come_back),
		cmocka_unit_test(what_is_too_long_is_cut),
		cmocka_unit_test(a_record_that_was_cut_is_refused),
		cmocka_unit_test(later_fields_are_skipped),
		cmocka_unit_test(details_come_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
