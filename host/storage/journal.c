#include "storage/journal.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/background.h"
#include "base/clock.h"
#include "base/log.h"
#include "storage/record_batch.h"
#include "storage/rings.h"

#define NOBODY_WAKES SIZE_MAX
#define RETENTION_MS (10 * 1000) /* between looks whether something is too old */
#define RETENTION_PAUSE_MS 20    /* between slices while there is much to remove */
#define COMPLAINT_MS (60 * 1000) /* between log lines about the same */

struct journal {
	struct store *store;
	struct rings *rings; /* one of each worker */
	pthread_t thread;
	int wake_fd;
	/* A worker wakes the thread when its ring has so many bytes. */
	_Atomic size_t wake_at;
	_Atomic size_t body_bytes; /* that wait */
	_Atomic uint64_t bodies_dropped;
	_Atomic int64_t retention_at_ms;

	/* The thread's own. */
	struct record_batch *batch;
	int64_t gathered_ms; /* when it last emptied the rings */
	int64_t complaint_at_ms;
	uint64_t dropped_known; /* when it last complained */
	struct retention_hold hold;

	pthread_mutex_t lock; /* for what follows */
	pthread_cond_t has_flushed;
	uint64_t flush_wanted, flush_done;
	uint64_t retention_wanted;
	bool is_closing;
	struct retention retention;
	struct journal_figures figures; /* .dropped: what the disk refused */
};

/* -- workers ---------------------------------------------------------------------- */

static void wake(struct journal *journal)
{
	uint64_t one = 1;

	atomic_store(&journal->wake_at, NOBODY_WAKES);
	/* It fails only where it is awake for certain: the counter is full. */
	while (write(journal->wake_fd, &one, sizeof(one)) < 0 && errno == EINTR)
		;
}

/* False: too much waits already. */
static bool take_bodies(struct journal *journal, size_t weight)
{
	if (atomic_fetch_add(&journal->body_bytes, weight) + weight <= JOURNAL_BODIES_MAX)
		return true;
	atomic_fetch_sub(&journal->body_bytes, weight);
	atomic_fetch_add(&journal->bodies_dropped, 1);
	return false;
}

bool journal_push(struct journal *journal, size_t worker, const struct record *record,
	struct body *bodies)
{
	size_t weight = bodies ? body_weight(bodies) : 0;
	struct ring *ring;
	unsigned char *at;

	ring = rings_at(journal->rings, worker);
	at = ring_reserve(ring, record_message_size_max(record));
	if (!at) {
		body_free(bodies);
		return false;
	}
	if (bodies && !take_bodies(journal, weight)) {
		body_free(bodies);
		bodies = NULL;
	}
	ring_commit(ring, record_message_write(record, bodies, at));
	/* The thread says when it sleeps and then looks into the rings; here it is the
	 * other way round, so that one of them sees the other. */
	if (ring_used(ring) >= atomic_load(&journal->wake_at))
		wake(journal);
	return true;
}

/* -- sleep ------------------------------------------------------------------------ */

static bool is_wanted(struct journal *journal)
{
	bool is_asked;

	pthread_mutex_lock(&journal->lock);
	is_asked = journal->is_closing || journal->flush_wanted != journal->flush_done;
	pthread_mutex_unlock(&journal->lock);
	return is_asked;
}

/* Until a ring has wake_at bytes, somebody wants a flush or the time has come. */
static void sleep_until(struct journal *journal, size_t wake_at, int64_t until_ms)
{
	struct pollfd news = { .fd = journal->wake_fd, .events = POLLIN };
	int64_t left_ms = until_ms - clock_ms();
	uint64_t count;

	atomic_store(&journal->wake_at, wake_at);
	if (left_ms > 0 && rings_fullest(journal->rings) < wake_at && !is_wanted(journal))
		poll(&news, 1, (int)left_ms);
	atomic_store(&journal->wake_at, NOBODY_WAKES);
	while (read(journal->wake_fd, &count, sizeof(count)) < 0 && errno == EINTR)
		;
}

/* -- writing ---------------------------------------------------------------------- */

static void complain(struct journal *journal, uint64_t dropped, const struct err *err)
{
	int64_t now_ms = clock_ms();

	if (dropped == journal->dropped_known || now_ms < journal->complaint_at_ms)
		return;
	log_error("journal", "%llu records were dropped: %s",
		(unsigned long long)(dropped - journal->dropped_known),
		err->text[0] ? err->text : "they come faster than the disk takes them");
	journal->dropped_known = dropped;
	journal->complaint_at_ms = now_ms + COMPLAINT_MS;
}

