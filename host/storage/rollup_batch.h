/* rollup_batch.h - sums of a few thousand records in memory, on their way into rows.
 *
 *	rollup_add(batch, &record, time_us);    // for each record of a transaction
 *	rollup_write(txn, batch);               // rollup.h: in that very transaction
 *	rollup_batch_reset(batch);              // once it is on disk, or was given up
 *
 * A record goes into one cell for each dimension, of the minute that it is found under.
 * Writing changes nothing here, since a transaction may have to run again. Memory is
 * bounded: who adds asks rollup_batch_is_full() before. For one thread. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "storage/record.h"
#include "storage/rollup_row.h"

#define ROLLUP_BATCH_RECORDS 4096

struct rollup_batch;

struct rollup_batch *rollup_batch_new(void);
void rollup_batch_free(struct rollup_batch *batch);
void rollup_batch_reset(struct rollup_batch *batch);
bool rollup_batch_is_full(const struct rollup_batch *batch);

/* time_us: what the record is found under (its row's key), so that a page of records and
 * the sums of the same span agree. Copies what it needs. */
void rollup_add(struct rollup_batch *batch, const struct record *record, int64_t time_us);
/* Under which value of a dimension a record is summed up; it borrows. */
struct bytes rollup_dimension_value(const struct record *record,
	enum rollup_dimension dimension);
/* Gives a record that was added and written before another cost; record holds the old
 * one. What was since thrown away for its age stays so. */
void rollup_recost(struct rollup_batch *batch, const struct record *record,
	int64_t time_us, bool has_cost, int64_t cost_micros);

/* For who writes. Cells are in the order in which their minutes were first seen. */
struct rollup_cell {
	int64_t minute_s;
	enum rollup_dimension dimension;
	bool has_records; /* else it only corrects rows that are there */
	uint16_t value_size;
	uint32_t value_at;
	uint32_t hash;
	uint32_t last_sample;
	int64_t cost_micros;
	uint64_t counts[ROLLUP_COUNTS];
};

size_t rollup_batch_cells(const struct rollup_batch *batch);
/* Both good until something is added. */
const struct rollup_cell *rollup_batch_cell(const struct rollup_batch *batch, size_t at);
struct bytes rollup_cell_value(const struct rollup_batch *batch,
	const struct rollup_cell *cell);
void rollup_cell_add_to(const struct rollup_batch *batch, const struct rollup_cell *cell,
	struct rollup_sums *sums);
