/* record_sample.h - records as neap writes them, for tests of what keeps them. */
#pragma once

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "storage/record.h"

#define SAMPLE_TEXT(text) ((struct bytes) { text, sizeof(text) - 1 })
#define SAMPLE_START_US 1795219200000000 /* 2026-11-21 00:00 UTC */

/* An ordinary request of one attempt. The attempt is borrowed. */
static inline struct record sample_record(struct record_attempt *attempt)
{
	struct record record = {
		.start_us = SAMPLE_START_US,
		.request_id = SAMPLE_TEXT("0192f7a0-5c1e-7b3a-9d55-1f0e6a7b8c9d"),
		.token = SAMPLE_TEXT("team-search"),
		.group = SAMPLE_TEXT("fast"),
		.endpoint = SAMPLE_TEXT("chat"),
		.dialect_in = SAMPLE_TEXT("openai"),
		.dialect_out = SAMPLE_TEXT("anthropic"),
		.model = SAMPLE_TEXT("fast"),
		.provider = SAMPLE_TEXT("anthropic-eu"),
		.target_model = SAMPLE_TEXT("claude-sonnet-4-5-20250929"),
		.key = SAMPLE_TEXT("anthropic-eu/3"),
		.conversation = SAMPLE_TEXT("c-7d4a0c5e2b9f48d1"),
		.client = SAMPLE_TEXT("203.0.113.77"),
		.attempts = attempt,
		.attempt_count = 1,
		.status = 200,
		.outcome = RECORD_OK,
		.is_stream = true,
		.ms = 5321,
		.first_byte_ms = 412,
		.first_event_ms = 430,
		.usage = { .is_known = true,
			.in_fresh = 1824,
			.cache_read = 12000,
			.cache_write_5m = 512,
			.out_total = 733,
			.reasoning = 120 },
		.has_cost = true,
		.cost_micros = 21987,
		.price_version = 7,
		.bytes_in = 48211,
		.bytes_out = 9177,
		.generation = 12,
	};

	*attempt = (struct record_attempt) { .provider = record.provider,
		.model = record.target_model,
		.key = record.key,
		.status = 200,
		.ms = 5300,
		.first_event_ms = 425 };
	for (size_t i = 0; i < sizeof(record.id); i++)
		record.id[i] = (unsigned char)(i * 17 + 1);
	return record;
}