static void count_batch(struct journal *journal, size_t count, int rc,
	const struct err *err)
{
	struct journal_figures *figures = &journal->figures;

	pthread_mutex_lock(&journal->lock);
	*(rc ? &figures->dropped : &figures->written) += count;
	figures->transactions += !rc;
	figures->error = rc;
	figures->error_text = *err;
	if (!rc)
		figures->last_us = clock_wall_us();
	pthread_mutex_unlock(&journal->lock);
}

/* Until the rings are empty or the batch is full: by time, since keys only increase. */
static void gather(struct journal *journal)
{
	struct bytes message;
	size_t weight = 0;

	journal->gathered_ms = clock_ms();
	background_begin_steps();
	rings_look(journal->rings);
	while (!record_batch_is_full(journal->batch) &&
		rings_read(journal->rings, &message)) {
		weight += record_batch_add(journal->batch, message);
		background_step();
	}
	if (weight)
		atomic_fetch_sub(&journal->body_bytes, weight);
}

/* False: there is nothing left of what was there when it was called. */
static bool write_batch(struct journal *journal)
{
	struct err err = { "" };
	bool is_full;
	int rc;

	gather(journal);
	if (!record_batch_count(journal->batch))
		return false;
	is_full = record_batch_is_full(journal->batch);
	rc = store_write(journal->store, record_batch_write, journal->batch, &err);
	if (!rc)
		err.text[0] = '\0';
	count_batch(journal, record_batch_count(journal->batch), rc, &err);
	record_batch_reset(journal->batch);
	rings_release(journal->rings);
	return is_full;
}

/* Empties the rings and tells who waits for that. */
static void write_all(struct journal *journal)
{
	uint64_t wanted, dropped;
	struct err err;

	pthread_mutex_lock(&journal->lock);
	wanted = journal->flush_wanted;
	pthread_mutex_unlock(&journal->lock);
	while (write_batch(journal))
		;
	pthread_mutex_lock(&journal->lock);
	journal->flush_done = wanted;
	pthread_cond_broadcast(&journal->has_flushed);
	dropped = journal->figures.dropped + rings_dropped(journal->rings);
	err = journal->figures.error_text;
	pthread_mutex_unlock(&journal->lock);
	complain(journal, dropped, &err);
}

/* -- retention -------------------------------------------------------------------- */

/* Notes a slice, the last of those that were wanted when it began if there is no more. */
static void count_removed(struct journal *journal, const struct retention_slice *slice,
	uint64_t wanted, const struct err *err)
{
	struct journal_figures *figures = &journal->figures;

	pthread_mutex_lock(&journal->lock);
	figures->removed += slice->records;
	figures->bodies_removed += slice->bodies;
	figures->retention_error = *err;
	if (!slice->has_more)
		figures->retained = wanted;
	pthread_mutex_unlock(&journal->lock);
}

/* Whether the clock forbids it. */
static bool is_held(struct journal *journal, int64_t wall_us)
{
	int64_t held_us = retention_hold(&journal->hold, wall_us, clock_us());
	bool was_held;

	pthread_mutex_lock(&journal->lock);
	was_held = journal->figures.held_us > 0;
	journal->figures.held_us = held_us;
	pthread_mutex_unlock(&journal->lock);
	if (held_us && !was_held)
		log_warn("journal",
			"the clock went ahead by more than a day: no old "
			"records are removed for a day, so that it can be set right");
	return held_us > 0;
}

static void remove_old(struct journal *journal)
{
	struct retention_slice slice = { .now_us = clock_wall_us() };
	int64_t due_ms = atomic_load(&journal->retention_at_ms), next_ms;
	struct err err = { "" };
	uint64_t wanted;
	int rc = 0;

	if (clock_ms() < due_ms)
		return;
	pthread_mutex_lock(&journal->lock);
	slice.retention = journal->retention;
	wanted = journal->retention_wanted;
	pthread_mutex_unlock(&journal->lock);
	if (!is_held(journal, slice.now_us))
		rc = store_write(journal->store, retention_slice, &slice, &err);
	if (rc)
		slice = (struct retention_slice) { 0 };
	else
		err.text[0] = '\0';
	next_ms = clock_ms() +
		(rc                              ? COMPLAINT_MS
				: slice.has_more ? RETENTION_PAUSE_MS
						 : RETENTION_MS);
	atomic_compare_exchange_strong(&journal->retention_at_ms, &due_ms, next_ms);
	count_removed(journal, &slice, wanted, &err);
	if (rc)
		log_error("journal", "old records were not removed: %s", err.text);
}

/* -- the thread ------------------------------------------------------------------- */

