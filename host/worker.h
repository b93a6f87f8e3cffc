/* worker.h - one thread with its own event loop, listener, transfers and Lua.
 *
 * Workers share nothing on the way of a request but struct process. The main thread talks
 * to them by worker_post(). */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

struct generation;
struct listener_options;
struct process;
struct tls;
struct worker;

typedef void worker_fn(struct worker *worker, void *arg);

/* Opens the listener (so that its error is known here) and starts the thread. options'
 * handler and arg are set here; generation is taken, also on failure. */
MUST_CHECK
int worker_start(struct worker **out, struct process *process, int index,
	const struct listener_options *options, struct generation *generation,
	struct err *err);
int worker_port(const struct worker *worker);
/* Runs fn on the worker's thread, soon. Any thread. */
void worker_post(struct worker *worker, worker_fn *fn, void *arg);
/* On the worker's thread. */
void worker_adopt(struct worker *worker, struct generation *generation);
void worker_set_tls(struct worker *worker, struct tls *tls);
/* Stops accepting; the thread ends when nothing is open any more. */
void worker_drain(struct worker *worker);
/* Ends the thread at once: streams break off. */
void worker_stop(struct worker *worker);
/* From any thread: how long Lua has been running without a pause, in microseconds; 0 if
 * it does not. */
int64_t worker_lua_us(struct worker *worker);
/* True once the thread has ended; then it can be freed. */
bool worker_has_ended(struct worker *worker);
void worker_free(struct worker *worker);
