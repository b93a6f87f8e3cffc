/* state_inside.h - the inside of a state, for state.c, budget.c, collector.c and fiber.c
 * only.
 *
 * state.c makes the state and counts its memory, budget.c watches over what runs in it,
 * collector.c over its garbage, fiber.c keeps its coroutines. */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "script/blocks.h"
#include "script/state.h"

struct fiber;

enum overrun {
	OVERRUN_NONE,
	OVERRUN_CPU,
	OVERRUN_GROWTH, /* of one run */
	OVERRUN_MEMORY, /* of the state */
};

struct state {
	lua_State *lua;
	struct state_limits limits;
	void *data;

	struct blocks blocks;
	size_t used;    /* bytes that Lua holds */
	size_t ceiling; /* bytes at which the allocator refuses; SIZE_MAX between runs */
	size_t collected; /* bytes that were left by the last full collection of ours */
	int large_count;  /* blocks of LARGE_BLOCK bytes or more */

	size_t collect_at;   /* bytes in use at which the next collection begins */
	size_t collect_seen; /* bytes in use at the end of the last step of one */
	bool is_collecting;
	void (*on_garbage)(void *arg); /* NULL: steps are taken at the end of a run */
	void *on_garbage_arg;

	int depth; /* runs inside of each other; all share the outermost's budget */
	enum overrun overrun; /* kept after the end of a run, for its message */
	bool is_relaxed;      /* the boundary has caught an overrun of this run */
	bool has_start;       /* wall_start_us and cpu_start_us are this run's */
	int64_t budget_us;    /* of CPU; 0: no limit */
	int64_t wall_start_us;
	int64_t cpu_start_us;
	size_t work;          /* charged since the last look at the clock */
	int hook_count;       /* instructions between two calls of the hook; 0: none */
	const void *boundary; /* lua_topointer() of the boundary function */
	int boundary_ref;
	struct state *outer; /* that this one's run is inside of */
	const char *c_stack; /* where the run began on the stack of C */

	struct list waiting; /* fibers */
	struct list pooled;  /* fibers with a coroutine to be used again */
	struct list hollow;  /* fibers without one */
	int waiting_count;
	int pooled_count;
	struct fiber *running; /* innermost */
	uint64_t last_ticket;

	_Atomic(void *) run_owner;
	_Atomic(int64_t) run_since_us; /* as of the last tick; 0: nothing runs */
};

/* In fiber.c. */
void fiber_init_state(struct state *state);
void fiber_clear_state(struct state *state);

/* In budget.c. A run is one lua_pcall or lua_resume from the host: enter, run, leave. */
void budget_open(struct state *state);
void budget_enter(struct state *state, int cpu_ms, void *owner);
void budget_leave(struct state *state);
/* Called by the allocator; only arms the hook, which LuaJIT allows at any moment. */
void budget_note_refusal(struct state *state, size_t wanted);
/* Has the hook called at the next instruction. */
void budget_look(struct state *state);
/* The message of what lua_pcall or lua_resume left on the top of L. */
void budget_describe(struct state *state, lua_State *L, int status, struct err *err);