static bool is_over(struct journal *journal)
{
	bool is_closing;

	pthread_mutex_lock(&journal->lock);
	is_closing = journal->is_closing;
	pthread_mutex_unlock(&journal->lock);
	return is_closing && !rings_fullest(journal->rings);
}

/* A record may have been pushed just after the rings were emptied: it waits since then. */
static void wait_for_records(struct journal *journal)
{
	size_t crowded = rings_size(journal->rings) / 4;
	int64_t since_ms = journal->gathered_ms;

	if (!rings_fullest(journal->rings)) {
		sleep_until(journal, 1, atomic_load(&journal->retention_at_ms));
		since_ms = clock_ms();
	}
	if (rings_fullest(journal->rings))
		sleep_until(journal, crowded, since_ms + JOURNAL_GATHER_MS);
}

static void *run(void *arg)
{
	struct journal *journal = arg;

	background_enter_steps();
	while (!is_over(journal)) {
		wait_for_records(journal);
		write_all(journal);
		remove_old(journal);
	}
	return NULL;
}

/* -- from outside ----------------------------------------------------------------- */

void journal_flush(struct journal *journal)
{
	uint64_t wanted;

	pthread_mutex_lock(&journal->lock);
	wanted = ++journal->flush_wanted;
	wake(journal);
	while (journal->flush_done < wanted)
		pthread_cond_wait(&journal->has_flushed, &journal->lock);
	pthread_mutex_unlock(&journal->lock);
}

void journal_set_retention(struct journal *journal, const struct retention *retention)
{
	pthread_mutex_lock(&journal->lock);
	journal->retention = *retention;
	pthread_mutex_unlock(&journal->lock);
	atomic_store(&journal->retention_at_ms, 0);
	wake(journal);
}

uint64_t journal_retain(struct journal *journal)
{
	uint64_t wanted;

	pthread_mutex_lock(&journal->lock);
	wanted = ++journal->retention_wanted;
	pthread_mutex_unlock(&journal->lock);
	atomic_store(&journal->retention_at_ms, 0);
	wake(journal);
	return wanted;
}

struct journal_figures journal_figures(struct journal *journal)
{
	struct journal_figures figures;

	pthread_mutex_lock(&journal->lock);
	figures = journal->figures;
	pthread_mutex_unlock(&journal->lock);
	figures.dropped += rings_dropped(journal->rings);
	figures.bodies_dropped = atomic_load(&journal->bodies_dropped);
	figures.waiting = rings_fullest(journal->rings);
	figures.ring_size = rings_size(journal->rings);
	return figures;
}

/* -- life ------------------------------------------------------------------------- */

static int start_thread(struct journal *journal, struct err *err)
{
	sigset_t all, before;
	int rc;

	/* Signals are the main thread's; SIGXFSZ, blocked, leaves EFBIG to the writer. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	rc = pthread_create(&journal->thread, NULL, run, journal);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (rc)
		return err_set(err, -rc, "no thread for the journal: %s", strerror(rc));
	pthread_setname_np(journal->thread, "journal");
	return 0;
}

static void free_journal(struct journal *journal)
{
	rings_free(journal->rings);
	record_batch_free(journal->batch);
	pthread_cond_destroy(&journal->has_flushed);
	pthread_mutex_destroy(&journal->lock);
	if (journal->wake_fd >= 0)
		close(journal->wake_fd);
	free(journal);
}

int journal_start(struct journal **out, struct store *store,
	const struct journal_options *options, struct err *err)
{
	struct journal *journal = xcalloc(1, sizeof(*journal));
	int rc;

	assert(options->worker_count > 0);
	journal->store = store;
	journal->retention = options->retention;
	journal->rings = rings_new(options->worker_count,
		options->ring_size ? options->ring_size : JOURNAL_RING_SIZE);
	journal->batch = record_batch_new();
	atomic_init(&journal->wake_at, NOBODY_WAKES);
	pthread_mutex_init(&journal->lock, NULL);
	pthread_cond_init(&journal->has_flushed, NULL);
	journal->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (journal->wake_fd < 0) {
		rc = err_set(err, -errno, "no eventfd for the journal: %s",
			strerror(errno));
		goto fail;
	}
	if ((rc = store_read(store, record_batch_begin, journal->batch, err)) != 0)
		goto fail;
	if ((rc = start_thread(journal, err)) != 0)
		goto fail;
	*out = journal;
	return 0;

fail:
	free_journal(journal);
	return rc;
}

void journal_close(struct journal *journal)
{
	if (!journal)
		return;
	pthread_mutex_lock(&journal->lock);
	journal->is_closing = true;
	wake(journal);
	pthread_mutex_unlock(&journal->lock);
	pthread_join(journal->thread, NULL);
	free_journal(journal);
}
