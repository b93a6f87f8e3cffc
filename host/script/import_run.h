/* import_run.h - `neap import`: what other routers' files become, worked out by
 * admin/import in a state of its own, which alone can read databases and YAML.
 *
 * In two steps: first what is to be written to the state store, then, once that is there,
 * the logs, whose records go to the journal as they are read. */
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
	bool is_dry; /* nothing is sealed or written, and there is no change */
	bool is_without_logs;
};

struct import_run;

/* sources have the stored configuration. state may be NULL: nothing is stored yet, which takes
 * is_dry. Says what is wrong on stderr. Returns the exit status: 0, 1 for files that cannot be
 * taken over, 2 for options that mean nothing, 78 for a configuration that cannot be loaded; the
 * run is to be freed whatever it is. All that is given must outlive it. */
int import_run_start(struct import_run **out, struct sources *sources,
	struct store *state, struct master_keys *master_keys,
	const struct import_options *options);
/* What is to be written; with no ops there is nothing. The run's. */
struct change *import_run_change(struct import_run *run);
/* Carries the logs over; journal may be NULL in a dry run. Appends the report, which is for
 * standard output and shows no secret. Returns the exit status, 0 or 1, as above. */
int import_run_finish(struct import_run *run, struct store *journal, struct buf *report);
/* NULL is fine. */
void import_run_free(struct import_run *run);
