#include "storage/health.h"

#include <assert.h>
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/list.h"
#include "base/map.h"
#include "base/mem.h"

/* After so long without a peak, two thirds of its excess over what came since are gone. */
#define LATENCY_FALL_MS (60.0 * 1000)
/* After so long without any sample, two thirds of the average are forgotten. */
#define LATENCY_FORGET_MS (10.0 * 60 * 1000)

/* What the hot questions need is atomic. It is changed under the lock, so that the texts
 * and counts of the view belong to the state that they stand beside. */
struct health {
	pthread_mutex_t lock;
	_Atomic int state;
	_Atomic int64_t until_ms;
	_Atomic int in_flight;
	_Atomic uint64_t uses;
	int64_t since_wall_us;
	int64_t probe_ms;
	int64_t probing_until_ms; /* somebody probes until then, 0: nobody */
	double latency_ms;        /* as of latency_at_ms */
	int64_t latency_at_ms;
	_Atomic unsigned rests;
	_Atomic int64_t failed_at_us; /* since the last success, 0: none did */
	int64_t well_at_us;           /* the last success that ended failures */
	unsigned failures;
	int64_t failures_until_ms; /* then they no longer count */
	_Atomic double balance;    /* NAN: nobody knows */
	int64_t balance_wall_us;
	char why[sizeof(((struct health_view *)NULL)->why)];
	struct list changed; /* in the list of those to be kept, or in none */
	size_t name_size;
	char name[];
};

static struct {
	pthread_mutex_t lock;
	struct map *entries;
} registry = { .lock = PTHREAD_MUTEX_INITIALIZER };

/* Entries whose state is another than the one that was kept. */
static struct {
	pthread_mutex_t lock;
	struct list entries;
	health_changed_fn *on_change;
	void *arg;
} changes = {
	.lock = PTHREAD_MUTEX_INITIALIZER,
	.entries = { &changes.entries, &changes.entries },
};

static struct health *new_entry(const char *name, size_t name_size)
{
	struct health *health = xcalloc(1, sizeof(*health) + name_size);

	pthread_mutex_init(&health->lock, NULL);
	list_init(&health->changed);
	health->since_wall_us = clock_wall_us();
	health->balance = (double)NAN;
	health->name_size = name_size;
	memcpy(health->name, name, name_size);
	return health;
}

struct health *health_of(const char *name, size_t name_size)
{
	struct health *health;

	pthread_mutex_lock(&registry.lock);
	if (!registry.entries)
		registry.entries = map_new();
	health = map_get(registry.entries, name, name_size);
	if (!health) {
		health = new_entry(name, name_size);
		map_set(registry.entries, name, name_size, health);
	}
	pthread_mutex_unlock(&registry.lock);
	return health;
}

/* Under the lock. */
static double latency_at(const struct health *health, int64_t now_ms)
{
	double idle_ms = (double)(now_ms - health->latency_at_ms);

	return health->latency_ms * exp(-idle_ms / LATENCY_FORGET_MS);
}

struct health_view health_look(struct health *health)
{
	struct health_view view = { 0 };
	int64_t now = clock_ms();

	pthread_mutex_lock(&health->lock);
	view.state = (enum health_state)health->state;
	view.until_ms = health->until_ms;
	view.since_wall_us = health->since_wall_us;
	snprintf(view.why, sizeof(view.why), "%s", health->why);
	view.in_flight = health->in_flight;
	view.uses = health->uses;
	view.latency_ms = latency_at(health, now);
	view.probe_ms = health->probe_ms;
	view.rests = health->rests;
	view.balance = health->balance;
	view.balance_wall_us = health->balance_wall_us;
	pthread_mutex_unlock(&health->lock);
	if (view.state == HEALTH_RESTING && view.until_ms <= now)
		view.state = HEALTH_READY;
	return view;
}

int health_in_flight(const struct health *health)
{
	return health->in_flight;
}

unsigned health_rests(const struct health *health)
{
	return health->rests;
}

bool health_is_ready(const struct health *health, int64_t now_ms)
{
	int state = health->state;

	return state == HEALTH_READY ||
		(state == HEALTH_RESTING && health->until_ms <= now_ms);
}

/* Under the lock. until_ms first: who sees the new state sees its end, too. */
static void set_state(struct health *health, enum health_state state, int64_t until_ms,
	const char *why)
{
	if (state != (enum health_state)health->state || state == HEALTH_RESTING)
		health->since_wall_us = clock_wall_us();
	health->until_ms = until_ms;
	health->state = (int)state;
	health->probing_until_ms = 0;
	health->probe_ms = 0;
	snprintf(health->why, sizeof(health->why), "%s", why);
}

void health_rest(struct health *health, int64_t ms, const char *why)
{
	int64_t now = clock_ms();
	bool is_other = true;

	pthread_mutex_lock(&health->lock);
	/* Disabled stays disabled: an attempt that began before may still end in a
	 * rest. */
	if (health->state == HEALTH_RESTING && health->until_ms > now) {
		/* Attempts that ran side by side report the same trouble: it counts once,
		 * and the longer rest stands. */
		is_other = now + ms > health->until_ms;
		if (is_other)
			set_state(health, HEALTH_RESTING, now + ms, why);
	} else if (health->state != HEALTH_DISABLED) {
		set_state(health, HEALTH_RESTING, now + ms, why);
		health->rests++;
	} else {
		is_other = false;
	}
	pthread_mutex_unlock(&health->lock);
	if (is_other)
		health_change(health);
}

