/* rollup_world.h - a journal of mixed records, and their sums made in the plainest way:
 * what the sums in the store are compared with. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "storage/cursor.h"
#include "storage/rollup.h"
#include "storage/stats.h"
#include "storage/stats_json.h"
#include "storage/storage.h"
#include "storage/table.h"
#include "storage_place.h"

#define WORLD_START_S 1763596800 /* 2025-11-20 00:00 UTC */
#define WORLD_TEXT 32
#define ALL_OF(name) ((struct bytes) { name, strlen(name) })

/* -- records that are the same for the same number -------------------------------- */

struct mixed {
	struct record record;
	struct record_attempt attempts[4];
	char texts[16][WORLD_TEXT];
	size_t text_count;
	uint64_t seed;
};

static inline uint64_t draw(struct mixed *mixed, uint64_t below)
{
	uint64_t z = mixed->seed += 0x9e3779b97f4a7c15u;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return (z ^ z >> 31) % below;
}

static inline struct bytes draw_text(struct mixed *mixed, const char *name,
	uint64_t below)
{
	char *text = mixed->texts[mixed->text_count++ % 16];
	int size = snprintf(text, WORLD_TEXT, "%s-%d", name, (int)draw(mixed, below));

	return (struct bytes) { text, (size_t)size };
}

static inline void mix_usage(struct mixed *mixed, struct record_usage *usage)
{
	usage->is_estimate = draw(mixed, 10) == 0;
	usage->is_known = !usage->is_estimate;
	usage->in_fresh = draw(mixed, 5000);
	usage->cache_read = draw(mixed, 3) ? 0 : draw(mixed, 100000);
	usage->cache_write_5m = draw(mixed, 5) ? 0 : draw(mixed, 3000);
	usage->cache_write_1h = draw(mixed, 9) ? 0 : draw(mixed, 3000);
	usage->in_audio = draw(mixed, 20) ? 0 : draw(mixed, 900);
	usage->out_total = 1 + draw(mixed, 3000);
	usage->reasoning = draw(mixed, usage->out_total);
	usage->requests = draw(mixed, 30) ? 0 : draw(mixed, 4);
	usage->audio_ms = draw(mixed, 30) ? 0 : draw(mixed, 60000);
	usage->images = draw(mixed, 30) ? 0 : draw(mixed, 5);
}

static inline void mix_attempts(struct mixed *mixed)
{
	struct record *record = &mixed->record;

	record->attempts = mixed->attempts;
	record->attempt_count = draw(mixed, 4) ? 1 : 1 + draw(mixed, 4);
	for (size_t i = 0; i < record->attempt_count; i++)
		mixed->attempts[i] = (struct record_attempt) {
			.provider = draw_text(mixed, "provider", 4),
			.model = draw_text(mixed, "model", 7),
			.key = draw_text(mixed, "key", 9),
			.failure = i % 2 ? ALL_OF("timeout") : (struct bytes) { 0 },
			.status = i % 2 ? 0 : 429,
			.first_event_ms = RECORD_NO_MS,
			.is_lost = draw(mixed, 6) == 0,
		};
}

/* Of every outcome; one in twelve was refused before there was any attempt. */
static inline const struct record *mix(struct mixed *mixed, uint64_t number)
{
	struct record *record = &mixed->record;
	struct record_attempt *last;

	memset(mixed, 0, sizeof(*mixed));
	mixed->seed = number * 77 + 5;
	record->outcome = draw(mixed, 3) ? RECORD_OK
					 : (enum record_outcome)draw(mixed, 4);
	record->is_stream = draw(mixed, 2);
	record->is_test = draw(mixed, 50) == 0;
	record->ms = (uint32_t)draw(mixed, 1u << (1 + draw(mixed, 20)));
	record->first_byte_ms = record->first_event_ms = RECORD_NO_MS;
	record->bytes_in = draw(mixed, 100000);
	record->bytes_out = draw(mixed, 100000);
	record->token = draw_text(mixed, "token", 20);
	record->endpoint = draw_text(mixed, "endpoint", 3);
	record->status = record->outcome == RECORD_ABORTED ? 0 : 401;
	if (draw(mixed, 12) == 0)
		return record;
	record->group = draw_text(mixed, "group", 3);
	mix_attempts(mixed);
	last = &mixed->attempts[record->attempt_count - 1];
	record->provider = last->provider;
	record->target_model = last->model;
	record->key = last->key;
	record->status = record->outcome == RECORD_FAILED ? 502 : 200;
	if (record->outcome == RECORD_FAILED)
		return record;
	last->failure = (struct bytes) { 0 };
	last->status = 200;
	record->first_event_ms = draw(mixed, 8) ? record->ms / 3 : RECORD_NO_MS;
	mix_usage(mixed, &record->usage);
	record->has_cost = draw(mixed, 9) != 0;
	record->cost_micros = record->has_cost ? (int64_t)draw(mixed, 90000) : 0;
	return record;
}

/* -- their sums, in the plainest way ---------------------------------------------- */

