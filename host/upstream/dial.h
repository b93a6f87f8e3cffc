/* dial.h - from a host's name to a connected socket.
 *
 * The name's addresses are tried in turns of families, the next one a moment after the one
 * before or as soon as it has failed (RFC 8305 in its short form); the first that answers
 * wins. On the thread of base. */
#pragma once

#include <stdbool.h>

#include "base/err.h"
#include "upstream/address.h"
#include "upstream/endpoint.h"

struct dial;
struct event_base;
struct lookups;

struct dial_result {
	union endpoint peer;
	int fd;           /* does not block; the callback's to keep. -1: none */
	bool is_refused;  /* there was no address that may be connected to */
	const char *text; /* for people, where there is none */
};

struct dial_handler {
	/* Whether an address of this kind may be connected to. */
	bool (*may_connect)(enum address_kind kind, void *arg);
	/* From the loop, once unless it is closed before; the dial is gone then. */
	void (*on_end)(const struct dial_result *result, void *arg);
};

struct dial *dial_start(struct lookups *lookups, struct event_base *base,
	const char *host, int port, const struct dial_handler *handler, void *arg);
void dial_close(struct dial *dial);
