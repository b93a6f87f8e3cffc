/* server_inside.h - the inside of a server, for server.c and server_reload.c only. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include <event2/util.h>

#include "loader.h"
#include "script/process.h"

struct event;
struct event_base;
struct generation;
struct tls;
struct worker;

struct server {
	struct loader loader;
	struct process process;
	struct worker *workers[WORKERS_MAX + 1]; /* the admin worker is the last */
	int worker_count;
	struct event_base *base;
	struct event *events[6];
	int reload_fd; /* an eventfd: somebody asks for a reload */
	struct event *reload_timer;
	int64_t reload_ms;         /* when the last one began */
	struct generation *loaded; /* the loader's own, the newest */
	struct tls *tls;
	int64_t drain_end_ms; /* 0: not draining */
	int64_t late_since_us[WORKERS_MAX + 1];
	struct timespec config_time; /* for watch: of the router.lua that was read last */
	struct timespec seen_time;   /* and of the one that was there a moment ago */
	int exit_status;
};

/* In server_reload.c, all but server_wake_for_reload() on the main thread. cause: "signal", "api" …
 *
 * Whoever asks for a reload until it begins shares this one. */
void server_reload(struct server *server, const char *cause);
/* router.lua is about to be read: as it is now it need not be read again. */
void server_note_config(struct server *server);
/* True where watch is on and router.lua is another one than was read. Asked again and again:
 * one that is still written, or was only just cut to nothing, is waited for. */
bool server_has_config_changed(struct server *server);
/* On any thread: somebody has asked for a reload. */
void server_wake_for_reload(void *server);
/* An event: somebody asks for a reload: at once, or where the last one was a moment ago a
 * little later, so that a row of writes makes few generations. */
void server_on_reload_asked(evutil_socket_t fd, short what, void *server);
void server_on_reload_timer(evutil_socket_t fd, short what, void *server);