void health_disable(struct health *health, int64_t probe_ms, const char *why)
{
	pthread_mutex_lock(&health->lock);
	set_state(health, HEALTH_DISABLED, probe_ms ? clock_ms() + probe_ms : 0, why);
	health->probe_ms = probe_ms;
	pthread_mutex_unlock(&health->lock);
	health_change(health);
}

/* Under the lock: whether a success then is newer than what failed. */
static bool forget_failures(struct health *health, int64_t at_us)
{
	if (!health->failed_at_us)
		return true;
	if (at_us < health->failed_at_us)
		return false;
	health->well_at_us = at_us;
	health->failed_at_us = 0;
	health->failures = 0;
	return true;
}

void health_well(struct health *health, int64_t at_us)
{
	bool is_other = false;

	/* Every success says well; most say nothing new, and the lock is spared. */
	if (health_is_well(health))
		return;
	pthread_mutex_lock(&health->lock);
	if (forget_failures(health, at_us) &&
		(health->state != HEALTH_READY || health->rests)) {
		set_state(health, HEALTH_READY, 0, "");
		health->rests = 0;
		is_other = true;
	}
	pthread_mutex_unlock(&health->lock);
	if (is_other)
		health_change(health);
}

unsigned health_fail(struct health *health, int64_t at_us, int64_t window_ms)
{
	int64_t now_ms = clock_ms();
	unsigned failures = 0;

	pthread_mutex_lock(&health->lock);
	if (at_us >= health->well_at_us) {
		health->failed_at_us = at_us;
		if (health->failures_until_ms <= now_ms)
			health->failures = 0;
		if (health->failures == 0)
			health->failures_until_ms = now_ms + window_ms;
		failures = ++health->failures;
	}
	pthread_mutex_unlock(&health->lock);
	return failures;
}

bool health_is_well(const struct health *health)
{
	return health->state == HEALTH_READY && !health->rests && !health->failed_at_us;
}

void health_set_balance(struct health *health, double balance)
{
	pthread_mutex_lock(&health->lock);
	health->balance = balance;
	health->balance_wall_us = clock_wall_us();
	pthread_mutex_unlock(&health->lock);
	health_change(health);
}

double health_balance(const struct health *health)
{
	return health->balance;
}

bool health_probe(struct health *health)
{
	int64_t now = clock_ms();
	bool is_mine;

	if (health->state == HEALTH_READY)
		return false;
	pthread_mutex_lock(&health->lock);
	is_mine = health->state != HEALTH_READY && health->until_ms &&
		health->until_ms <= now && health->probing_until_ms <= now;
	if (is_mine) {
		health->probing_until_ms = now + HEALTH_PROBE_MS;
		if (health->state == HEALTH_DISABLED)
			health->until_ms = now + health->probe_ms;
	}
	pthread_mutex_unlock(&health->lock);
	return is_mine;
}

void health_begin(struct health *health)
{
	health->in_flight++;
	health->uses++;
}

void health_end(struct health *health)
{
	int before = health->in_flight--;

	assert(before > 0);
}

void health_latency(struct health *health, double ms, int64_t now_ms)
{
	double known_ms, share;

	pthread_mutex_lock(&health->lock);
	known_ms = latency_at(health, now_ms);
	/* A sample counts by the time that it stands for, however many there are. */
	share = 1 - exp(-(double)(now_ms - health->latency_at_ms) / LATENCY_FALL_MS);
	if (health->latency_ms == 0 || ms > known_ms)
		health->latency_ms = ms;
	else
		health->latency_ms = known_ms + (ms - known_ms) * share;
	health->latency_at_ms = now_ms;
	pthread_mutex_unlock(&health->lock);
}

double health_latency_at(struct health *health, int64_t now_ms)
{
	double latency_ms;

	pthread_mutex_lock(&health->lock);
	latency_ms = latency_at(health, now_ms);
	pthread_mutex_unlock(&health->lock);
	return latency_ms;
}

/* -- what outlives the process ----------------------------------------------------- */

void health_on_change(health_changed_fn *fn, void *arg)
{
	pthread_mutex_lock(&changes.lock);
	changes.on_change = fn;
	changes.arg = arg;
	pthread_mutex_unlock(&changes.lock);
}

void health_change(struct health *health)
{
	pthread_mutex_lock(&changes.lock);
	if (changes.on_change) {
		bool is_first = list_is_empty(&changes.entries);

		list_remove(&health->changed);
		list_append(&changes.entries, &health->changed);
		if (is_first)
			changes.on_change(changes.arg);
	}
	pthread_mutex_unlock(&changes.lock);
}

struct health *health_take_changed(void)
{
	struct health *health = NULL;

	pthread_mutex_lock(&changes.lock);
	if (!list_is_empty(&changes.entries)) {
		health = CONTAINER_OF(changes.entries.next, struct health, changed);
		list_remove(&health->changed);
	}
	pthread_mutex_unlock(&changes.lock);
	return health;
}

bool health_has_changed(void)
{
	bool has_changed;

	pthread_mutex_lock(&changes.lock);
	has_changed = !list_is_empty(&changes.entries);
	pthread_mutex_unlock(&changes.lock);
	return has_changed;
}

const char *health_name(const struct health *health, size_t *size)
{
	*size = health->name_size;
	return health->name;
}

void health_restore(struct health *health, const struct health_view *view)
{
	pthread_mutex_lock(&health->lock);
	health->until_ms = view->until_ms;
	health->state = (int)view->state;
	health->since_wall_us = view->since_wall_us;
	health->probe_ms = view->probe_ms;
	health->rests = view->rests;
	health->balance = view->balance;
	health->balance_wall_us = view->balance_wall_us;
	snprintf(health->why, sizeof(health->why), "%s", view->why);
	pthread_mutex_unlock(&health->lock);
}
