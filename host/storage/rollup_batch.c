#include "storage/rollup_batch.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"

#define CELLS_FIRST 256
/* One record makes as many at the most: its dimensions, and its attempts' elsewhere. */
#define CELLS_PER_RECORD (ROLLUP_DIMENSIONS + 3 * RECORD_ATTEMPTS_MAX)
#define CELLS_MAX 16384
#define NO_BUCKET UINT16_MAX

/* The times of a record, in all its cells; histograms in each would be kilobytes. */
struct sample {
	uint16_t ms;
	uint16_t first_event_ms;
};

struct rollup_batch {
	struct sample samples[ROLLUP_BATCH_RECORDS];
	/* For each record and dimension the cell's sample before it; 0: there is none, else
	 * its number and one. */
	uint32_t before[ROLLUP_BATCH_RECORDS * ROLLUP_DIMENSIONS];
	size_t record_count;
	struct rollup_cell *cells;
	size_t cell_count;
	size_t cell_room;
	uint32_t *slots; /* twice as many as cells have room; a cell's number and one */
	/* The cell of each dimension that was found last, its number and one: mostly the next
	 * one's. 0: none yet. */
	uint32_t latest[ROLLUP_DIMENSIONS];
	struct buf texts;
};

struct rollup_batch *rollup_batch_new(void)
{
	struct rollup_batch *batch = xcalloc(1, sizeof(*batch));

	batch->cell_room = CELLS_FIRST;
	batch->cells = xcalloc(batch->cell_room, sizeof(*batch->cells));
	batch->slots = xcalloc(2 * batch->cell_room, sizeof(*batch->slots));
	return batch;
}

void rollup_batch_free(struct rollup_batch *batch)
{
	if (!batch)
		return;
	buf_clear(&batch->texts);
	free(batch->slots);
	free(batch->cells);
	free(batch);
}

void rollup_batch_reset(struct rollup_batch *batch)
{
	memset(batch->slots, 0, 2 * batch->cell_room * sizeof(*batch->slots));
	batch->cell_count = 0;
	memset(batch->latest, 0, sizeof(batch->latest));
	batch->record_count = 0;
	buf_reset(&batch->texts);
}

bool rollup_batch_is_full(const struct rollup_batch *batch)
{
	return batch->record_count == ROLLUP_BATCH_RECORDS ||
		batch->cell_count > CELLS_MAX - CELLS_PER_RECORD;
}

size_t rollup_batch_cells(const struct rollup_batch *batch)
{
	return batch->cell_count;
}

const struct rollup_cell *rollup_batch_cell(const struct rollup_batch *batch, size_t at)
{
	assert(at < batch->cell_count);
	return &batch->cells[at];
}

struct bytes rollup_cell_value(const struct rollup_batch *batch,
	const struct rollup_cell *cell)
{
	/* A batch that saw no text at all has no memory for them. */
	if (!cell->value_size)
		return (struct bytes) { "", 0 };
	return (struct bytes) { buf_data(&batch->texts) + cell->value_at,
		cell->value_size };
}

void rollup_cell_add_to(const struct rollup_batch *batch, const struct rollup_cell *cell,
	struct rollup_sums *sums)
{
	for (unsigned i = 0; i < ROLLUP_COUNTS; i++)
		sums->counts[i] += cell->counts[i];
	sums->cost_micros = rollup_cost_add(sums->cost_micros, cell->cost_micros);
	for (uint32_t at = cell->last_sample; at; at = batch->before[at - 1]) {
		const struct sample
			*sample = &batch->samples[(at - 1) / ROLLUP_DIMENSIONS];

		histogram_add(&sums->ms, sample->ms, 1);
		if (sample->first_event_ms != NO_BUCKET)
			histogram_add(&sums->first_event_ms, sample->first_event_ms, 1);
	}
}

/* -- finding a cell --------------------------------------------------------------- */

static uint64_t mix(uint64_t hash, uint64_t word)
{
	hash = (hash ^ word) * 0x9e3779b97f4a7c15u;
	return hash ^ hash >> 32;
}

static uint32_t hash_of(int64_t minute_s, enum rollup_dimension dimension,
	struct bytes value)
{
	uint64_t hash = mix((uint64_t)minute_s, (unsigned)dimension + 1);
	const char *text = value.data;
	uint64_t word;

	for (size_t left = value.size; left; left -= left < 8 ? left : 8, text += 8) {
		word = 0;
		memcpy(&word, text, left < 8 ? left : 8);
		hash = mix(hash, word);
	}
	return (uint32_t)mix(hash, value.size);
}

