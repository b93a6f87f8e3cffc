/* import_run.h - `neap import`: what other routers' files become, worked out by admin/import in a
 * state of its own, which alone can read databases and YAML. Writes nothing. */
#pragma once

#include <stdbool.h>

#include "base/buf.h"
#include "storage/change.h"

struct master_keys;
struct sources;
struct store;

/* Texts are borrowed. */
struct import_options {
	const char *config;
	const char *from; /* the system; NULL: what the files look like */
	char **files;
	int file_count;
	bool is_dry; /* nothing is sealed, and there is no change */
};

struct import_plan {
	struct change change; /* with no ops: there is nothing to write */
	struct buf report;    /* for standard output, without any secret */
};

/* sources have the stored configuration. state may be NULL: nothing is stored yet, which takes
 * is_dry. Says what is wrong on stderr. Returns the exit status: 0, 1 for files that cannot be
 * taken over, 2 for options that mean nothing, 78 for a configuration that cannot be loaded; the
 * plan is to be cleared whatever it is. */
int import_run(struct import_plan *plan, struct sources *sources, struct store *state,
	struct master_keys *master_keys, const struct import_options *options);
void import_plan_clear(struct import_plan *plan);
