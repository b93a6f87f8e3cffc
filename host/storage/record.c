#include "storage/record.h"

#include <errno.h>

#include "storage/pack.h"

/* A record: version, id, start, flags, texts, numbers, usage, attempts; then whatever a
 * later version adds. An attempt has its size in front for the same reason. */
#define VERSION 1
#define DETAILS_VERSION 1

#define TEXT_ROOM (RECORD_TEXT_MAX + 2)
#define NUMBERS_ROOM 320 /* all that is no text: 16 bytes and up to 25 numbers */
#define ATTEMPT_ROOM (4 * TEXT_ROOM + 32)
#define USAGES 10

enum {
	FLAG_OUTCOME = 3, /* two bits */
	FLAG_STREAM = 1 << 2,
	FLAG_TEST = 1 << 3,
	FLAG_COST = 1 << 4,
	FLAG_DETAILS = 1 << 5,
	FLAG_USAGE = 1 << 6,
	FLAG_ESTIMATE = 1 << 7,
	FLAG_IMPORT = 1 << 8,
};

/* An attempt's texts are mostly the record's own. */
enum {
	ATTEMPT_LOST = 1 << 0,
	ATTEMPT_SAME_PROVIDER = 1 << 1,
	ATTEMPT_SAME_MODEL = 1 << 2,
	ATTEMPT_SAME_KEY = 1 << 3,
};

static struct bytes cut(struct bytes text, size_t size)
{
	return (struct bytes) { text.data, text.size < size ? text.size : size };
}

/* Both as functions: a record has dozens of them, and the loop that packs a number is longer
 * than its call. */
static __attribute__((noinline)) unsigned char *add_number(unsigned char *out,
	uint64_t number)
{
	return pack_number(out, number);
}

static __attribute__((noinline)) unsigned char *add_text(unsigned char *out,
	struct bytes text)
{
	return pack_text(out, cut(text, RECORD_TEXT_MAX));
}

/* Times that may not be: 0 is none. */
static unsigned char *add_ms(unsigned char *out, uint32_t ms)
{
	return add_number(out, ms == RECORD_NO_MS ? 0 : (uint64_t)ms + 1);
}

static uint32_t take_ms(struct unpack *from)
{
	uint64_t ms = unpack_number(from);

	return ms ? (uint32_t)(ms - 1) : RECORD_NO_MS;
}

/* -- usage ------------------------------------------------------------------------ */

/* A mask of the kinds that are not zero, then these. */
static unsigned char *add_usage(unsigned char *out, const struct record_usage *usage)
{
	const uint64_t kinds[USAGES] = { usage->in_fresh, usage->cache_read,
		usage->cache_write_5m, usage->cache_write_1h, usage->in_audio,
		usage->out_total, usage->reasoning, usage->requests, usage->audio_ms,
		usage->images };
	unsigned mask = 0;

	for (unsigned i = 0; i < USAGES; i++)
		mask |= (kinds[i] != 0) << i;
	out = add_number(out, mask);
	for (unsigned i = 0; i < USAGES; i++)
		if (kinds[i])
			out = add_number(out, kinds[i]);
	return out;
}

static void take_usage(struct unpack *from, struct record_usage *usage)
{
	uint64_t *const kinds[USAGES] = { &usage->in_fresh, &usage->cache_read,
		&usage->cache_write_5m, &usage->cache_write_1h, &usage->in_audio,
		&usage->out_total, &usage->reasoning, &usage->requests, &usage->audio_ms,
		&usage->images };
	uint64_t mask = unpack_number(from);

	for (unsigned i = 0; mask; i++, mask >>= 1) {
		uint64_t value = mask & 1 ? unpack_number(from) : 0;

		if (i < USAGES)
			*kinds[i] = value;
	}
}

/* -- attempts --------------------------------------------------------------------- */

static unsigned same(struct bytes a, struct bytes b, unsigned flag)
{
	a = cut(a, RECORD_TEXT_MAX);
	b = cut(b, RECORD_TEXT_MAX);
	if (a.size != b.size || (a.size && memcmp(a.data, b.data, a.size) != 0))
		return 0;
	return flag;
}