static void grow(struct rollup_batch *batch)
{
	size_t mask;

	batch->cell_room *= 2;
	batch->cells = xrealloc(batch->cells, batch->cell_room * sizeof(*batch->cells));
	free(batch->slots);
	batch->slots = xcalloc(2 * batch->cell_room, sizeof(*batch->slots));
	mask = 2 * batch->cell_room - 1;
	for (size_t i = 0; i < batch->cell_count; i++) {
		size_t slot = batch->cells[i].hash & mask;

		while (batch->slots[slot])
			slot = (slot + 1) & mask;
		batch->slots[slot] = (uint32_t)i + 1;
	}
}

static bool is_same(const struct rollup_batch *batch, const struct rollup_cell *cell,
	int64_t minute_s, enum rollup_dimension dimension, struct bytes value)
{
	return cell->minute_s == minute_s && cell->dimension == dimension &&
		cell->value_size == value.size &&
		(!value.size ||
			memcmp(rollup_cell_value(batch, cell).data, value.data,
				value.size) == 0);
}

/* The number of the cell, which is made where there is none. */
static size_t find_by_hash(struct rollup_batch *batch, int64_t minute_s,
	enum rollup_dimension dimension, struct bytes value)
{
	uint32_t hash = hash_of(minute_s, dimension, value);
	size_t slot, mask;
	struct rollup_cell *cell;

	if (batch->cell_count == batch->cell_room)
		grow(batch);
	mask = 2 * batch->cell_room - 1;
	for (slot = hash & mask; batch->slots[slot]; slot = (slot + 1) & mask) {
		cell = &batch->cells[batch->slots[slot] - 1];
		if (cell->hash == hash &&
			is_same(batch, cell, minute_s, dimension, value))
			return batch->slots[slot] - 1;
	}
	cell = &batch->cells[batch->cell_count++];
	*cell = (struct rollup_cell) {
		.minute_s = minute_s,
		.dimension = dimension,
		.value_size = (uint16_t)value.size,
		.value_at = (uint32_t)buf_size(&batch->texts),
		.hash = hash,
	};
	if (value.size)
		buf_append(&batch->texts, value.data, value.size);
	batch->slots[slot] = (uint32_t)batch->cell_count;
	return batch->cell_count - 1;
}

static size_t find(struct rollup_batch *batch, int64_t minute_s,
	enum rollup_dimension dimension, struct bytes value)
{
	uint32_t latest = batch->latest[dimension];
	size_t found;

	if (value.size > RECORD_TEXT_MAX)
		value.size = RECORD_TEXT_MAX;
	if (latest &&
		is_same(batch, &batch->cells[latest - 1], minute_s, dimension, value))
		return latest - 1;
	found = find_by_hash(batch, minute_s, dimension, value);
	batch->latest[dimension] = (uint32_t)found + 1;
	return found;
}

/* -- adding a record -------------------------------------------------------------- */

struct bytes rollup_dimension_value(const struct record *record,
	enum rollup_dimension dimension)
{
	switch (dimension) {
	case ROLLUP_PROVIDER:
		return record->provider;
	case ROLLUP_MODEL:
		return record->target_model;
	case ROLLUP_GROUP:
		return record->group;
	case ROLLUP_TOKEN:
		return record->token;
	case ROLLUP_ENDPOINT:
		return record->endpoint;
	case ROLLUP_KEY:
		return record->key;
	case ROLLUP_ALL:
	case ROLLUP_DIMENSIONS:
		break;
	}
	return (struct bytes) { 0 };
}

/* False where attempts count for the request, wherever they were made. */
static bool attempt_value(const struct record_attempt *attempt,
	enum rollup_dimension dimension, struct bytes *value)
{
	if (dimension == ROLLUP_PROVIDER)
		*value = attempt->provider;
	else if (dimension == ROLLUP_MODEL)
		*value = attempt->model;
	else if (dimension == ROLLUP_KEY)
		*value = attempt->key;
	else
		return false;
	return true;
}

static unsigned status_class(int status)
{
	return status >= 100 && status < 600 ? (unsigned)status / 100 : 0;
}

