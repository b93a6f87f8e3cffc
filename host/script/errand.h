/* errand.h - work on another thread that a fiber waits for.
 *
 *	struct look {
 *		struct store_errand at;	// first: it is freed with free()
 *		...			// copies of what the transaction needs, its results
 *	};
 *
 *	struct look *look = store_errand_new(L, sizeof(*look), run_look, push_look, NULL);
 *	...				// nothing that raises
 *	return store_errand_start(L, &look->at, storage_state_reader(storage));
 *
 * The fiber may be cancelled, and its state freed, while the work goes on: so an errand is
 * memory of its own, holds nothing of Lua's and points to nothing of the fiber's; what comes
 * back for nobody is freed. Each script has one place where its errands come home, which
 * outlives it until the last one is back. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <lua.h>

#include "base/list.h"
#include "storage/job.h"
#include "storage/store_thread.h"

struct errand;
struct errands;
struct event_base;
struct fiber;
struct script;

/* Pushes what the waiting function returns, and says how many; job->rc and job->err are the
 * work's. On the fiber's thread; not called when nobody waits any more. */
typedef int errand_push_fn(lua_State *L, struct errand *errand);
/* Frees the errand with all that it holds. On any thread. */
typedef void errand_free_fn(struct errand *errand);

struct errand {
	struct list link; /* on its way home */
	struct errands *home;
	struct fiber *fiber; /* NULL: nobody waits */
	uint64_t ticket;
	struct job *job; /* the part that the other thread knows */
	errand_push_fn *push;
	errand_free_fn *free;
};

struct errands *errands_new(struct event_base *base);
/* The base goes; those that are still away are freed when they come. NULL is fine. */
void errands_free(struct errands *errands);

/* For a binding, first: raises where nothing can wait. */
void errand_check(lua_State *L);
/* Sets who waits and where the job comes back. After errand_check(); raises nothing. */
void errand_init(lua_State *L, struct errand *errand, struct job *job,
	errand_push_fn *push, errand_free_fn *free);
/* The job was given away (rc 0): waits. Or it was refused: then push() tells Lua so at once
 * and the errand is freed. Returns what the binding returns. */
int errand_wait(lua_State *L, struct errand *errand, int rc);

/* An errand that is a transaction. */
struct store_errand {
	struct errand errand;
	struct store_job job;
};

/* size: of the struct that begins with the store_errand; all of it is zero. run is given the
 * struct store_job, from which store_errand_of() leads back; free NULL: free(). Calls
 * errand_check(). */
void *store_errand_new(lua_State *L, size_t size, store_fn *run, errand_push_fn *push,
	errand_free_fn *free);
void *store_errand_of(void *job);
int store_errand_start(lua_State *L, struct store_errand *errand,
	struct store_thread *thread);
/* Pushes nil, "full" or "failed", and the reason; returns 3. */
int errand_push_failure(lua_State *L, const struct errand *errand);
