#include "server.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <event2/event.h>

#include "base/clock.h"
#include "base/log.h"
#include "greeting.h"
#include "http/listener.h"
#include "loader.h"
#include "options.h"
#include "rollout.h"
#include "script/generation.h"
#include "script/process.h"
#include "script/reloads.h"
#include "script/sources.h"
#include "storage/rotation.h"
#include "storage/storage.h"
#include "server_inside.h"
#include "worker.h"

#define EXIT_CONFIG 78                   /* EX_CONFIG of sysexits.h */
#define ADMIN_BODY_MAX (2 * 1024 * 1024) /* bytes: what a spool keeps in memory */
#define WATCH_MS 100
#define LATE_US 250000 /* Lua that runs for longer holds up a worker */
#define RENEW_MS 5000  /* between two loads because of full states */

/* -- the end ---------------------------------------------------------------------- */

static void drain(struct worker *worker, void *arg)
{
	(void)arg;
	worker_drain(worker);
}

static void stop(struct worker *worker, void *arg)
{
	(void)arg;
	worker_stop(worker);
}

static void begin_drain(struct server *server)
{
	int ms = generation_settings(server->loaded)->drain_ms;

	log_info("server", "stopping: open requests have %d s", ms / 1000);
	server->process.is_draining = 1;
	server->drain_end_ms = clock_ms() + ms;
	evtimer_del(server->reload_timer);
	reloads_stop(server->process.reloads);
	for (int i = 0; i < server->worker_count; i++)
		worker_post(server->workers[i], drain, NULL);
}

/* neap key rotate asks for it. Nothing waits for this thread but other loads. */
static void rotate_key(struct server *server)
{
	struct err err;
	size_t count;

	if (rotation_run(storage_state(server->process.storage),
		    server->process.master_keys, &count, &err) != 0)
		log_error("storage", "the master key is not rotated yet: %s", err.text);
	else
		log_info("storage", "the master key is rotated: secrets=%zu", count);
}

static void on_signal(evutil_socket_t number, short what, void *arg)
{
	struct server *server = arg;

	(void)what;
	if (number == SIGUSR1) {
		rotate_key(server);
		return;
	}
	if (number == SIGHUP) {
		if (!server->drain_end_ms)
			server_reload(server, "signal");
		return;
	}
	if (server->drain_end_ms) {
		log_warn("server", "stopped at once");
		log_stop();
		_exit(0);
	}
	begin_drain(server);
}

/* -- the main thread's watch ------------------------------------------------------ */

/* Says so when Lua holds up a worker. It replaces nothing: the limits of a run do
 * that. */
static void watch_workers(struct server *server)
{
	for (int i = 0; i < server->worker_count; i++) {
		int64_t us = worker_lua_us(server->workers[i]);

		if (us < LATE_US) {
			server->late_since_us[i] = 0;
			continue;
		}
		if (server->late_since_us[i])
			continue;
		server->late_since_us[i] = us;
		server->process.late_count++;
		log_warn("watchdog", "worker=%d Lua has been running for %lld ms", i,
			(long long)(us / 1000));
	}
}

/* What a policy keeps for ever fills the state of its worker, in which then nothing runs
 * any more. A load gives each worker an empty one. */
static void renew_full_states(struct server *server)
{
	if (clock_ms() - server->reload_ms < RENEW_MS)
		return;
	for (int i = 0; i < server->worker_count; i++) {
		if (!server->process.are_full[i])
			continue;
		log_error("script",
			"worker=%d the memory of its Lua state is full, as where a policy keeps "
			"more and more: all is loaded anew",
			i);
		server_reload(server, "memory");
		return;
	}
}

static bool have_all_ended(struct server *server)
{
	for (int i = 0; i < server->worker_count; i++)
		if (!worker_has_ended(server->workers[i]))
			return false;
	return true;
}

