/* process.h - what all workers of the process share, and the figures that health
 * shows.
 *
 * Opened before there are workers, once router.lua has said where the storage is, and closed
 * after them. In between any thread uses what stands here; neap check and neap test have no
 * process. */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct generation_settings;
struct health_store;
struct journal;
struct master_keys;
struct passwords;
struct recent;
struct reloads;
struct shared;
struct spools;
struct storage;

#define WORKERS_MAX 256 /* that serve clients */

enum tally {
	TALLY_FAULTS,       /* failures of policies */
	TALLY_DONE_SKIPPED, /* runs of `done` whose policy a reload has taken away */
	TALLY_COUNT
};

struct process {
	struct shared *shared;
	struct recent *recent;
	struct spools *spools;
	struct storage *storage;
	struct journal *journal; /* NULL: it could not be started */
	struct master_keys *master_keys;
	struct passwords *passwords;
	struct health_store *health_store;
	struct reloads *reloads;
	int64_t start_us; /* clock_us() */
	int worker_count; /* that serve clients; the admin side's comes after them */
	_Atomic uint64_t generation; /* the newest that is in force in all workers */
	_Atomic uint64_t reload_count;
	_Atomic uint64_t reload_errors; /* reloads refused */
	_Atomic int is_draining;
	_Atomic int request_count; /* open exchanges that the script side holds */
	_Atomic int attempt_count; /* open transfers to providers */
	/* Per worker; published a few times a second. */
	_Atomic int connection_counts[WORKERS_MAX + 1];
	_Atomic bool are_full[WORKERS_MAX + 1]; /* their Lua states: state_is_full() */
	_Atomic uint64_t late_count; /* times that the watchdog found a worker late */
	_Atomic uint64_t tallies[TALLY_COUNT]; /* what the library counts */
	/* Answers for which a provider was asked, and what neap itself took for them up to
	 * their heads: in all, and until a provider was first waited for. */
	_Atomic uint64_t overhead_count;
	_Atomic uint64_t overhead_us;
	_Atomic uint64_t overhead_routing_us;
};

/* Opens the storage folder with all that lies in it. What was opened when it fails is
 * closed by process_close(). -EBUSY: another neap has the folder. */
MUST_CHECK
int process_open(struct process *process, const struct generation_settings *settings,
	struct err *err);
/* Records of requests go to the journal from now on, unless the settings want none; where
 * it cannot be started, that is logged and neap goes on without. After process_open();
 * one for each worker, the admin side's included. */
void process_start_journal(struct process *process,
	const struct generation_settings *settings, size_t worker_count);
/* Writes what still waits to be written. After the workers. */
void process_close(struct process *process);
