#include "worker.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <event2/event.h>

#include "base/background.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/turn.h"
#include "http/listener.h"
#include "script/fiber.h"
#include "script/generation.h"
#include "script/process.h"
#include "script/script.h"
#include "upstream/transfer.h"

#define TICK_MS 100 /* between two looks at what is open */

struct post {
	struct post *next;
	worker_fn *fn;
	void *arg;
};

struct worker {
	struct process *process;
	int index;
	bool is_background; /* it serves administrators */
	struct event_base *base;
	struct turn *turn;
	struct transfers *transfers;
	struct listener *listener;
	struct script *script;
	pthread_t thread;
	bool is_started;
	bool is_draining;
	_Atomic bool has_ended;

	pthread_mutex_t lock;  /* posts, watched */
	struct post *posts;    /* newest first */
	struct state *watched; /* the state that new requests run in, for the watchdog */
	int wake_fd;
	struct event *wake;
	struct event *tick;
};

/* -- messages ------------------------------------------------------------------------ */

void worker_post(struct worker *worker, worker_fn *fn, void *arg)
{
	struct post *post = xmalloc(sizeof(*post));
	uint64_t one = 1;

	*post = (struct post) { NULL, fn, arg };
	pthread_mutex_lock(&worker->lock);
	post->next = worker->posts;
	worker->posts = post;
	pthread_mutex_unlock(&worker->lock);
	while (write(worker->wake_fd, &one, sizeof(one)) < 0 && errno == EINTR)
		;
}

static void on_wake(evutil_socket_t fd, short what, void *arg)
{
	struct worker *worker = arg;
	struct post *newest, *oldest = NULL;
	uint64_t count;

	(void)what;
	while (read(fd, &count, sizeof(count)) < 0 && errno == EINTR)
		;
	pthread_mutex_lock(&worker->lock);
	newest = worker->posts;
	worker->posts = NULL;
	pthread_mutex_unlock(&worker->lock);
	while (newest) {
		struct post *next = newest->next;

		newest->next = oldest;
		oldest = newest;
		newest = next;
	}
	while (oldest) {
		struct post *next = oldest->next;

		oldest->fn(worker, oldest->arg);
		free(oldest);
		oldest = next;
	}
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
	struct worker *worker = arg;
	size_t count = listener_connection_count(worker->listener);

	(void)fd;
	(void)what;
	worker->process->connection_counts[worker->index] = (int)count;
	worker->process->are_full[worker->index] = script_is_full(worker->script);
	if (worker->is_draining && !count && !script_request_count(worker->script))
		event_base_loopbreak(worker->base);
}

/* -- on the worker's thread ------------------------------------------------------- */

void worker_adopt(struct worker *worker, struct generation *generation)
{
	pthread_mutex_lock(&worker->lock);
	worker->watched = generation_state(generation);
	pthread_mutex_unlock(&worker->lock);
	script_adopt(worker->script, generation);
}

void worker_set_tls(struct worker *worker, struct tls *tls)
{
	listener_set_tls(worker->listener, tls);
}

void worker_drain(struct worker *worker)
{
	worker->is_draining = true;
	listener_drain(worker->listener);
	on_tick(-1, 0, worker);
}

void worker_stop(struct worker *worker)
{
	script_break_off(worker->script);
	/* One turn more, in which relays tell of their ends. */
	event_base_loopexit(worker->base, NULL);
}

static void *thread_main(void *arg)
{
	struct worker *worker = arg;

	if (worker->is_background)
		background_enter();
	state_watch_thread();
	mem_keep(true);
	event_base_loop(worker->base, EVLOOP_NO_EXIT_ON_EMPTY);
	listener_close(worker->listener);
	worker->listener = NULL;
	pthread_mutex_lock(&worker->lock);
	worker->watched = NULL;
	pthread_mutex_unlock(&worker->lock);
	script_free(worker->script);
	transfers_free(worker->transfers);
	mem_keep(false);
	state_unwatch_thread();
	worker->has_ended = true;
	return NULL;
}

