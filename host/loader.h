/* loader.h - builds generations: everything is checked before a worker sees any of it.
 *
 * One thread (the main one) loads; the workers go on meanwhile. Whether there is an admin
 * worker is decided by the first load: later ones build its generation or do not, whatever
 * router.lua says by then. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

struct generation;
struct generation_settings;
struct tls;

/* What router.lua said at the first load and a restart alone can change. */
struct fixed_settings {
	char *listen; /* NULL before the first load */
	char *admin_listen;
	char *storage;
	int worker_count;
	uint64_t spool_max;
	bool has_journal;
	bool has_tls;
};

struct loader {
	const char *home;   /* the program's folder */
	const char *config; /* the path of router.lua */
	uint64_t last_id;   /* of the newest generation, 0 before the first */
	/* Whose storage is read; opened after the peek and before the first load. */
	struct process *process;
	bool has_admin;
	struct fixed_settings fixed;
};

/* What one load gives: a generation for the loader itself, whose settings are in force, and
 * one for each worker; the last of them is the admin worker's, where there is one. */
struct loaded {
	struct generation *own;
	struct generation **workers;
	int worker_count;
	struct tls *tls; /* NULL: plain */
};

/* router.lua alone, for what it says of the process: a generation with settings and nothing
 * to run. errors as with loader_load(). */
MUST_CHECK
int loader_peek(struct loader *loader, struct generation **out, struct buf *errors);
/* All out of one snapshot of the files and of what is stored. worker_count, with the admin
 * worker, is 0 at the first load: as many as router.lua says, or as there are cores. On
 * failure nothing is left and errors has every message, one per line. */
MUST_CHECK
int loader_load(struct loader *loader, struct loaded *out, int worker_count,
	struct buf *errors);
/* Gives up what a load made and nobody took. */
void loaded_clear(struct loaded *loaded);
void loader_clear(struct loader *loader);
/* Log format and level as router.lua wants them. */
void loader_configure_log(const struct generation_settings *settings);
/* Warns where a reload has other words than the process that only a restart can follow. */
void loader_warn_of_fixed(const struct loader *loader,
	const struct generation_settings *now);
/* For a reload that a change of what is stored asks for: -EINVAL where it leaves out what the
 * settings in force do not; errors gets it. */
MUST_CHECK
int loader_compare_stored(const struct generation_settings *old,
	const struct generation_settings *now, struct buf *errors);
/* What of the stored configuration is left out, and why. */
void loader_log_stored(const struct generation_settings *settings);
/* Each message as a line of the log, or of standard error. */
void loader_log_errors(const struct buf *errors);
void loader_print_errors(const struct buf *errors);