static unsigned char *add_attempt(unsigned char *out, const struct record *record,
	const struct record_attempt *attempt)
{
	unsigned flags = (attempt->is_lost ? ATTEMPT_LOST : 0) |
		same(attempt->provider, record->provider, ATTEMPT_SAME_PROVIDER) |
		same(attempt->model, record->target_model, ATTEMPT_SAME_MODEL) |
		same(attempt->key, record->key, ATTEMPT_SAME_KEY);
	unsigned char *start = out;
	size_t size;

	out = pack_number(out + 2, flags);
	if (!(flags & ATTEMPT_SAME_PROVIDER))
		out = add_text(out, attempt->provider);
	if (!(flags & ATTEMPT_SAME_MODEL))
		out = add_text(out, attempt->model);
	if (!(flags & ATTEMPT_SAME_KEY))
		out = add_text(out, attempt->key);
	out = add_text(out, attempt->failure);
	out = add_number(out, (unsigned)attempt->status);
	out = add_number(out, attempt->ms);
	out = add_ms(out, attempt->first_event_ms);
	/* Its size in two bytes, whatever it is. */
	size = (size_t)(out - start) - 2;
	start[0] = (unsigned char)(size | 0x80);
	start[1] = (unsigned char)(size >> 7);
	return out;
}

static void take_attempt(struct unpack *from, const struct record *record,
	struct record_attempt *attempt)
{
	struct unpack part = unpack_start(unpack_text(from));
	uint64_t flags = unpack_number(&part);

	attempt->is_lost = flags & ATTEMPT_LOST;
	attempt->provider = flags & ATTEMPT_SAME_PROVIDER ? record->provider
							  : unpack_text(&part);
	attempt->model = flags & ATTEMPT_SAME_MODEL ? record->target_model
						    : unpack_text(&part);
	attempt->key = flags & ATTEMPT_SAME_KEY ? record->key : unpack_text(&part);
	attempt->failure = unpack_text(&part);
	attempt->status = (int)unpack_number(&part);
	attempt->ms = (uint32_t)unpack_number(&part);
	attempt->first_event_ms = take_ms(&part);
	from->is_bad |= part.is_bad;
}

static unsigned char *add_attempts(unsigned char *out, const struct record *record)
{
	size_t count = record->attempt_count;
	size_t kept = count < RECORD_ATTEMPTS_MAX ? count : RECORD_ATTEMPTS_MAX;

	out = add_number(out, kept);
	for (size_t i = 0; i < kept; i++)
		out = add_attempt(out, record,
			&record->attempts[i + 1 < kept ? i : count - 1]);
	return out;
}

static void take_attempts(struct unpack *from, struct record *record,
	struct record_attempt *room)
{
	uint64_t count = unpack_number(from);

	if (count > RECORD_ATTEMPTS_MAX)
		count = unpack_bad(from);
	record->attempts = room;
	record->attempt_count = (size_t)count;
	for (size_t i = 0; i < count; i++)
		take_attempt(from, record, &room[i]);
}

/* -- the record ------------------------------------------------------------------- */

static bool has_details(const struct record *record)
{
	return record->has_details || record->raw_usage.size || record->error.size ||
		record->trace.size;
}

size_t record_size_max(const struct record *record)
{
	size_t count = record->attempt_count;

	if (count > RECORD_ATTEMPTS_MAX)
		count = RECORD_ATTEMPTS_MAX;
	return NUMBERS_ROOM + RECORD_TEXTS * TEXT_ROOM + count * ATTEMPT_ROOM;
}

static unsigned char *add_texts(unsigned char *out, const struct record *record)
{
	for (size_t i = 0; i < RECORD_TEXTS; i++)
		out = add_text(out, record->texts[i]);
	return out;
}

static void take_texts(struct unpack *from, struct record *record)
{
	for (size_t i = 0; i < RECORD_TEXTS; i++)
		record->texts[i] = unpack_text(from);
}

