#include "storage/health_store.h"

#include <errno.h>
#include <math.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"
#include "json/value.h"
#include "storage/cursor.h"
#include "storage/health.h"
#include "storage/job.h"
#include "storage/storage.h"
#include "storage/table.h"

#define PREFIX "state/"
#define PREFIX_SIZE (sizeof(PREFIX) - 1)
#define GATHER_MS 20         /* changes of so long go into one transaction */
#define TICK_MS 1000         /* how soon what failed is tried again */
#define QUIET_MS (60 * 1000) /* between two lines of the log about failures */
#define BATCH_MAX 1000       /* entries of one transaction */

static const char *const state_names[] = { "ready", "resting", "disabled" };

struct health_store {
	struct store *state;
	struct job_thread *thread;
	struct job job;
	_Atomic bool is_asked; /* the job waits or runs */
	_Atomic uint64_t failures;
	int64_t quiet_until_ms;
	/* The thread's: what the transaction is about. */
	bool has_failed;
	struct health *batch[BATCH_MAX];
	size_t count;
};

bool health_store_owns(struct bytes key)
{
	return key.size >= PREFIX_SIZE && memcmp(key.data, PREFIX, PREFIX_SIZE) == 0;
}

/* -- rows --------------------------------------------------------------------------- */

static void write_number(struct buf *out, const char *name, double number)
{
	buf_printf(out, ",\"%s\":", name);
	value_write_number(out, number);
}

/* Monotonic times are of this process only. */
static double wall_of(int64_t ms)
{
	return ((double)clock_wall_us() / 1e3 + (double)(ms - clock_ms())) / 1e3;
}

static void write_view(struct buf *out, const struct health_view *view)
{
	buf_printf(out, "{\"state\":\"%s\"", state_names[view->state]);
	if (view->until_ms)
		write_number(out, "until", wall_of(view->until_ms));
	write_number(out, "since", (double)view->since_wall_us / 1e6);
	buf_append_text(out, ",\"why\":");
	value_write_string(out, view->why, strlen(view->why));
	if (view->probe_ms)
		write_number(out, "probe", (double)view->probe_ms / 1e3);
	write_number(out, "rests", view->rests);
	if (!isnan(view->balance)) {
		write_number(out, "balance", view->balance);
		write_number(out, "balance_at", (double)view->balance_wall_us / 1e6);
	}
	buf_append_text(out, "}");
}

/* A row as it is read; what it does not say is zero, a balance NAN. */
struct row {
	char member[16];
	enum health_state state;
	double until, since, probe, rests, balance, balance_at;
	char why[sizeof(((struct health_view *)NULL)->why)];
};

static int on_name(const char *text, size_t size, void *arg)
{
	struct row *row = arg;

	snprintf(row->member, sizeof(row->member), "%.*s", (int)size, text);
	return 0;
}

static int on_number(const char *text, size_t size, void *arg)
{
	struct row *row = arg;
	const struct {
		const char *name;
		double *at;
	} members[] = {
		{ "until", &row->until },
		{ "since", &row->since },
		{ "probe", &row->probe },
		{ "rests", &row->rests },
		{ "balance", &row->balance },
		{ "balance_at", &row->balance_at },
	};

	for (size_t i = 0; i < COUNT_OF(members); i++)
		if (strcmp(row->member, members[i].name) == 0)
			*members[i].at = value_number(text, size);
	return 0;
}

static int on_string(const char *text, size_t size, void *arg)
{
	struct row *row = arg;

	if (strcmp(row->member, "why") == 0)
		snprintf(row->why, sizeof(row->why), "%.*s", (int)size, text);
	for (size_t i = 0; i < COUNT_OF(state_names); i++)
		if (strcmp(row->member, "state") == 0 && size == strlen(state_names[i]) &&
			memcmp(text, state_names[i], size) == 0)
			row->state = (enum health_state)i;
	return 0;
}

static int on_other(void *arg)
{
	(void)arg;
	return 0;
}

static int on_boolean(bool value, void *arg)
{
	(void)value;
	(void)arg;
	return 0;
}

static int on_part(bool is_end, void *arg)
{
	(void)is_end;
	(void)arg;
	return 0;
}

/* -EINVAL for what is none. */
static int read_row(struct bytes value, struct row *row)
{
	static const struct value_handler handler = {
		.on_null = on_other,
		.on_boolean = on_boolean,
		.on_number = on_number,
		.on_string = on_string,
		.on_name = on_name,
		.on_array = on_part,
		.on_object = on_part,
	};
	struct buf scratch = { 0 };
	struct err err;
	int rc;

	*row = (struct row) { .balance = (double)NAN };
	rc = value_read(value.data, value.size, &handler, row, &scratch, &err);
	buf_clear(&scratch);
	return rc;
}

/* -- loading ------------------------------------------------------------------------ */

/* How long the state still lasts. The wall clock may have been set back meanwhile: then it
 * lasts as long as it was meant to at first. */
static double seconds_left(const struct row *row, double now)
{
	double left = row->until - now, whole = row->until - row->since;

	return row->state == HEALTH_RESTING && left > whole ? whole : left;
}

