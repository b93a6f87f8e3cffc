/* health_store.h - keeps the state of targets and keys over the end of the process.
 *
 * What policies say of a target or a key (rest, disable, well, its balance) is written as it
 * changes, by a thread of its own, for all that changed in the last moment in one
 * transaction. Nobody waits for it: when the store fails, state goes on in memory alone,
 * that is counted and logged once a minute, and tried again.
 *
 * The rows are the table keys' whose key begins with "state/", then the entry's name
 * (health.h): {"state":"resting","until":…,"since":…,"why":"…","probe":…,"rests":…,
 * "balance":…,"balance_at":…}, times in seconds since 1970. There is none for an entry that
 * is ready and has no balance, and none whose name has no room in a key. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "storage/key.h"
#include "storage/store.h"

struct health_store;

/* Loads what was kept, on the calling thread, before there are workers: what rests goes on
 * resting, and rests that have ended meanwhile are dropped. Then keeps what changes. */
MUST_CHECK
int health_store_start(struct health_store **out, struct store *state, struct err *err);
/* Rows that could not be written when they changed. Any thread. */
uint64_t health_store_failures(struct health_store *store);
/* Whether a row of the table keys is one of these. */
bool health_store_owns(struct bytes key);
/* Writes what has changed and ends. After the workers. NULL is fine. */
void health_store_close(struct health_store *store);