static void on_watch(evutil_socket_t fd, short what, void *arg)
{
	struct server *server = arg;

	(void)fd;
	(void)what;
	watch_workers(server);
	if (!server->drain_end_ms) {
		if (server_has_config_changed(server))
			server_reload(server, "watch");
		renew_full_states(server);
		return;
	}
	if (have_all_ended(server)) {
		event_base_loopbreak(server->base);
	} else if (clock_ms() > server->drain_end_ms) {
		server->drain_end_ms = INT64_MAX;
		for (int i = 0; i < server->worker_count; i++)
			worker_post(server->workers[i], stop, NULL);
	}
}

/* -- start ------------------------------------------------------------------------ */

/* The next worker, with its generation out of mine. */
static int start_worker(struct server *server, struct generation **mine,
	const struct listener_options *options, struct err *err)
{
	int i = server->worker_count, rc;
	struct generation *taken = mine[i];

	mine[i] = NULL;
	rc = worker_start(&server->workers[i], &server->process, i, options, taken, err);
	if (rc == 0)
		server->worker_count++;
	return rc;
}

static int start_workers(struct server *server, struct generation **mine, struct err *err)
{
	const struct generation_settings *settings = generation_settings(server->loaded);
	struct listener_options options = {
		.address = settings->listen,
		.tls = server->tls,
		.limits = http_default_limits,
		.spools = server->process.spools,
	};
	char same[300];
	int rc;

	if (settings->body_max)
		options.limits.body_max = settings->body_max;
	for (int i = 0; i < server->process.worker_count; i++) {
		if ((rc = start_worker(server, mine, &options, err)) != 0)
			return rc;
		if (i == 0) { /* port 0 is chosen once, for all of them */
			char host[256];
			int port;

			if ((rc = address_parse(settings->listen, host, sizeof(host),
				     &port, err)))
				return rc;
			snprintf(same, sizeof(same),
				strchr(host, ':') ? "[%s]:%d" : "%s:%d", host,
				worker_port(server->workers[0]));
			options.address = same;
			options.is_shared = true;
		}
	}
	if (!server->loader.has_admin)
		return 0;
	options.address = settings->admin_listen;
	options.is_shared = false;
	options.limits.body_max = ADMIN_BODY_MAX;
	return start_worker(server, mine, &options, err);
}

static int add_events(struct server *server)
{
	static const int signals[] = { SIGHUP, SIGTERM, SIGINT, SIGUSR1 };
	struct timeval watch = { .tv_usec = WATCH_MS * 1000 };

	server->base = event_base_new();
	if (!server->base)
		return -ENOMEM;
	for (size_t i = 0; i < COUNT_OF(signals); i++) {
		server->events[i] = evsignal_new(server->base, signals[i], on_signal,
			server);
		event_add(server->events[i], NULL);
	}
	server->events[4] = event_new(server->base, -1, EV_PERSIST, on_watch, server);
	event_add(server->events[4], &watch);
	server->events[5] = event_new(server->base, server->reload_fd,
		EV_READ | EV_PERSIST, server_on_reload_asked, server);
	event_add(server->events[5], NULL);
	server->reload_timer = evtimer_new(server->base, server_on_reload_timer, server);
	return 0;
}

static void greet(const struct server *server)
{
	struct greeting greeting = {
		.port = worker_port(server->workers[0]),
		.worker_count = server->process.worker_count,
		.is_tls = server->tls != NULL,
	};

	if (server->loader.has_admin)
		greeting.admin_port = worker_port(
			server->workers[server->worker_count - 1]);
	greeting_print(&greeting, generation_settings(server->loaded));
}

static void close_server(struct server *server)
{
	for (int i = 0; i < server->worker_count; i++)
		worker_post(server->workers[i], stop, NULL);
	for (int i = 0; i < server->worker_count; i++)
		worker_free(server->workers[i]);
	for (size_t i = 0; i < COUNT_OF(server->events); i++)
		if (server->events[i])
			event_free(server->events[i]);
	if (server->reload_timer)
		event_free(server->reload_timer);
	if (server->base)
		event_base_free(server->base);
	tls_unref(server->tls);
	process_close(&server->process);
	if (server->process.reloads)
		reloads_stop(server->process.reloads);
	reloads_free(server->process.reloads);
	if (server->reload_fd >= 0)
		close(server->reload_fd);
	if (server->loaded)
		generation_unref(server->loaded);
	loader_clear(&server->loader);
}

