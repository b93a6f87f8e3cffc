/* turn.h - a worker's turns of the event loop, taken in stages.
 *
 * A turn finds many sockets ready. Who would carry the request of one socket through Lua to
 * the next socket before looking at the second would bring code and data into the
 * processor's nearest cache that the next step throws out again, for each of them. So all
 * that has come is read first. What follows is tasks, and those of one stage run one after
 * the other; what they send goes out behind them (turn_is_crowded). Where nothing else is
 * ready, everything happens at once.
 *
 * All on the worker's thread. It decides about order alone: nothing waits for a later turn. */
#pragma once

#include <stdbool.h>

#include "base/list.h"

/* Tasks of a stage that run before what they want to send goes out. */
#define TURN_TASKS_MAX 16
/* Bytes that may wait with a task: more is used while it lies in the processor's cache. */
#define TURN_BYTES_MAX (16 * 1024)

/* In their order. */
enum turn_stage {
	TURN_ANSWERS,  /* of providers, to be looked at */
	TURN_REPLIES,  /* to clients */
	TURN_RECORDS,  /* of requests that were answered, to be finished */
	TURN_REQUESTS, /* of clients, to be looked at */
	TURN_ROUTES,   /* of them, to be chosen */
	TURN_STARTS,   /* of attempts */
	TURN_STAGES
};

struct event_base;
struct turn;

struct turn_task {
	struct list link; /* in its stage's list while it waits */
	void (*run)(struct turn_task *task);
};

/* base is borrowed. */
struct turn *turn_new(struct event_base *base);
/* No task waits. NULL is fine. */
void turn_free(struct turn *turn);
struct event_base *turn_base(const struct turn *turn);

void turn_task_init(struct turn_task *task, void (*run)(struct turn_task *task));
/* Runs the task in its stage, and at once, before it returns, if nothing else is ready and no
 * task runs. One that waits already stays where it is. */
void turn_run(struct turn *turn, enum turn_stage stage, struct turn_task *task);
/* It does not run, if it waits. */
void turn_cancel(struct turn_task *task);

/* Whether other tasks wait: what could be sent now is better sent from the loop, at the end
 * of the present pass over its events. */
bool turn_is_crowded(const struct turn *turn);