static void restore(struct bytes key, const struct row *row)
{
	const char *name = (const char *)key.data + PREFIX_SIZE;
	double left = seconds_left(row, (double)clock_wall_us() / 1e6);
	struct health_view view = {
		.state = row->state,
		.since_wall_us = (int64_t)(row->since * 1e6),
		.probe_ms = (int64_t)(row->probe * 1e3),
		.rests = (unsigned)row->rests,
		.balance = row->balance,
		.balance_wall_us = (int64_t)(row->balance_at * 1e6),
	};

	if (row->state == HEALTH_RESTING && left <= 0) {
		view.state = HEALTH_READY;
		view.rests = 0;
	}
	if (view.state != HEALTH_READY && row->until > 0)
		view.until_ms = clock_ms() + (left > 0 ? (int64_t)(left * 1e3) : 0);
	if (view.state != HEALTH_READY)
		memcpy(view.why, row->why, sizeof(view.why));
	if (view.state == HEALTH_READY && isnan(view.balance))
		return;
	health_restore(health_of(name, key.size - PREFIX_SIZE), &view);
}

/* A page of rows, from behind last on; returns as cursor_next(). */
static int load_page(struct txn *txn, struct key *last)
{
	struct range range = {
		.prefix = { PREFIX, PREFIX_SIZE },
		.from = key_bytes(last),
		.is_from_excluded = true,
		.limit = CURSOR_PAGE_MAX,
	};
	struct cursor *cursor;
	struct bytes key, value;
	struct row row;
	int rc = cursor_open(&cursor, txn, &keys_table, &range);

	if (rc)
		return rc;
	while ((rc = cursor_next(cursor, &key, &value)) > 0) {
		last->size = key.size;
		memcpy(last->data, key.data, key.size);
		if (read_row(value, &row) == 0)
			restore(key, &row);
	}
	if (rc == 0)
		rc = cursor_is_page_full(cursor);
	cursor_close(cursor);
	return rc;
}

static int load(struct txn *txn, void *arg, struct err *err)
{
	struct key last = { 0 };
	int rc;

	(void)arg;
	(void)err;
	do
		rc = load_page(txn, &last);
	while (rc > 0);
	return rc;
}

/* -- writing ------------------------------------------------------------------------ */

static int write_entry(struct txn *txn, struct health *health)
{
	struct health_view view = health_look(health);
	struct key key = { 0 };
	struct buf text = { 0 };
	size_t size;
	const char *name = health_name(health, &size);
	int rc;

	if (size > KEY_MAX - PREFIX_SIZE)
		return 0;
	key_raw(&key, PREFIX, PREFIX_SIZE);
	key_raw(&key, name, size);
	if (view.state == HEALTH_READY && isnan(view.balance)) {
		rc = table_delete(txn, &keys_table, key_bytes(&key));
		return rc == -ENOENT ? 0 : rc;
	}
	write_view(&text, &view);
	rc = table_put(txn, &keys_table, key_bytes(&key),
		(struct bytes) { buf_data(&text), buf_size(&text) });
	buf_clear(&text);
	return rc;
}

static int write_batch(struct txn *txn, void *arg, struct err *err)
{
	struct health_store *store = arg;
	int rc = 0;

	(void)err;
	for (size_t i = 0; i < store->count && !rc; i++)
		rc = write_entry(txn, store->batch[i]);
	return rc;
}

static void note_failure(struct health_store *store, const struct err *err)
{
	store->failures += store->count;
	for (size_t i = 0; i < store->count; i++)
		health_change(store->batch[i]);
	if (clock_ms() < store->quiet_until_ms)
		return;
	store->quiet_until_ms = clock_ms() + QUIET_MS;
	log_error("storage",
		"the state of %zu targets and keys is kept in memory only for now: %s",
		store->count, err->text);
}

/* False: it failed, and all of them wait again. */
static bool write_changed(struct health_store *store)
{
	struct err err = { "" };

	do {
		for (store->count = 0; store->count < BATCH_MAX; store->count++) {
			store->batch[store->count] = health_take_changed();
			if (!store->batch[store->count])
				break;
		}
		if (!store->count)
			return true;
		if (store_write(store->state, write_batch, store, &err) != 0) {
			note_failure(store, &err);
			return false;
		}
	} while (store->count == BATCH_MAX);
	return true;
}

static void work(struct list *jobs, void *arg)
{
	struct health_store *store = arg;

	(void)jobs;
	store->has_failed = !write_changed(store);
}

static void ask(void *arg)
{
	struct health_store *store = arg;

	if (!atomic_exchange(&store->is_asked, true) &&
		job_thread_submit(store->thread, &store->job, NULL) != 0)
		store->is_asked = false;
}

/* What failed is tried again. */
static void tick(void *arg)
{
	write_changed(arg);
}

/* Whoever came since the thread had looked found the job still asked for. What failed is
 * left to the tick. */
static void done(struct job *job)
{
	struct health_store *store = CONTAINER_OF(job, struct health_store, job);

	store->is_asked = false;
	if (!store->has_failed && health_has_changed())
		ask(store);
}

/* -- life --------------------------------------------------------------------------- */

int health_store_start(struct health_store **out, struct store *state, struct err *err)
{
	struct health_store *store = xcalloc(1, sizeof(*store));
	struct job_thread_options options = {
		.name = "health writer",
		.queue_max = 1,
		.batch_max = 2, /* so that one alone waits for GATHER_MS */
		.gather_ms = GATHER_MS,
		.tick_ms = TICK_MS,
		.tick = tick,
		.work = work,
		.arg = store,
	};
	int rc;

	store->state = state;
	store->job.done = done;
	if ((rc = store_read(state, load, store, err)) != 0)
		goto fail;
	if ((rc = job_thread_start(&store->thread, &options, err)) != 0)
		goto fail;
	health_on_change(ask, store);
	*out = store;
	return 0;

fail:
	free(store);
	return rc;
}

uint64_t health_store_failures(struct health_store *store)
{
	return store->failures;
}

void health_store_close(struct health_store *store)
{
	if (!store)
		return;
	health_on_change(NULL, NULL);
	job_thread_close(store->thread);
	write_changed(store);
	free(store);
}
