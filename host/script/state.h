/* state.h - one Lua state: of one worker and one generation, or of the loader.
 *
 * The compiler is off in every state: its traces would run past the count hook that stops
 * a runaway policy. Memory comes from an allocator of our own with two limits, one for
 * the state and one for the growth during a single resume, so that one request's mistake
 * fails that request. The limits hold while Lua runs (state_call, fibers); what the host
 * itself pushes between two runs is counted, and never refused.
 *
 * A state is built on one thread and then handed to another; never two use it at once. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include <lua.h>

#include "base/err.h"

/* The second, shorter budget of state_relax(), of CPU time. */
#ifdef NEAP_SANITIZE
#define STATE_RELAX_MS 200 /* a collection alone takes longer than 10 ms there */
#else
#define STATE_RELAX_MS 10
#endif

struct state;

struct state_limits {
	size_t memory_max; /* bytes of the whole state; 512 MiB */
	size_t growth_max; /* bytes by which one resume or call may grow it; 64 MiB */
	int cpu_ms;        /* of one resume or call; 50 */
};

extern const struct state_limits state_default_limits;

/* A state with the full base, string, table, math, bit and debug libraries for the
 * library (lua/neap) and nothing that touches the outside (no io, os, ffi, jit, package,
 * print, dofile, loadfile): what those are needed for comes from neap.host. */
struct state *state_new(const struct state_limits *limits);
lua_State *state_lua(struct state *state);
struct state *state_of(lua_State *L);
/* The owner's pointer, for bindings. */
void state_set_data(struct state *state, void *data);
void *state_data(const struct state *state);
size_t state_memory(const struct state *state); /* bytes in use */
/* What lives in the state leaves a run less than it may grow by, as a collection has found: soon
 * nothing will run in it any more. */
bool state_is_full(const struct state *state);

/* Calls the function below argument_count arguments on the main stack, protected, within
 * the limits (cpu_ms 0: without those of one run, CPU time and growth). On failure fills
 * err with the message (position included), pops everything and returns -EINVAL. Must not
 * yield. Load time only: requests run in fibers. */
MUST_CHECK
int state_call(struct state *state, int argument_count, int result_count, int cpu_ms,
	struct err *err);

/* The function on top of the stack (popped) is the boundary at which an overrun is
 * caught: the library's own function around the pcall that runs policies. After an
 * overrun the hook stops every other function at its next instruction, so that no pcall
 * in a policy can swallow it, but lets this one go on; it then calls state_relax(). */
void state_set_boundary(lua_State *L);
/* After an overrun, gives the running resume a second, shorter budget (STATE_RELAX_MS,
 * and a fresh memory mark after a collection if memory was the reason). A second overrun
 * in the same resume ends the fiber. Without an overrun it does nothing. */
void state_relax(lua_State *L);
/* A run without limits of its own (state_call with 0) has one of CPU time, cpu_ms, and
 * that of growth from now on; 0 takes them away again. False: nothing changes, since the
 * run has a limit of its own, or, for 0, none. */
bool state_limit_cpu(lua_State *L, int cpu_ms);
/* True if the present resume overran its CPU or memory limit (before state_relax). */
bool state_is_overrun(lua_State *L);
/* Called by a binding that may be long in C, where no hook fires: adds work (about a
 * nanosecond each: a byte, a step) and, each time a lot has come together, looks at the
 * clock and raises if the resume has overrun. Own nothing across it. */
void state_charge(lua_State *L, size_t work);

/* The calling thread will run many short calls, so that the limit of CPU time shall cost
 * them nothing: from now on a timer of the thread looks after it (script/ticker.h). A
 * thread that has not called it, or for which the kernel has no timer, pays a hook. */
void state_watch_thread(void);
void state_unwatch_thread(void);

/* A run has left garbage, and it is time for a step of a collection: tell is called at its
 * end, and state_collect() is to follow when what the run has sent is on its way. Without a
 * tell the step is taken there. */
void state_on_garbage(struct state *state, void (*tell)(void *arg), void *arg);
/* A step of a collection. Between runs. */
void state_collect(struct state *state);

/* All its fibers must have ended or been cancelled. */
void state_free(struct state *state);
