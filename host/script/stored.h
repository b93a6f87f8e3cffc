/* stored.h - the stored configuration as one load sees it: its rows, each read once.
 *
 * Like the texts of the files (sources.h), all states of a generation are built out of the
 * same rows. They are read on the thread that loads, before it builds. */
#pragma once

#include <lua.h>

#include "base/err.h"

struct master_keys;
struct store;
struct stored;

/* Reads the tables config and keys, without what keys holds of the running system
 * (health_store.h). master_keys is borrowed: with it secrets can be opened. */
MUST_CHECK
int stored_read(struct stored **out, struct store *state, struct master_keys *master_keys,
	struct err *err);
struct master_keys *stored_master_keys(const struct stored *stored);
/* Pushes { key, value, key, value, … } of a table, "config" or "keys", in the order of the
 * keys. */
void stored_push(lua_State *L, const struct stored *stored, const char *table);
/* NULL is fine. */
void stored_free(struct stored *stored);
