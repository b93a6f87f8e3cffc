/* record_source.h - any number of records as a busy neap writes them, the same for the
 * same seed: a few providers, dozens of models and keys, hundreds of tokens, conversations
 * of some requests each, failures, retries, streams. */
#pragma once

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "storage/record.h"

#define SOURCE_PROVIDERS 8
#define SOURCE_MODELS 30
#define SOURCE_GROUPS 12
#define SOURCE_TOKENS 200
#define SOURCE_KEYS 5 /* of a provider */
#define SOURCE_ATTEMPTS 3

/* Zero but for seed, end_us and step_us. */
struct record_source {
	uint64_t seed;
	int64_t end_us;  /* of the next record */
	int64_t step_us; /* to the one after it, on average */
	uint64_t count;
	struct record_attempt attempts[SOURCE_ATTEMPTS];
	char texts[16][64];
	size_t text_count;
};

static inline uint64_t source_random(struct record_source *source)
{
	uint64_t mixed = source->seed += 0x9e3779b97f4a7c15;

	mixed = (mixed ^ mixed >> 30) * 0xbf58476d1ce4e5b9;
	mixed = (mixed ^ mixed >> 27) * 0x94d049bb133111eb;
	return mixed ^ mixed >> 31;
}

/* From 0 to below limit, small ones more often. */
static inline unsigned source_pick(struct record_source *source, unsigned limit)
{
	uint64_t a = source_random(source) % limit, b = source_random(source) % limit;

	return (unsigned)(a < b ? a : b);
}

static inline struct bytes source_text(struct record_source *source, const char *start,
	uint64_t number)
{
	char *text = source->texts[source->text_count++ % 16];
	int size = snprintf(text, sizeof(source->texts[0]), "%s%llu", start,
		(unsigned long long)number);

	return (struct bytes) { text, (size_t)size };
}

static inline void source_attempts(struct record_source *source, struct record *record)
{
	unsigned draw = (unsigned)(source_random(source) % 100);
	size_t count = draw < 94 ? 1 : draw < 99 ? 2 : 3;

	for (size_t i = 0; i < count; i++) {
		unsigned provider = source_pick(source, SOURCE_PROVIDERS);
		struct record_attempt *attempt = &source->attempts[i];

		*attempt = (struct record_attempt) {
			.provider = source_text(source, "provider-", provider),
			.model = source_text(source, "vendor-model-20251001-",
				source_pick(source, SOURCE_MODELS)),
			.key = source_text(source, "key-",
				provider * SOURCE_KEYS +
					source_random(source) % SOURCE_KEYS),
			.status = i + 1 < count ? 429 : record->status,
			.ms = record->ms / (uint32_t)count,
			.first_event_ms = RECORD_NO_MS,
		};
		if (attempt->status >= 400)
			attempt->failure = (struct bytes) { "status", 6 };
	}
	record->attempts = source->attempts;
	record->attempt_count = count;
	record->provider = source->attempts[count - 1].provider;
	record->target_model = source->attempts[count - 1].model;
	record->key = source->attempts[count - 1].key;
}

static inline void source_usage(struct record_source *source, struct record *record)
{
	struct record_usage *usage = &record->usage;

	usage->is_known = record->outcome == RECORD_OK;
	usage->is_estimate = record->outcome == RECORD_ABORTED;
	if (record->outcome == RECORD_FAILED)
		return;
	usage->in_fresh = source_pick(source, 8000);
	usage->cache_read = source_random(source) % 2 ? source_pick(source, 30000) : 0;
	usage->out_total = 1 + source_pick(source, 2000);
	usage->reasoning = source_random(source) % 4 ? 0 : usage->out_total / 2;
	record->has_cost = true;
	record->cost_micros = (int64_t)(usage->in_fresh * 3 + usage->out_total * 15 +
		usage->cache_read);
	record->price_version = 3;
}

static inline void source_id(struct record_source *source, struct record *record)
{
	uint64_t ms = (uint64_t)(record->start_us / 1000);
	uint64_t words[2] = { source_random(source), source_random(source) };

	memcpy(record->id, words, sizeof(words));
	for (int i = 0; i < 6; i++)
		record->id[i] = (unsigned char)(ms >> (8 * (5 - i)));
	record->id[6] = (unsigned char)(0x70 | (record->id[6] & 0x0f));
	record->id[8] = (unsigned char)(0x80 | (record->id[8] & 0x3f));
}

static inline void source_failure(struct record *record)
{
	static const char error[] = "{\"error\":{\"type\":\"overloaded_error\","
				    "\"message\":\"The service is overloaded\"}}";
	static const char trace[] =
		"[{\"ms\":0,\"note\":\"target provider-1 key key-3\"},{\"ms\":412,"
		"\"note\":\"status 529: next target\"},{\"ms\":413,\"note\":\"no "
		"targets left\"}]";

	record->error = (struct bytes) { error, sizeof(error) - 1 };
	record->trace = (struct bytes) { trace, sizeof(trace) - 1 };
}

/* Its texts are good until the next one is asked for. */
static inline struct record source_next(struct record_source *source)
{
	unsigned draw = (unsigned)(source_random(source) % 100);
	struct record record = { 0 };

	source->text_count = 0;
	record.outcome = draw < 94 ? RECORD_OK
		: draw < 97        ? RECORD_FAILED
		: draw < 99        ? RECORD_ABORTED
				   : RECORD_TRUNCATED;
	record.status = record.outcome == RECORD_FAILED ? (draw % 2 ? 429 : 502) : 200;
	record.is_stream = source_random(source) % 100 < 70;
	record.is_test = source->count % 1000 == 0;
	record.ms = 100 + source_pick(source, 8000);
	record.first_byte_ms = record.ms / 3;
	record.first_event_ms = record.is_stream ? record.ms / 2 : RECORD_NO_MS;
	record.start_us = source->end_us - (int64_t)record.ms * 1000;
	record.request_id = source_text(source, "req_", source_random(source));
	record.token = source_text(source, "team-", source_pick(source, SOURCE_TOKENS));
	record.group = source_text(source, "group-", source_pick(source, SOURCE_GROUPS));
	record.model = record.group;
	record.endpoint = (struct bytes) { "chat", 4 };
	record.dialect_in = (struct bytes) { "openai", 6 };
	record.dialect_out = (struct bytes) { draw % 2 ? "anthropic" : "openai",
		draw % 2 ? 9 : 6 };
	/* About four hundred conversations at a time, of some requests each. */
	record.conversation = source_text(source, "conversation-",
		source->count / 2000 * 400 + source_random(source) % 400);
	record.client = source_text(source, "198.51.100.", source_random(source) % 250);
	source_attempts(source, &record);
	source_usage(source, &record);
	source_id(source, &record);
	record.bytes_in = 200 + source_pick(source, 60000);
	record.bytes_out = 300 + source_pick(source, 20000);
	record.generation = 1 + source->count / 1000000;
	if (record.outcome == RECORD_FAILED)
		source_failure(&record);
	source->count++;
	source->end_us += 1 +
		(int64_t)(source_random(source) % (uint64_t)(2 * source->step_us));
	return record;
}