static inline struct bytes value_of(const struct record *record, enum rollup_dimension by)
{
	const struct bytes values[ROLLUP_DIMENSIONS] = {
		[ROLLUP_PROVIDER] = record->provider,
		[ROLLUP_MODEL] = record->target_model,
		[ROLLUP_GROUP] = record->group,
		[ROLLUP_TOKEN] = record->token,
		[ROLLUP_ENDPOINT] = record->endpoint,
		[ROLLUP_KEY] = record->key
	};

	return values[by];
}

static inline bool is_text(struct bytes a, struct bytes b)
{
	return a.size == b.size && (!a.size || memcmp(a.data, b.data, a.size) == 0);
}

static inline void plain_add_attempts(struct rollup_sums *sums,
	const struct record *record, enum rollup_dimension by, struct bytes value)
{
	for (size_t i = 0; i < record->attempt_count; i++) {
		const struct record_attempt *attempt = &record->attempts[i];
		struct bytes place = by == ROLLUP_PROVIDER ? attempt->provider
			: by == ROLLUP_MODEL               ? attempt->model
			: by == ROLLUP_KEY                 ? attempt->key
							   : value_of(record, by);

		if (!is_text(place, value))
			continue;
		sums->counts[ROLLUP_ATTEMPTS]++;
		if ((attempt->failure.size || attempt->status == 429) &&
			!attempt->is_lost)
			sums->counts[ROLLUP_ATTEMPTS_FAILED]++;
	}
}

/* What the record adds to the sums of one value of one dimension. */
static inline void plain_add(struct rollup_sums *sums, const struct record *record,
	enum rollup_dimension by, struct bytes value)
{
	const struct record_usage *usage = &record->usage;
	uint64_t *counts = sums->counts;

	plain_add_attempts(sums, record, by, value);
	if (!is_text(value_of(record, by), value))
		return;
	counts[ROLLUP_OUTCOMES + record->outcome]++;
	counts[ROLLUP_STATUSES + record->status / 100]++;
	counts[ROLLUP_TESTS] += record->is_test;
	counts[ROLLUP_STREAMS] += record->is_stream;
	if (record->attempt_count > 1) {
		counts[ROLLUP_RETRIED]++;
		counts[ROLLUP_RETRIES] += record->attempt_count - 1;
	}
	counts[ROLLUP_USAGE_KNOWN] += usage->is_known;
	counts[ROLLUP_USAGE_ESTIMATED] += usage->is_estimate;
	counts[ROLLUP_IN_FRESH] += usage->in_fresh;
	counts[ROLLUP_CACHE_READ] += usage->cache_read;
	counts[ROLLUP_CACHE_WRITE_5M] += usage->cache_write_5m;
	counts[ROLLUP_CACHE_WRITE_1H] += usage->cache_write_1h;
	counts[ROLLUP_IN_AUDIO] += usage->in_audio;
	counts[ROLLUP_OUT_TOTAL] += usage->out_total;
	counts[ROLLUP_REASONING] += usage->reasoning;
	counts[ROLLUP_USAGE_REQUESTS] += usage->requests;
	counts[ROLLUP_AUDIO_MS] += usage->audio_ms;
	counts[ROLLUP_IMAGES] += usage->images;
	counts[ROLLUP_BYTES_IN] += record->bytes_in;
	counts[ROLLUP_BYTES_OUT] += record->bytes_out;
	counts[ROLLUP_MS] += record->ms;
	histogram_add(&sums->ms, histogram_bucket(record->ms), 1);
	if (record->first_event_ms != RECORD_NO_MS) {
		counts[ROLLUP_FIRST_EVENTS]++;
		counts[ROLLUP_FIRST_EVENT_MS] += record->first_event_ms;
		histogram_add(&sums->first_event_ms,
			histogram_bucket(record->first_event_ms), 1);
	}
	if (record->has_cost) {
		counts[ROLLUP_PRICED]++;
		sums->cost_micros += record->cost_micros;
	}
}

/* The sums of all records that are in the store, of a span of time, with a value. */
struct plain {
	int64_t from_s;
	int64_t until_s;
	enum rollup_dimension by;
	struct bytes value;
	struct rollup_sums sums;
	uint64_t records; /* in the store */
	uint64_t last_us;
};

static inline int plain_read(struct txn *txn, void *arg, struct err *err)
{
	struct record_attempt room[RECORD_ATTEMPTS_MAX];
	struct plain *plain = arg;
	struct record record;
	struct bytes key, value;
	struct key from = { 0 };
	bool is_more = true;

	(void)err;
	key_u64(&from, 0);
	while (is_more) {
		struct range range = { .from = key_bytes(&from),
			.limit = CURSOR_PAGE_MAX };
		struct cursor *cursor;
		uint64_t time_us;

		assert_int_equal(cursor_open(&cursor, txn, &records_table, &range), 0);
		while (cursor_next(cursor, &key, &value) > 0) {
			assert_int_equal(key_take_u64(&key, &time_us), 0);
			assert_int_equal(record_decode(&record, value, room), 0);
			plain->records++;
			plain->last_us = time_us;
			if (time_us >= (uint64_t)plain->from_s * 1000000 &&
				time_us < (uint64_t)plain->until_s * 1000000)
				plain_add(&plain->sums, &record, plain->by, plain->value);
		}
		is_more = cursor_is_page_full(cursor);
		cursor_close(cursor);
		from.size = 0;
		key_u64(&from, plain->last_us + 1);
	}
	return 0;
}

