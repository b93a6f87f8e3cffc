/* health.h - how the process finds its targets and keys: resting, disabled,
 * in flight, how fast.
 *
 * One entry per target and per key for the whole process: what one worker learns is in
 * force in all of them at once, and in no generation. An entry is found by name
 * ("key\0openai\0<hash>", "target\0openai\0gpt-4o") and lives as long as the process; the
 * number of names is bounded by the configurations that were loaded. What it says of an
 * entry's state and balance outlives the process: health_store.h writes what changes.
 * Any thread. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A probe that nobody concludes gives way to the next one after this. */
#define HEALTH_PROBE_MS (60 * 1000)

struct health;

enum health_state { HEALTH_READY, HEALTH_RESTING, HEALTH_DISABLED };

struct health_view {
	enum health_state state; /* a rest that is over reads as READY */
	/* RESTING: clock_ms() of its end. DISABLED: of the next probe, 0: none. */
	int64_t until_ms;
	int64_t since_wall_us; /* of the state */
	char why[200];
	int in_flight;
	uint64_t uses; /* starts since the process began */
	/* Time to the first event, as an average that rises at once to a peak, falls with
	 * time under faster samples, and is forgotten slowly while there are none, so that a
	 * target that nobody takes is tried again some day; 0: none yet. */
	double latency_ms;
	int64_t probe_ms; /* of a DISABLED one: the distance of its probes */
	unsigned rests;   /* in a row without a success between */
	double balance;   /* of a key, in the provider's unit; NAN: nobody knows */
	int64_t balance_wall_us;
};

/* Finds or makes the entry. */
struct health *health_of(const char *name, size_t name_size);
struct health_view health_look(struct health *health);
/* Cheap parts of the view, without a lock. */
int health_in_flight(const struct health *health);
bool health_is_ready(const struct health *health, int64_t now_ms);
unsigned health_rests(const struct health *health);
void health_rest(struct health *health, int64_t ms, const char *why);
/* probe_ms 0: until somebody says well. */
void health_disable(struct health *health, int64_t probe_ms, const char *why);
/* A success at at_us, of clock_us(): what failed before it is forgotten. Where something
 * failed after it, it says nothing: answers take minutes to end, and news come late. */
void health_well(struct health *health, int64_t at_us);
/* A failure at at_us. Returns how many there were since the last success, this one
 * included; the first of them counts for window_ms, and the others no longer. 0: there was
 * a success after it, and it says nothing. */
unsigned health_fail(struct health *health, int64_t at_us, int64_t window_ms);
/* Ready, without a rest or a failure since the last success: another one is no news. */
bool health_is_well(const struct health *health);
/* What the provider says is left on a key; NAN: nothing is known any more. */
void health_set_balance(struct health *health, double balance);
double health_balance(const struct health *health);
/* True for one caller at a time when a rest is over or a probe is due and nobody else
 * probes: the caller's attempt is the probe. It is concluded by health_rest(),
 * health_disable() or health_well(), or lapses after HEALTH_PROBE_MS. */
bool health_probe(struct health *health);
/* Around each attempt; begin counts a use. */
void health_begin(struct health *health);
void health_end(struct health *health);
/* A sample taken at now_ms, of clock_ms(). */
void health_latency(struct health *health, double ms, int64_t now_ms);
/* The average as it stands at now_ms. */
double health_latency_at(struct health *health, int64_t now_ms);

/* For health_store.c: */

/* Called when an entry has changed and none was waiting to be taken; it may only wake
 * somebody. Until then, and with NULL, changes are not noted. */
typedef void health_changed_fn(void *arg);
void health_on_change(health_changed_fn *fn, void *arg);
/* One that has changed, which is then no longer noted; NULL: there is none. */
struct health *health_take_changed(void);
bool health_has_changed(void);
/* Notes it (again), where it could not be kept. */
void health_change(struct health *health);
const char *health_name(const struct health *health, size_t *size);
/* Before there are workers: state, until_ms, since_wall_us, why, probe_ms, rests and the
 * balance of the view; nothing is noted. */
void health_restore(struct health *health, const struct health_view *view);
