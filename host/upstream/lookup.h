/* lookup.h - names of hosts and their addresses.
 *
 * The system's resolver waits, so each name that is asked for has a thread of its own,
 * LOOKUP_THREADS at most; more names wait for one of them. A close waits for no thread: what
 * it brings afterwards is dropped. What was found is remembered for a minute. Addresses
 * in text, and names of this machine (localhost), need no thread.
 *
 * All on one thread, that of base. */
#pragma once

#include <stdbool.h>
#include "upstream/endpoint.h"

#define LOOKUP_THREADS 32

struct event_base;
struct lookup;
struct lookups;

/* From the loop, once unless it is closed before; the lookup is gone then. found: NULL for
 * a name without addresses; borrowed until the callback returns. */
typedef void lookup_fn(const struct endpoints *found, void *arg);

struct lookups *lookups_new(struct event_base *base);
/* What is known without waiting. False: ask. */
bool lookups_find(struct lookups *lookups, const char *host, struct endpoints *found);
struct lookup *lookup_start(struct lookups *lookups, const char *host, lookup_fn *fn,
	void *arg);
void lookup_close(struct lookup *lookup);
/* All lookups are closed. */
void lookups_free(struct lookups *lookups);
