/* process.h - what all workers of the process share, and the figures that health
 * shows. */
#pragma once

#include <stdatomic.h>
#include <stdint.h>

struct recent;
struct shared;
struct spools;

#define WORKERS_MAX 256

enum tally {
	TALLY_FAULTS,       /* failures of policies */
	TALLY_DONE_SKIPPED, /* runs of `done` whose policy a reload has taken away */
	TALLY_COUNT
};

struct process {
	struct shared *shared;
	struct recent *recent;
	struct spools *spools;
	int64_t start_us; /* clock_us() */
	int worker_count;
	_Atomic uint64_t generation; /* the newest that is in force in all workers */
	_Atomic uint64_t reload_count;
	_Atomic uint64_t reload_errors; /* reloads refused */
	_Atomic int is_draining;
	_Atomic int request_count; /* open exchanges that the script side holds */
	_Atomic int attempt_count; /* open transfers to providers */
	/* Per worker; published a few times a second. */
	_Atomic int connection_counts[WORKERS_MAX];
	_Atomic uint64_t late_count; /* times that the watchdog found a worker late */
	_Atomic uint64_t tallies[TALLY_COUNT]; /* what the library counts */
};
