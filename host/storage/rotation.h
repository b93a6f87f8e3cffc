/* rotation.h - a fresh master key, and everything that is stored sealed again with it.
 *
 * The fresh key is put in front of the file of master keys first, then all secrets are sealed
 * again in one transaction, then the old keys are dropped. Whatever is cut off in between,
 * what is there opens with one of the keys of the file, and the next run or the next start
 * finishes it.
 *
 * A sealed secret stands in a JSON row of the state store as a member of its `sealed`:
 * {"sealed":{"secret":"<base64>"}, …}, sealed for the record "TABLE/KEY" and the field's
 * name. */
#pragma once

#include <stddef.h>

#include "base/err.h"
#include "storage/key.h"
#include "storage/master_key.h"
#include "storage/store.h"

/* Begins, unless there is one to finish, and finishes. *count: secrets that were sealed
 * again. -EBADMSG: some could not be opened, which err names; the others are done, and the
 * old keys stay. Only one at a time; waits for the disk. */
MUST_CHECK
int rotation_run(struct store *state, struct master_keys *keys, size_t *count,
	struct err *err);
/* Finishes one that was begun, if there is one. */
MUST_CHECK
int rotation_finish(struct store *state, struct master_keys *keys, size_t *count,
	struct err *err);
/* For whoever writes a row, in its transaction: -ESTALE where it holds a secret that the key
 * in force has not sealed, because it was rotated since. */
MUST_CHECK
int rotation_check(struct master_keys *keys, struct bytes row, struct err *err);
