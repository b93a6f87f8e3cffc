/* listener.h - a port of one worker, and the connections that came in by it.
 *
 * Every worker opens its own socket on the same address (SO_REUSEPORT), so that they
 * share nothing. Connections speak HTTP/1.1 (and 1.0) by the strict reading of head.h
 * and chunk.h: what two parsers could read in two ways is refused with 400.
 *
 * All functions run on the worker's thread, save tls_*, which the main thread calls. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct http_handler;
struct listener;
struct spools;
struct tls;
struct turn;

struct http_limits {
	size_t head_max;    /* bytes; 64 KiB. More: 431 */
	size_t field_max;   /* count; 128. More: 431 */
	uint64_t body_max;  /* bytes; 512 MiB. More: 413, unread where it is named */
	int head_ms;        /* first byte of a head to its end; 10,000. Later: 408 */
	int idle_ms;        /* between two requests; 75,000. Later: closed in silence */
	int body_rate;      /* bytes per second of a body at least; 512. Slower: 408 */
	int body_window_ms; /* over which the rate is measured each time; 10,000 */
	/* Without progress while bytes wait to be sent; 60,000. Then the client is
	 * gone. */
	int write_ms;
	size_t connection_max; /* count for this listener; more get 503 and a close */
};

extern const struct http_limits http_default_limits;

struct listener_options {
	/* "127.0.0.1:8080", "[::1]:8080", ":8080", "localhost:8080"; port 0: any */
	const char *address;
	/* With the process's other workers: only the first one is refused where somebody
	 * listens already. */
	bool is_shared;
	struct tls *tls; /* NULL: plain. Borrowed */
	struct http_limits limits;
	struct spools *spools; /* borrowed; where big bodies go */
	const struct http_handler *handler;
	void *arg; /* for the handler */
};

/* Checks and splits an address. Host is "" for every address. Errors: -EINVAL with a
 * text. */
MUST_CHECK
int address_parse(const char *address, char *host, size_t host_size, int *port,
	struct err *err);
/* True for 127.0.0.0/8, ::1 and the name localhost. */
bool address_is_loopback(const char *host);

MUST_CHECK
int listener_open(struct listener **out, struct turn *turn,
	const struct listener_options *options, struct err *err);
int listener_port(const struct listener *listener); /* the real one, where 0 was asked */
/* New connections get tls from now on; the old ones keep theirs. Takes a reference. */
void listener_set_tls(struct listener *listener, struct tls *tls);
size_t listener_connection_count(const struct listener *listener);
/* Stops accepting; idle connections close now, the others after their answer, which says
 * "Connection: close". */
void listener_drain(struct listener *listener);
/* Closes everything at once; on_gone comes for every exchange that is open. */
void listener_close(struct listener *listener);

/* A server certificate and its key (PEM files). Counted: whoever keeps it takes a
 * reference. */
MUST_CHECK
int tls_new(struct tls **out, const char *certificate_path, const char *key_path,
	struct err *err);
void tls_ref(struct tls *tls);
void tls_unref(struct tls *tls);
