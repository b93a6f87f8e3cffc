/* journal.h - records on their way from the workers to disk, and what becomes of old ones.
 *
 * Each worker has a ring; the journal's thread empties the rings and writes what was in
 * them in one transaction, at most JOURNAL_GATHER_MS after the first record and at once
 * when a ring fills up. A process that is killed loses what was pushed since the last
 * transaction: 50 ms, if the disk is fast enough. A worker never waits: what does not fit,
 * and what the disk refuses, is dropped and counted, and requests go on.
 *
 * Between the transactions the same thread removes what is too old or too much, a slice at
 * a time (retention.h). */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/mem.h"
#include "storage/body.h"
#include "storage/record.h"
#include "storage/retention.h"
#include "storage/store.h"

#define JOURNAL_GATHER_MS 25
#define JOURNAL_RING_SIZE (4 * 1024 * 1024)
#define JOURNAL_BODIES_MAX (64 * 1024 * 1024) /* bytes of bodies that wait */

struct journal;

struct journal_options {
	size_t worker_count;
	size_t ring_size; /* bytes of each, a power of two; 0: JOURNAL_RING_SIZE */
	struct retention retention;
};

struct journal_figures {
	uint64_t written; /* records, since the start */
	uint64_t dropped; /* records: no room in a ring, or the disk refused them */
	uint64_t bodies_dropped; /* lists of bodies that came when too many waited */
	uint64_t transactions;
	uint64_t removed; /* records, by retention */
	uint64_t bodies_removed;
	uint64_t retained; /* the last journal_retain() after which nothing old is left */
	int64_t held_us;   /* for which nothing is removed (retention_hold) */
	struct err retention_error; /* empty: it went well */
	size_t waiting;             /* bytes in the fullest ring */
	size_t ring_size;
	int64_t last_us; /* wall clock of the last transaction that succeeded, or 0 */
	int error;       /* of the last transaction: 0 or a negative errno */
	struct err error_text; /* empty without an error */
};

/* The store must outlive the journal. */
MUST_CHECK
int journal_start(struct journal **out, struct store *store,
	const struct journal_options *options, struct err *err);

/* On one thread for each worker number (0 to worker_count - 1). Copies the record, takes
 * the bodies (or NULL) in any case. False: it was dropped. Takes no lock and allocates
 * nothing. */
bool journal_push(struct journal *journal, size_t worker, const struct record *record,
	struct body *bodies);

/* Any thread but the journal's own. Returns once all that was pushed before is on disk or
 * was dropped. */
void journal_flush(struct journal *journal);
void journal_set_retention(struct journal *journal, const struct retention *retention);
/* Has the thread look for what is old at once. Returns what .retained comes to when it is
 * through, whatever came of that. */
uint64_t journal_retain(struct journal *journal);
struct journal_figures journal_figures(struct journal *journal);

/* Nobody pushes any more. Writes what is left. NULL is fine. */
void journal_close(struct journal *journal);
