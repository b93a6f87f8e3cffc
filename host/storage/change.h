/* change.h - rows of the state store that are written together or not at all, under
 * conditions: { put, delete, expect a row to be exactly this, or absent }.
 *
 * A secret that was sealed before the master key was rotated is refused in the transaction
 * itself. */
#pragma once

#include <stddef.h>

#include "base/err.h"
#include "storage/key.h"
#include "storage/store.h"

struct master_keys;

enum change_kind { CHANGE_PUT, CHANGE_DELETE, CHANGE_EXPECT };

struct change_op {
	enum change_kind kind;
	const struct table *table;
	struct bytes key;
	struct bytes value; /* data NULL: none */
};

struct change {
	struct change_op *ops;
	size_t count;
	char *texts;                     /* of the ops */
	struct master_keys *master_keys; /* borrowed */
	size_t conflict; /* place of the expectation that was not met, from 1; 0: none */
};

/* Copies the ops with their texts; all is well for any number of them. */
void change_init(struct change *change, const struct change_op *ops, size_t count,
	struct master_keys *master_keys);
/* A store_fn of the state store; arg is the struct change. -ECANCELED: a row is not as
 * expected, and conflict says which. */
int change_run(struct txn *txn, void *change, struct err *err);
void change_clear(struct change *change);