size_t record_encode(const struct record *record, unsigned char *out)
{
	unsigned char *start = out;
	unsigned flags = (unsigned)record->outcome |
		(record->is_stream ? FLAG_STREAM : 0) |
		(record->is_test ? FLAG_TEST : 0) | (record->has_cost ? FLAG_COST : 0) |
		(has_details(record) ? FLAG_DETAILS : 0) |
		(record->usage.is_known ? FLAG_USAGE : 0) |
		(record->usage.is_estimate ? FLAG_ESTIMATE : 0) |
		(record->is_import ? FLAG_IMPORT : 0);

	*out++ = VERSION;
	out = pack_raw(out, record->id, sizeof(record->id));
	out = add_number(out, (uint64_t)record->start_us);
	out = add_number(out, flags);
	out = add_texts(out, record);
	out = add_number(out, (unsigned)record->status);
	out = add_number(out, record->ms);
	out = add_ms(out, record->first_byte_ms);
	out = add_ms(out, record->first_event_ms);
	out = pack_signed(out, record->cost_micros);
	out = add_number(out, record->price_version);
	out = add_number(out, record->bytes_in);
	out = add_number(out, record->bytes_out);
	out = add_number(out, record->generation);
	out = add_usage(out, &record->usage);
	out = add_attempts(out, record);
	return (size_t)(out - start);
}

static void take_flags(uint64_t flags, struct record *record)
{
	record->outcome = (enum record_outcome)(flags & FLAG_OUTCOME);
	record->is_stream = flags & FLAG_STREAM;
	record->is_test = flags & FLAG_TEST;
	record->is_import = flags & FLAG_IMPORT;
	record->has_cost = flags & FLAG_COST;
	record->has_details = flags & FLAG_DETAILS;
	record->usage.is_known = flags & FLAG_USAGE;
	record->usage.is_estimate = flags & FLAG_ESTIMATE;
}

int record_decode(struct record *record, struct bytes packed, struct record_attempt *room)
{
	struct unpack from = unpack_start(packed);
	uint64_t version = unpack_number(&from);
	struct bytes id = unpack_raw(&from, sizeof(record->id));

	memset(record, 0, sizeof(*record));
	if (from.is_bad)
		return -EBADMSG;
	if (version != VERSION)
		return -EPROTO;
	memcpy(record->id, id.data, id.size);
	record->start_us = (int64_t)unpack_number(&from);
	take_flags(unpack_number(&from), record);
	take_texts(&from, record);
	record->status = (int)unpack_number(&from);
	record->ms = (uint32_t)unpack_number(&from);
	record->first_byte_ms = take_ms(&from);
	record->first_event_ms = take_ms(&from);
	record->cost_micros = unpack_signed(&from);
	record->price_version = (uint32_t)unpack_number(&from);
	record->bytes_in = unpack_number(&from);
	record->bytes_out = unpack_number(&from);
	record->generation = unpack_number(&from);
	take_usage(&from, &record->usage);
	take_attempts(&from, record, room);
	return from.is_bad ? -EBADMSG : 0;
}

/* -- details ---------------------------------------------------------------------- */

size_t record_details_size_max(const struct record *record)
{
	return 1 + 3 * PACK_NUMBER_MAX + cut(record->raw_usage, RECORD_DETAIL_MAX).size +
		cut(record->error, RECORD_DETAIL_MAX).size +
		cut(record->trace, RECORD_DETAIL_MAX).size;
}

size_t record_encode_details(const struct record *record, unsigned char *out)
{
	unsigned char *start = out;

	*out++ = DETAILS_VERSION;
	out = pack_text(out, cut(record->raw_usage, RECORD_DETAIL_MAX));
	out = pack_text(out, cut(record->error, RECORD_DETAIL_MAX));
	out = pack_text(out, cut(record->trace, RECORD_DETAIL_MAX));
	return (size_t)(out - start);
}

int record_decode_details(struct record *record, struct bytes packed)
{
	struct unpack from = unpack_start(packed);
	uint64_t version = unpack_number(&from);

	if (!from.is_bad && version != DETAILS_VERSION)
		return -EPROTO;
	record->raw_usage = unpack_text(&from);
	record->error = unpack_text(&from);
	record->trace = unpack_text(&from);
	return from.is_bad ? -EBADMSG : 0;
}