/* How many there are, and when the last one was; no more. */
static inline int plain_count(struct txn *txn, void *arg, struct err *err)
{
	struct range range = { .limit = 1, .is_down = true };
	struct plain *plain = arg;
	struct bytes key, value;
	struct cursor *cursor;

	(void)err;
	assert_int_equal(cursor_open(&cursor, txn, &records_table, &range), 0);
	if (cursor_next(cursor, &key, &value) > 0)
		assert_int_equal(key_take_u64(&key, &plain->last_us), 0);
	cursor_close(cursor);
	return table_count(txn, &records_table, &plain->records);
}

static inline int64_t last_second(struct store *store)
{
	struct plain plain = { 0 };

	assert_int_equal(store_read(store, plain_count, &plain, NULL), 0);
	return (int64_t)(plain.last_us / 1000000);
}

/* -- writing ---------------------------------------------------------------------- */

struct writing {
	uint64_t first; /* numbers of records */
	uint64_t count;
	uint64_t step_us; /* between two records, on the average */
	uint64_t last_us; /* the key of the record before the first */
	struct rollup_batch *batch;
};

static inline void put_record(struct txn *txn, uint64_t time_us,
	const struct record *record)
{
	unsigned char *packed = malloc(record_size_max(record));
	struct key key = number_key(time_us);

	assert_int_equal(table_append(txn, &records_table, key_bytes(&key),
				 (struct bytes) { packed,
					 record_encode(record, packed) }),
		0);
	free(packed);
}

/* Records and their sums in one transaction. */
static inline int write_mixed(struct txn *txn, void *arg, struct err *err)
{
	struct writing *writing = arg;
	uint64_t time_us = writing->last_us;
	struct mixed mixed;

	(void)err;
	rollup_batch_reset(writing->batch);
	for (uint64_t i = 0; i < writing->count; i++) {
		const struct record *record = mix(&mixed, writing->first + i);

		time_us += 1 + draw(&mixed, 2 * writing->step_us);
		put_record(txn, time_us, record);
		rollup_add(writing->batch, record, (int64_t)time_us);
	}
	return rollup_write(txn, writing->batch);
}

/* Behind what is in the store, in transactions of batch_size. */
static inline void write_world(struct store *store, uint64_t count, uint64_t step_us,
	uint64_t batch_size)
{
	struct plain there = { .last_us = (uint64_t)WORLD_START_S * 1000000 };
	struct writing writing = { .step_us = step_us, .batch = rollup_batch_new() };

	for (uint64_t done = 0; done < count; done += writing.count) {
		assert_int_equal(store_read(store, plain_count, &there, NULL), 0);
		writing.first = there.records;
		writing.last_us = there.last_us;
		writing.count = batch_size < count - done ? batch_size : count - done;
		assert_int_equal(store_write(store, write_mixed, &writing, NULL), 0);
	}
	rollup_batch_free(writing.batch);
}

/* -- asking ----------------------------------------------------------------------- */

struct asking {
	struct stats_query query;
	struct buf out;
	struct err err;
};

static inline int ask_overview(struct txn *txn, void *arg, struct err *err)
{
	struct asking *asking = arg;

	(void)err;
	buf_reset(&asking->out);
	return stats_overview(txn, &asking->query, &asking->out, &asking->err);
}

/* The text that an overview of the plain sums would have. */
static inline void plain_overview(struct buf *out, const struct plain *plain,
	int64_t now_s)
{
	int64_t end_s = plain->until_s < now_s ? plain->until_s : now_s;

	buf_reset(out);
	buf_printf(out, "{\"from\":%jd,\"until\":%jd,", (intmax_t)plain->from_s,
		(intmax_t)plain->until_s);
	stats_json_sums(out, &plain->sums, end_s - plain->from_s);
	buf_append(out, "}", 1);
}

static inline void assert_text(struct buf *found, struct buf *wanted)
{
	buf_append(found, "", 1);
	buf_append(wanted, "", 1);
	assert_string_equal(buf_data(found), buf_data(wanted));
}

/* What statistics say of the span and value is what the records add up to. */
static inline void assert_ties_out(struct store *store, const struct stats_query *query)
{
	struct asking asking = { .query = *query };
	struct plain plain = { .from_s = query->from_s,
		.until_s = query->until_s,
		.by = query->filter,
		.value = query->value };
	struct buf wanted = { 0 };

	assert_int_equal(store_read(store, plain_read, &plain, NULL), 0);
	plain_overview(&wanted, &plain, query->now_s);
	assert_int_equal(store_read(store, ask_overview, &asking, NULL), 0);
	assert_text(&asking.out, &wanted);
	buf_clear(&wanted);
	buf_clear(&asking.out);
}