/* A reload that is asked for while neap starts waits until it has started: neap import finds
 * us by the folder before that, and without a handler SIGHUP would end us. */
static void hold_reloads(int how)
{
	sigset_t held;

	sigemptyset(&held);
	sigaddset(&held, SIGHUP);
	pthread_sigmask(how, &held, NULL);
}

static int serve(struct server *server, struct loaded *fresh, struct err *err)
{
	int rc;

	server->process.worker_count = fresh->worker_count - server->loader.has_admin;
	/* Before a worker can be asked for it. */
	server->process.generation = server->loader.last_id;
	if ((rc = add_events(server)) != 0)
		return rc;
	hold_reloads(SIG_UNBLOCK);
	process_start_journal(&server->process, generation_settings(server->loaded),
		(size_t)fresh->worker_count);
	if ((rc = start_workers(server, fresh->workers, err)) != 0)
		return rc;
	greet(server);
	event_base_dispatch(server->base);
	return 0;
}

/* Everything but the workers, as router.lua says alone: what is stored is part of the first
 * load. */
static int open_process(struct server *server, struct buf *errors, struct err *err)
{
	struct generation *peeked;
	int rc = loader_peek(&server->loader, &peeked, errors);

	if (rc != 0)
		return rc;
	loader_configure_log(generation_settings(peeked));
	log_start();
	server->process.start_us = clock_us();
	server->process.reloads = reloads_new(server_wake_for_reload, server);
	rc = process_open(&server->process, generation_settings(peeked), err);
	generation_unref(peeked);
	return rc;
}

static int load_first(struct server *server, struct loaded *fresh, struct buf *errors)
{
	int rc;

	server_note_config(server);
	rc = loader_load(&server->loader, fresh, 0, errors);
	if (rc != 0)
		return rc;
	server->loaded = fresh->own;
	server->tls = fresh->tls;
	fresh->own = NULL;
	fresh->tls = NULL;
	loader_log_stored(generation_settings(server->loaded));
	reloads_note(server->process.reloads, "start", server->loader.last_id, NULL);
	return 0;
}

int server_run(const struct options *options, const char *home)
{
	struct server *server = xcalloc(1, sizeof(*server));
	struct buf errors = { 0 };
	struct err err = { "" };
	struct loaded fresh = { 0 };
	int status = 0;

	server->loader = (struct loader) {
		.home = home,
		.config = options->config,
		.process = &server->process,
	};
	server->reload_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	/* From the moment on that others can find us by the folder. */
	signal(SIGUSR1, SIG_IGN);
	hold_reloads(SIG_BLOCK);
	if (open_process(server, &errors, &err) != 0 ||
		load_first(server, &fresh, &errors) != 0 ||
		serve(server, &fresh, &err) != 0)
		status = buf_size(&errors) ? EXIT_CONFIG : 1;
	if (*err.text)
		log_error("server", "%s", err.text);
	loaded_clear(&fresh);
	close_server(server);
	if (server->loader.last_id)
		log_info("server", "stopped");
	log_stop();
	loader_print_errors(&errors);
	buf_clear(&errors);
	free(server);
	return status;
}

int server_check(const struct options *options, const char *home)
{
	struct sources *sources = sources_new(home, getenv("NEAP_LUA"));
	struct generation *generation;
	struct buf errors = { 0 };
	int rc = generation_build(&generation, sources, GENERATION_CLIENTS,
		options->config, 1, &errors);

	if (rc != 0) {
		loader_print_errors(&errors);
	} else {
		printf("%s is well\n", options->config);
		generation_unref(generation);
	}
	buf_clear(&errors);
	sources_free(sources);
	return rc ? EXIT_CONFIG : 0;
}
