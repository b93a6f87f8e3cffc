/* record.h - one finished request of a client, in memory and as it is kept.
 *
 * In memory a record borrows all of its texts. Packed it is two rows: the record itself
 * (at most 400 bytes for an ordinary request of one attempt), and its details (raw usage,
 * error, trace), which most requests do not have. Both forms begin with a version; later
 * versions only add fields, which are skipped here. Plain memory, any thread. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/mem.h"
#include "storage/key.h"

#define RECORD_ATTEMPTS_MAX 32 /* that are kept: the first ones, and the last */
#define RECORD_TEXT_MAX \
	240 /* bytes of each text, so that it is part of a key; longer is cut */
#define RECORD_DETAIL_MAX 65536 /* bytes of raw usage, error, trace each */
#define RECORD_NO_MS UINT32_MAX /* it never happened */
#define RECORD_TEXTS 12

enum record_outcome {
	RECORD_OK,
	RECORD_FAILED,
	RECORD_ABORTED,   /* the client left */
	RECORD_TRUNCATED, /* the provider ended in the middle */
	RECORD_OUTCOMES,
};

/* The canonical form; tokens where no other unit stands. */
struct record_usage {
	bool is_known;
	bool is_estimate;
	uint64_t in_fresh; /* not from a cache and not written to one */
	uint64_t cache_read;
	uint64_t cache_write_5m;
	uint64_t cache_write_1h;
	uint64_t in_audio;
	uint64_t out_total;
	uint64_t reasoning; /* part of out_total */
	uint64_t requests;  /* calls of tools that are paid for one by one */
	uint64_t audio_ms;
	uint64_t images;
};

struct record_attempt {
	struct bytes provider;
	struct bytes model;
	struct bytes key;
	struct bytes failure; /* empty: it did not fail, or was answered with an error */
	int status;           /* 0: there was no answer */
	bool is_lost;         /* of a race */
	uint32_t ms;
	uint32_t first_event_ms; /* or RECORD_NO_MS */
};

struct record {
	unsigned char id[16]; /* UUIDv7, neap's own */
	int64_t start_us;     /* since 1970 */
	union {
		struct bytes
			texts[RECORD_TEXTS]; /* in the order in which they are kept */
		struct {
			struct bytes
				request_id; /* x-request-id, as the client has seen it */
			struct bytes token;
			struct bytes group;
			struct bytes endpoint; /* "chat", "embeddings", … */
			struct bytes dialect_in;
			struct bytes dialect_out;
			struct bytes model; /* as asked for */
			struct bytes provider;
			struct bytes target_model;
			struct bytes key;
			struct bytes conversation;
			struct bytes client; /* address */
		};
	};
	struct record_attempt *attempts;
	size_t attempt_count;
	int status; /* the client's; 0: it got none */
	enum record_outcome outcome;
	bool is_stream;
	bool is_test;   /* origin: a test of an administrator's, not a client */
	bool is_import; /* origin: another router's log, before there was this one */
	uint32_t ms;
	uint32_t first_byte_ms;  /* or RECORD_NO_MS */
	uint32_t first_event_ms; /* or RECORD_NO_MS */
	struct record_usage usage;
	bool has_cost;
	int64_t cost_micros; /* millionths of a US dollar */
	uint32_t price_version;
	uint64_t bytes_in;
	uint64_t bytes_out;
	uint64_t generation;
	/* Details. has_details: in a record that was unpacked without them, whether it has. */
	bool has_details;
	struct bytes raw_usage;
	struct bytes error;
	struct bytes trace; /* of failures, retries and a share of the rest */
};

/* The wall clock when it ended: what statistics go by. */
static inline int64_t record_end_us(const struct record *record)
{
	return record->start_us + (int64_t)record->ms * 1000;
}

/* Bytes that are enough for record_encode(). */
size_t record_size_max(const struct record *record);
/* Packs all but the details; returns how many bytes that took. */
size_t record_encode(const struct record *record, unsigned char *out);
/* The texts borrow from packed, the attempts lie in room, which has RECORD_ATTEMPTS_MAX.
 * -EBADMSG: it is damaged; -EPROTO: a newer neap wrote it in another way. */
MUST_CHECK
int record_decode(struct record *record, struct bytes packed,
	struct record_attempt *room);

/* The same for raw_usage, error and trace. */
size_t record_details_size_max(const struct record *record);
size_t record_encode_details(const struct record *record, unsigned char *out);
MUST_CHECK
int record_decode_details(struct record *record, struct bytes packed);
