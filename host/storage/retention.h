/* retention.h - old records and bodies are removed, in slices that disturb nobody.
 *
 * A slice is a transaction of at most RETENTION_SLICE rows of records, of bodies and of
 * statistics. With a record go its details, its bodies and what the index has of it;
 * statistics have bounds of their own (rollup.h).
 * 0 means without end.
 *
 * After the wall clock went ahead by more than a day nothing is to be removed for a day: if
 * it is wrong, all that there is would be old, and whoever sets it right loses nothing. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/mem.h"
#include "storage/store.h"

#define RETENTION_SLICE 1000

struct retention {
	int64_t record_age_s;
	uint64_t record_bytes; /* of records, details and index on disk */
	int64_t body_age_s;    /* bodies go with their record at the latest */
	uint64_t body_bytes;
};

/* What is known of the clocks; zeros at the beginning. */
struct retention_hold {
	bool is_known;
	int64_t ahead_us; /* the wall clock of the monotonic one, when it was last asked */
	int64_t until_us; /* of the monotonic one */
};

/* Microseconds for which nothing is to be removed; 0: it may be. */
int64_t retention_hold(struct retention_hold *hold, int64_t wall_us, int64_t now_us);

/* One slice, set up by whoever calls and filled by retention_slice(). */
struct retention_slice {
	struct retention retention;
	int64_t now_us;
	uint32_t records; /* that were removed */
	uint32_t bodies;
	uint32_t sums;
	bool has_more;
};

/* A transaction's function; arg is a struct retention_slice. */
int retention_slice(struct txn *txn, void *arg, struct err *err);