/* What the record adds in each dimension; attempts are not in it. */
static void count_record(const struct record *record, uint64_t counts[ROLLUP_COUNTS])
{
	const struct record_usage *usage = &record->usage;
	bool is_retried = record->attempt_count > 1;

	counts[ROLLUP_OUTCOMES + record->outcome] = 1;
	counts[ROLLUP_STATUSES + status_class(record->status)] = 1;
	counts[ROLLUP_TESTS] = record->is_test;
	counts[ROLLUP_STREAMS] = record->is_stream;
	counts[ROLLUP_RETRIES] = is_retried ? record->attempt_count - 1 : 0;
	counts[ROLLUP_RETRIED] = is_retried;
	counts[ROLLUP_USAGE_KNOWN] = usage->is_known;
	counts[ROLLUP_USAGE_ESTIMATED] = usage->is_estimate;
	counts[ROLLUP_PRICED] = record->has_cost;
	counts[ROLLUP_IN_FRESH] = usage->in_fresh;
	counts[ROLLUP_CACHE_READ] = usage->cache_read;
	counts[ROLLUP_CACHE_WRITE_5M] = usage->cache_write_5m;
	counts[ROLLUP_CACHE_WRITE_1H] = usage->cache_write_1h;
	counts[ROLLUP_IN_AUDIO] = usage->in_audio;
	counts[ROLLUP_OUT_TOTAL] = usage->out_total;
	counts[ROLLUP_REASONING] = usage->reasoning;
	counts[ROLLUP_USAGE_REQUESTS] = usage->requests;
	counts[ROLLUP_AUDIO_MS] = usage->audio_ms;
	counts[ROLLUP_IMAGES] = usage->images;
	counts[ROLLUP_BYTES_IN] = record->bytes_in;
	counts[ROLLUP_BYTES_OUT] = record->bytes_out;
	counts[ROLLUP_MS] = record->ms;
	if (record->first_event_ms != RECORD_NO_MS) {
		counts[ROLLUP_FIRST_EVENTS] = 1;
		counts[ROLLUP_FIRST_EVENT_MS] = record->first_event_ms;
	}
}

static bool is_equal(struct bytes a, struct bytes b)
{
	return a.size == b.size && (!a.size || memcmp(a.data, b.data, a.size) == 0);
}

/* An error that the provider answered has a status and no failure. */
static bool has_failed(const struct record_attempt *attempt)
{
	return !attempt->is_lost && (attempt->failure.size || attempt->status >= 400);
}

/* home: the record's own cell of the dimension. */
static void add_attempts(struct rollup_batch *batch, const struct record *record,
	enum rollup_dimension dimension, size_t home)
{
	struct bytes own = rollup_dimension_value(record, dimension);
	int64_t minute_s = batch->cells[home].minute_s;

	for (size_t i = 0; i < record->attempt_count; i++) {
		const struct record_attempt *attempt = &record->attempts[i];
		struct bytes value;
		size_t at = home;

		if (attempt_value(attempt, dimension, &value) && !is_equal(value, own))
			at = find(batch, minute_s, dimension, value);
		batch->cells[at].has_records = true;
		batch->cells[at].counts[ROLLUP_ATTEMPTS]++;
		batch->cells[at].counts[ROLLUP_ATTEMPTS_FAILED] += has_failed(attempt);
	}
}

void rollup_add(struct rollup_batch *batch, const struct record *record, int64_t time_us)
{
	int64_t minute_s = rollup_floor(time_us / 1000000, ROLLUP_MINUTE_S);
	uint64_t counts[ROLLUP_COUNTS] = { 0 };
	uint32_t sample;

	assert(!rollup_batch_is_full(batch));
	count_record(record, counts);
	batch->samples[batch->record_count] = (struct sample) {
		.ms = (uint16_t)histogram_bucket(record->ms),
		.first_event_ms = counts[ROLLUP_FIRST_EVENTS]
			? (uint16_t)histogram_bucket(record->first_event_ms)
			: NO_BUCKET,
	};
	sample = (uint32_t)batch->record_count++ * ROLLUP_DIMENSIONS;
	for (unsigned i = 0; i < ROLLUP_DIMENSIONS; i++) {
		enum rollup_dimension dimension = (enum rollup_dimension)i;
		size_t at = find(batch, minute_s, dimension,
			rollup_dimension_value(record, dimension));
		struct rollup_cell *cell = &batch->cells[at];

		for (unsigned j = 0; j < ROLLUP_COUNTS; j++)
			cell->counts[j] += counts[j];
		cell->cost_micros = rollup_cost_add(cell->cost_micros,
			record->has_cost ? record->cost_micros : 0);
		cell->has_records = true;
		batch->before[sample + i] = cell->last_sample;
		cell->last_sample = sample + i + 1;
		add_attempts(batch, record, dimension, at);
	}
}

void rollup_recost(struct rollup_batch *batch, const struct record *record,
	int64_t time_us, bool has_cost, int64_t cost_micros)
{
	int64_t minute_s = rollup_floor(time_us / 1000000, ROLLUP_MINUTE_S);
	int64_t more = rollup_cost_add(has_cost ? cost_micros : 0,
		record->has_cost ? -record->cost_micros : 0);

	assert(!rollup_batch_is_full(batch));
	for (unsigned i = 0; i < ROLLUP_DIMENSIONS; i++) {
		enum rollup_dimension dimension = (enum rollup_dimension)i;
		size_t at = find(batch, minute_s, dimension,
			rollup_dimension_value(record, dimension));
		struct rollup_cell *cell = &batch->cells[at];

		cell->cost_micros = rollup_cost_add(cell->cost_micros, more);
		/* One less is as good as one more: sums wrap. */
		cell->counts[ROLLUP_PRICED] += (uint64_t)has_cost -
			(uint64_t)record->has_cost;
	}
}
