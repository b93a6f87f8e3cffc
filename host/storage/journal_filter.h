/* journal_filter.h - which records somebody wants to see. Plain memory, any thread. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/mem.h"
#include "storage/index.h"
#include "storage/record.h"
#include "storage/store.h"

enum journal_wish { JOURNAL_EITHER, JOURNAL_YES, JOURNAL_NO };

/* Empty and zero mean any. The texts are borrowed; but for `text` they are looked for as
 * they are. */
struct journal_filter {
	int64_t from_us;  /* the earliest end of a request that is wanted */
	int64_t until_us; /* the first that is not */
	struct bytes token;
	struct bytes group;
	struct bytes provider; /* of the answer or of any attempt; so are model and key */
	struct bytes model;    /* or the one that was asked for */
	struct bytes key;
	struct bytes conversation;
	/* A part, in any case, of a model, an error, a conversation or a request id. */
	struct bytes text;
	int status;       /* 429 */
	int status_class; /* 4 */
	bool has_outcome;
	enum record_outcome outcome;
	enum journal_wish stream;
	enum journal_wish test;
	enum journal_wish import;
	int64_t min_cost_micros;
	uint32_t min_ms;
};

/* A filter made ready to be asked about many records. */
struct journal_sieve {
	const struct journal_filter *filter;
	struct buf text; /* the filter's, folded */
	struct buf room;
};

/* Borrows the filter. */
void journal_sieve_init(struct journal_sieve *sieve, const struct journal_filter *filter);
void journal_sieve_clear(struct journal_sieve *sieve);
/* 1: the record passes, 0: it does not, or a negative errno. Reads its details, by key,
 * where the text may be in them. */
MUST_CHECK
int journal_sieve_passes(struct journal_sieve *sieve, struct txn *txn, uint64_t key,
	const struct record *record);

/* The values of the index that all wanted records have; they borrow from the filter. */
#define JOURNAL_FILTER_VALUES 8
size_t journal_filter_values(const struct journal_filter *filter,
	struct index_value values[JOURNAL_FILTER_VALUES]);
