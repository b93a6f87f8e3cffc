/* server_reload.c - a new generation in the place of the one in force, or none. */
#include "server_inside.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include <event2/event.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/list.h"
#include "base/log.h"
#include "http/listener.h"
#include "rollout.h"
#include "script/generation.h"
#include "script/reloads.h"
#include "storage/journal.h"
#include "worker.h"

#define RELOAD_JOIN_MS 200 /* least time between two reloads that Lua asks for */

static void adopt_tls(struct worker *worker, void *arg)
{
	worker_set_tls(worker, arg);
	tls_unref(arg);
}

/* New certificates for new connections; takes them, where neap speaks TLS at all. */
static void replace_tls(struct server *server, struct tls **fresh)
{
	struct tls *tls = *fresh;

	if (!tls || !server->tls)
		return;
	*fresh = NULL;
	for (int i = 0; i < server->worker_count; i++) {
		tls_ref(tls);
		worker_post(server->workers[i], adopt_tls, tls);
	}
	tls_unref(server->tls);
	server->tls = tls;
}

static void refuse(struct server *server, const char *cause, struct list *waiting,
	struct buf *errors)
{
	server->process.reload_errors++;
	loader_log_errors(errors);
	log_error("config", "the reload was refused; generation %llu stays in force",
		(unsigned long long)server->process.generation);
	buf_append(errors, "", 1);
	reloads_note(server->process.reloads, cause, 0, buf_data(errors));
	reloads_tell(waiting, 0, buf_data(errors));
	buf_clear(errors);
}

/* What Lua has stored is in force with its reload, or refused as a whole. */
static int load(struct server *server, const struct list *waiting, struct loaded *fresh,
	struct buf *errors)
{
	int rc = loader_load(&server->loader, fresh, server->worker_count, errors);

	if (rc != 0 || list_is_empty(waiting))
		return rc;
	rc = loader_compare_stored(generation_settings(server->loaded),
		generation_settings(fresh->own), errors);
	if (rc != 0)
		loaded_clear(fresh);
	return rc;
}

static bool is_same_time(struct timespec a, struct timespec b)
{
	return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

void server_note_config(struct server *server)
{
	struct stat now;

	if (stat(server->loader.config, &now) == 0)
		server->config_time = now.st_mtim;
}

bool server_has_config_changed(struct server *server)
{
	struct timespec seen = server->seen_time;
	struct stat now;

	/* Half a file may be a whole configuration, and an empty one always is: one that says
	 * no watch, so that the rest would not be seen. */
	if (!generation_settings(server->loaded)->is_watched ||
		stat(server->loader.config, &now) != 0 || !now.st_size)
		return false;
	server->seen_time = now.st_mtim;
	return !is_same_time(now.st_mtim, server->config_time) &&
		is_same_time(now.st_mtim, seen);
}

void server_reload(struct server *server, const char *cause)
{
	struct buf errors = { 0 };
	struct list waiting;
	struct loaded fresh;

	evtimer_del(server->reload_timer);
	server->reload_ms = clock_ms();
	server_note_config(server);
	reloads_take(server->process.reloads, &waiting);
	if (load(server, &waiting, &fresh, &errors) != 0) {
		refuse(server, cause, &waiting, &errors);
		return;
	}
	loader_warn_of_fixed(&server->loader, generation_settings(fresh.own));
	loader_configure_log(generation_settings(fresh.own));
	if (server->process.journal)
		journal_set_retention(server->process.journal,
			&generation_settings(fresh.own)->retention);
	loader_log_stored(generation_settings(fresh.own));
	reloads_note(server->process.reloads, cause, server->loader.last_id, NULL);
	rollout_start(&server->process, server->workers, &fresh, server->loader.last_id,
		&waiting);
	replace_tls(server, &fresh.tls);
	generation_unref(server->loaded);
	server->loaded = fresh.own;
	fresh.own = NULL;
	loaded_clear(&fresh);
	buf_clear(&errors);
}

void server_wake_for_reload(void *arg)
{
	struct server *server = arg;
	uint64_t one = 1;

	while (write(server->reload_fd, &one, sizeof(one)) < 0 && errno == EINTR)
		;
}

void server_on_reload_asked(evutil_socket_t fd, short what, void *arg)
{
	struct server *server = arg;
	int64_t wait_ms = server->reload_ms + RELOAD_JOIN_MS - clock_ms();
	struct timeval wait = { .tv_usec = (suseconds_t)wait_ms * 1000 };
	uint64_t count;

	(void)what;
	while (read(fd, &count, sizeof(count)) < 0 && errno == EINTR)
		;
	/* A load in between may have been for them, too. */
	if (server->drain_end_ms || !reloads_are_asked(server->process.reloads))
		return;
	if (wait_ms > 0)
		evtimer_add(server->reload_timer, &wait);
	else
		server_reload(server, "api");
}

void server_on_reload_timer(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	server_reload(arg, "api");
}
