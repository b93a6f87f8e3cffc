/* rollup_row.h - the rows of the table `rollup`: the sums of all records of a span of
 * time, for one value of a dimension.
 *
 *	key	u8 span, u64 start (seconds since 1970, UTC), u8 dimension, text value
 *	value	version, what is not zero of the counts, cost, two histograms
 *
 * Rows of one span and dimension lie together, in the order of their values. A span that
 * has no row had no record with that value. */
#pragma once

#include <stdint.h>

#include "storage/histogram.h"
#include "storage/key.h"
#include "storage/record.h"
#include "storage/storage.h"

#define ROLLUP_MINUTE_S 60
#define ROLLUP_HOUR_S 3600
#define ROLLUP_DAY_S 86400

/* Their numbers are on disk. The rebuilt ones wait to take the place of the others. */
enum rollup_span {
	ROLLUP_STATE = 0, /* not sums: what the modules themselves have to remember */
	ROLLUP_MINUTE = 1,
	ROLLUP_HOUR = 2,
	ROLLUP_DAY = 3,
	ROLLUP_REBUILT = 4, /* is added to one of the three */
};

/* Their numbers are on disk. Another one is added here and in rollup_dimension_value(). */
enum rollup_dimension {
	ROLLUP_ALL, /* one row, whose value is empty */
	ROLLUP_PROVIDER,
	ROLLUP_MODEL, /* the target's */
	ROLLUP_GROUP,
	ROLLUP_TOKEN,
	ROLLUP_ENDPOINT,
	ROLLUP_KEY,
	ROLLUP_DIMENSIONS,
};

/* Their numbers are on disk: new ones go to the end, 64 at most. */
enum rollup_count {
	ROLLUP_OUTCOMES, /* one for each of enum record_outcome; together: requests */
	ROLLUP_STATUSES = ROLLUP_OUTCOMES + RECORD_OUTCOMES, /* none, 1xx … 5xx */
	ROLLUP_TESTS = ROLLUP_STATUSES + 6,
	ROLLUP_STREAMS,
	/* For a provider, model or key: those that were made there, whoever answered. */
	ROLLUP_ATTEMPTS,
	ROLLUP_ATTEMPTS_FAILED,
	ROLLUP_RETRIES, /* attempts behind the first */
	ROLLUP_RETRIED, /* requests that needed them */
	ROLLUP_USAGE_KNOWN,
	ROLLUP_USAGE_ESTIMATED,
	ROLLUP_PRICED, /* requests that have a cost */
	ROLLUP_IN_FRESH,
	ROLLUP_CACHE_READ,
	ROLLUP_CACHE_WRITE_5M,
	ROLLUP_CACHE_WRITE_1H,
	ROLLUP_IN_AUDIO,
	ROLLUP_OUT_TOTAL,
	ROLLUP_REASONING,
	ROLLUP_USAGE_REQUESTS,
	ROLLUP_AUDIO_MS,
	ROLLUP_IMAGES,
	ROLLUP_BYTES_IN,
	ROLLUP_BYTES_OUT,
	ROLLUP_MS, /* together; what averages are made of */
	ROLLUP_FIRST_EVENTS,
	ROLLUP_FIRST_EVENT_MS,
	ROLLUP_COUNTS,
};

struct rollup_sums {
	uint64_t counts[ROLLUP_COUNTS];
	int64_t cost_micros; /* millionths of a US dollar */
	struct histogram ms;
	struct histogram first_event_ms;
};

/* The name of a dimension ("provider"), and the way back: ROLLUP_DIMENSIONS for none. */
const char *rollup_dimension_name(enum rollup_dimension dimension);
enum rollup_dimension rollup_dimension_of(struct bytes name);

/* Wraps rather than overflows, as the counts do. */
static inline int64_t rollup_cost_add(int64_t a, int64_t b)
{
	return (int64_t)((uint64_t)a + (uint64_t)b);
}

uint64_t rollup_requests(const struct rollup_sums *sums);
/* All kinds that are tokens, in and out. */
uint64_t rollup_tokens(const struct rollup_sums *sums);

void rollup_sums_add(struct rollup_sums *into, const struct rollup_sums *from);
/* Takes off what was added. */
void rollup_sums_subtract(struct rollup_sums *from, const struct rollup_sums *part);
/* Cheaper than zeroing. */
void rollup_sums_clear(struct rollup_sums *sums);

static inline int64_t rollup_floor(int64_t time_s, int64_t span_s)
{
	return time_s - (time_s % span_s + span_s) % span_s;
}

#define ROLLUP_DIMENSION_AT 9 /* of a key: behind span and start */
#define ROLLUP_VALUE_AT 10
/* The row's key, which cuts the value as records do, or without a value its prefix. */
void rollup_key_dimension(struct key *key, unsigned span, int64_t start_s,
	enum rollup_dimension dimension);
void rollup_key(struct key *key, unsigned span, int64_t start_s,
	enum rollup_dimension dimension, struct bytes value);

#define ROLLUP_PACKED_MAX \
	((ROLLUP_COUNTS + 4) * PACK_NUMBER_MAX + 2 * HISTOGRAM_PACKED_MAX)

/* out has ROLLUP_PACKED_MAX bytes. Returns how many it took. */
size_t rollup_pack(const struct rollup_sums *sums, unsigned char *out);
enum rollup_part {
	ROLLUP_WHOLE,
	ROLLUP_NUMBERS, /* without the histograms, which is faster */
};
/* Adds what a row says. -EBADMSG: it is damaged, and sums are undefined; -EPROTO: a newer
 * neap wrote it. */
MUST_CHECK
int rollup_unpack(struct rollup_sums *into, struct bytes packed, enum rollup_part part);
