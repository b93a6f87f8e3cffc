/* recost.h - gives records other costs, and the sums that they are in.
 *
 * A change is of the records' rows and of their sums in one transaction, so that both say the
 * same at any moment. Who makes the costs knows the prices; here they are only written. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "storage/store.h"

#define RECOST_MAX 1000 /* changes of one transaction */

struct recost_change {
	unsigned char id[16]; /* of the record */
	bool has_cost;        /* false: what it cost is not known */
	int64_t cost_micros;
	uint32_t price_version;
};

struct recost {
	const struct recost_change *changes;
	size_t count;
	/* The answer. */
	uint32_t changed; /* records that cost something else now */
	uint32_t missing; /* records that retention was faster with */
};

/* A transaction's function; arg is a struct recost. -EBUSY: sums are being made anew. */
int recost(struct txn *txn, void *arg, struct err *err);
