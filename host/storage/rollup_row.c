#include "storage/rollup_row.h"

#include <errno.h>
#include <string.h>

#define VERSION 1

static const char *const dimension_names[ROLLUP_DIMENSIONS] = {
	[ROLLUP_ALL] = "all",
	[ROLLUP_PROVIDER] = "provider",
	[ROLLUP_MODEL] = "model",
	[ROLLUP_GROUP] = "group",
	[ROLLUP_TOKEN] = "token",
	[ROLLUP_ENDPOINT] = "endpoint",
	[ROLLUP_KEY] = "key",
};

const char *rollup_dimension_name(enum rollup_dimension dimension)
{
	return dimension_names[dimension];
}

enum rollup_dimension rollup_dimension_of(struct bytes name)
{
	for (unsigned i = 0; i < ROLLUP_DIMENSIONS; i++)
		if (strlen(dimension_names[i]) == name.size &&
			memcmp(dimension_names[i], name.data, name.size) == 0)
			return (enum rollup_dimension)i;
	return ROLLUP_DIMENSIONS;
}

/* -- sums ------------------------------------------------------------------------- */

uint64_t rollup_requests(const struct rollup_sums *sums)
{
	uint64_t requests = 0;

	for (unsigned i = 0; i < RECORD_OUTCOMES; i++)
		requests += sums->counts[ROLLUP_OUTCOMES + i];
	return requests;
}

uint64_t rollup_tokens(const struct rollup_sums *sums)
{
	const uint64_t *counts = sums->counts;

	return counts[ROLLUP_IN_FRESH] + counts[ROLLUP_CACHE_READ] +
		counts[ROLLUP_CACHE_WRITE_5M] + counts[ROLLUP_CACHE_WRITE_1H] +
		counts[ROLLUP_IN_AUDIO] + counts[ROLLUP_OUT_TOTAL];
}

void rollup_sums_add(struct rollup_sums *into, const struct rollup_sums *from)
{
	for (unsigned i = 0; i < ROLLUP_COUNTS; i++)
		into->counts[i] += from->counts[i];
	into->cost_micros = rollup_cost_add(into->cost_micros, from->cost_micros);
	histogram_merge(&into->ms, &from->ms);
	histogram_merge(&into->first_event_ms, &from->first_event_ms);
}

void rollup_sums_subtract(struct rollup_sums *from, const struct rollup_sums *part)
{
	for (unsigned i = 0; i < ROLLUP_COUNTS; i++)
		from->counts[i] -= part->counts[i];
	from->cost_micros = (int64_t)((uint64_t)from->cost_micros -
		(uint64_t)part->cost_micros);
	histogram_subtract(&from->ms, &part->ms);
	histogram_subtract(&from->first_event_ms, &part->first_event_ms);
}

void rollup_sums_clear(struct rollup_sums *sums)
{
	memset(sums->counts, 0, sizeof(sums->counts));
	sums->cost_micros = 0;
	histogram_clear(&sums->ms);
	histogram_clear(&sums->first_event_ms);
}

/* -- keys ------------------------------------------------------------------------- */

void rollup_key_dimension(struct key *key, unsigned span, int64_t start_s,
	enum rollup_dimension dimension)
{
	key->size = 0;
	key_u8(key, (uint8_t)span);
	key_u64(key, (uint64_t)start_s);
	key_u8(key, (uint8_t)dimension);
}

void rollup_key(struct key *key, unsigned span, int64_t start_s,
	enum rollup_dimension dimension, struct bytes value)
{
	rollup_key_dimension(key, span, start_s, dimension);
	key_text(key, value.data,
		value.size < RECORD_TEXT_MAX ? value.size : RECORD_TEXT_MAX);
}

/* -- values ----------------------------------------------------------------------- */

size_t rollup_pack(const struct rollup_sums *sums, unsigned char *out)
{
	unsigned char *start = out;
	uint64_t mask = 0;

	for (unsigned i = 0; i < ROLLUP_COUNTS; i++)
		mask |= (uint64_t)(sums->counts[i] != 0) << i;
	*out++ = VERSION;
	out = pack_number(out, mask);
	for (; mask; mask &= mask - 1)
		out = pack_number(out, sums->counts[__builtin_ctzll(mask)]);
	out = pack_signed(out, sums->cost_micros);
	out = histogram_pack(&sums->ms, out);
	out = histogram_pack(&sums->first_event_ms, out);
	return (size_t)(out - start);
}

int rollup_unpack(struct rollup_sums *into, struct bytes packed, enum rollup_part part)
{
	struct unpack from = unpack_start(packed);
	uint64_t version = unpack_number(&from);
	uint64_t mask = unpack_number(&from);

	if (!from.is_bad && (version != VERSION || mask >> ROLLUP_COUNTS))
		return version ? -EPROTO : -EBADMSG;
	for (; mask; mask &= mask - 1)
		into->counts[__builtin_ctzll(mask)] += unpack_number(&from);
	into->cost_micros = rollup_cost_add(into->cost_micros, unpack_signed(&from));
	if (part == ROLLUP_WHOLE) {
		histogram_unpack(&into->ms, &from);
		histogram_unpack(&into->first_event_ms, &from);
	}
	return from.is_bad ? -EBADMSG : 0;
}
