/* attempt_inside.h - the inside of an attempt, for the files that make it up: attempt.c is its
 * life, attempt_wait.c what a script waits for, attempt_held.c what it reads of what is held. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/turn.h"
#include "script/attempt.h"

struct event;
struct fiber;
struct look_box;
struct scan_marks;

/* What the fiber waits for. */
enum want { WANT_NOTHING, WANT_ANSWER, WANT_EVENT, WANT_BYTES };

struct attempt {
	struct list link; /* in request->attempts, or script->spare_attempts */
	struct request *request;
	uint64_t number;          /* never the same twice; 0: it has ended */
	struct gate *gate;        /* NULL once closed or taken */
	struct health *health[2]; /* counted as in flight; NULL once not */
	struct health *target;    /* whose latency a good answer tells; or NULL */
	struct scan_marks
		*marks; /* of the whole answer, made at the first look into it */

	enum want want;
	size_t offset;         /* WANT_EVENT: where; WANT_BYTES: how many */
	struct look_box *look; /* WANT_ANSWER: what is asked of a whole one, or NULL */
	struct fiber *fiber;
	uint64_t ticket;
	struct turn_task wake; /* something has changed */
	int64_t changed_us;    /* the last time */
	struct event *timer;   /* the end of a wait with a time, made at first use */
	bool is_late;
};

/* The attempt at index, whose transfer is open; raises for any other. */
struct attempt *attempt_check(lua_State *L, int index);

/* It is not in flight any more at its target and key. */
void attempt_stop_counting(struct attempt *attempt);

/* In attempt_wait.c: for the gate; and methods. */
void attempt_on_change(struct gate *gate, void *arg);
void attempt_run_wake(struct turn_task *task);
int attempt_l_answer(lua_State *L);
int attempt_l_event(lua_State *L);
int attempt_l_bytes(lua_State *L);

/* In attempt_held.c: pushes the answers of a look into what is held, and returns how many. */
int attempt_push_look(lua_State *L, struct attempt *attempt, struct look_box *box);
/* Methods. */
int attempt_l_text(lua_State *L);
int attempt_l_look(lua_State *L);
int attempt_l_find(lua_State *L);
int attempt_l_measure(lua_State *L);
