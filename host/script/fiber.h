/* fiber.h - a coroutine that the host runs: everything that waits in Lua waits in one.
 *
 * Lua is entered in two places only: here, and in state_call(). A binding that has to
 * wait calls fiber_check() before anything else, starts its work, calls fiber_wait() and
 * returns lua_yield(L, 0); whatever it waited for pushes its results on fiber_lua() and
 * calls fiber_resume() from the event loop. Each wait has a ticket, a number that its
 * state never uses again: a late completion with an old ticket is logged and ignored.
 *
 * A fiber that returned goes back to its state's pool; one that failed or was cancelled
 * is dropped. The memory of a fiber stays good until its state is freed, so that an old
 * ticket can be told from a new one.
 *
 * A fiber started from inside of a running one shares that one's limits: it is the same
 * turn of the event loop that both hold up. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <lua.h>

#include "base/turn.h"
#include "script/state.h"

struct fiber;

enum fiber_status {
	FIBER_WAITS,
	FIBER_DONE,   /* its function returned */
	FIBER_FAILED, /* it raised an error, or overran twice */
};

/* Comes once when a fiber that waited has ended; never from fiber_start(), not after
 * fiber_cancel(). message: the error's text with its position, or NULL. The fiber is gone
 * when this returns; on DONE its results stand on fiber_lua(fiber)'s stack during the
 * call. The state must outlive the call. */
typedef void fiber_fn(struct fiber *fiber, enum fiber_status status, const char *message,
	void *arg);
/* Takes back what the fiber waits for, so that no completion comes. Must not enter
 * Lua. */
typedef void fiber_cancel_fn(void *arg);

/* Runs the function below argument_count arguments on the main stack of the state (all
 * popped) until it waits or ends. On FIBER_WAITS *out is the fiber and on_end will come;
 * else *out is NULL, on_end does not come and err (may be NULL) has the message of a
 * failure. owner: what fiber_owner() gives to bindings, and what on_end gets as arg. */
enum fiber_status fiber_start(struct fiber **out, struct state *state, int argument_count,
	fiber_fn *on_end, void *owner, struct err *err);
/* The running fiber if L is its coroutine, else NULL: outside of a fiber, or in a
 * coroutine that Lua made. */
struct fiber *fiber_of(lua_State *L);
/* The owner of a fiber that was started with this on_end, which tells its kind; else NULL. */
void *fiber_owner(const struct fiber *fiber, fiber_fn *on_end);
lua_State *fiber_lua(struct fiber *fiber);

/* The running fiber; raises where nothing can wait: outside of a fiber, and in a callback
 * from C (a comparator of sort, a replacement of gsub, a __tostring). */
struct fiber *fiber_check(lua_State *L);
/* Called by a binding on the running fiber right before lua_yield(L, 0), after
 * fiber_check() passed. Returns the ticket. cancel may be NULL. */
uint64_t fiber_wait(lua_State *L, fiber_cancel_fn *cancel, void *arg);
/* A binding returns what this returns, at its end: the fiber goes on in that stage, behind those
 * that are ready for it; where nothing can wait, at once. */
int fiber_give_way(lua_State *L, struct turn *turn, enum turn_stage stage);
/* True while the fiber waits with this ticket: a completion that may be late asks before
 * it pushes results. */
bool fiber_is_waiting(const struct fiber *fiber, uint64_t ticket);
/* The top result_count values of fiber_lua() are what the yielding function returns. */
void fiber_resume(struct fiber *fiber, uint64_t ticket, int result_count);
/* Ends a waiting fiber: its wait is taken back, its coroutine dropped. */
void fiber_cancel(struct fiber *fiber);

/* Waiting fibers of a state. */
int fiber_count(const struct state *state);
/* For the watchdog, from any thread: true if Lua runs in this state now, with the owner
 * of the fiber that entered it (NULL in state_call) and since when (clock_us). The owner
 * is named, not lent: by the time it is looked at, its run may be over. */
bool fiber_running(const struct state *state, void **owner, int64_t *since_us);