/* -- life ------------------------------------------------------------------------- */

static int start_thread(struct worker *worker, struct err *err)
{
	sigset_t all, old;
	int rc;

	/* Signals are the main thread's. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	rc = pthread_create(&worker->thread, NULL, thread_main, worker);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (rc != 0)
		return err_set(err, -rc, "a worker could not be started: %s",
			strerror(rc));
	worker->is_started = true;
	return 0;
}

static struct event_base *new_base(void)
{
	struct event_config *config = event_config_new();
	struct event_base *base;

	/* Clients that leave are seen by EPOLLRDHUP; timers need no exact clock. */
	event_config_require_features(config, EV_FEATURE_EARLY_CLOSE);
	event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK);
	base = event_base_new_with_config(config);
	event_config_free(config);
	return base;
}

int worker_start(struct worker **out, struct process *process, int index,
	const struct listener_options *options, struct generation *generation,
	struct err *err)
{
	struct worker *worker = xcalloc(1, sizeof(*worker));
	struct listener_options mine = *options;
	struct timeval tick = { .tv_usec = TICK_MS * 1000 };
	int rc = -ENOMEM;

	worker->process = process;
	worker->index = index;
	worker->is_background = generation_side(generation) == GENERATION_ADMIN;
	pthread_mutex_init(&worker->lock, NULL);
	worker->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	worker->base = new_base();
	if (worker->wake_fd < 0 || !worker->base) {
		err_set(err, rc, "a worker got no event loop: %s", strerror(errno));
		generation_unref(generation);
		goto fail;
	}
	worker->turn = turn_new(worker->base);
	if ((rc = transfers_new(&worker->transfers, worker->turn, err)) != 0) {
		generation_unref(generation);
		goto fail;
	}
	worker->script = script_new(worker->turn, worker->transfers, process, index);
	worker_adopt(worker, generation);
	mine.handler = &script_http_handler;
	mine.arg = worker->script;
	if ((rc = listener_open(&worker->listener, worker->turn, &mine, err)) != 0)
		goto fail;
	worker->wake = event_new(worker->base, worker->wake_fd, EV_READ | EV_PERSIST,
		on_wake, worker);
	worker->tick = event_new(worker->base, -1, EV_PERSIST, on_tick, worker);
	event_add(worker->wake, NULL);
	event_add(worker->tick, &tick);
	if ((rc = start_thread(worker, err)) != 0)
		goto fail;
	*out = worker;
	return 0;

fail:
	worker_free(worker);
	return rc;
}

int worker_port(const struct worker *worker)
{
	return listener_port(worker->listener);
}

int64_t worker_lua_us(struct worker *worker)
{
	int64_t since_us = 0, now_us;
	void *owner;

	pthread_mutex_lock(&worker->lock);
	if (!worker->watched || !fiber_running(worker->watched, &owner, &since_us))
		since_us = 0;
	pthread_mutex_unlock(&worker->lock);
	now_us = clock_us();
	return since_us ? now_us - since_us : 0;
}

bool worker_has_ended(struct worker *worker)
{
	return worker->has_ended;
}

void worker_free(struct worker *worker)
{
	if (!worker)
		return;
	if (worker->is_started) {
		pthread_join(worker->thread, NULL);
	} else {
		if (worker->listener)
			listener_close(worker->listener);
		script_free(worker->script);
		if (worker->transfers)
			transfers_free(worker->transfers);
	}
	while (worker->posts) {
		struct post *next = worker->posts->next;

		free(worker->posts);
		worker->posts = next;
	}
	if (worker->wake)
		event_free(worker->wake);
	if (worker->tick)
		event_free(worker->tick);
	turn_free(worker->turn);
	if (worker->base)
		event_base_free(worker->base);
	if (worker->wake_fd >= 0)
		close(worker->wake_fd);
	pthread_mutex_destroy(&worker->lock);
	free(worker);
}
