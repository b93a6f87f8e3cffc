#include "base/turn.h"

#include <assert.h>
#include <stdlib.h>

#include <event2/event.h>

struct turn {
	struct event_base *base;
	struct event *event; /* active while tasks wait */
	struct list waiting[TURN_STAGES];
	bool is_running;
};

static void run(struct turn *turn, struct turn_task *task)
{
	turn->is_running = true;
	task->run(task);
	turn->is_running = false;
}

static void run_stage(struct turn *turn, struct list *waiting)
{
	for (int i = 0; i < TURN_TASKS_MAX && !list_is_empty(waiting); i++) {
		struct list *link = waiting->next;

		list_remove(link);
		run(turn, CONTAINER_OF(link, struct turn_task, link));
	}
}

static void on_turn(evutil_socket_t fd, short what, void *arg)
{
	struct turn *turn = arg;

	(void)fd;
	(void)what;
	for (int stage = 0; stage < TURN_STAGES; stage++)
		run_stage(turn, &turn->waiting[stage]);
	/* Behind what these have made active, which sends. */
	if (turn_is_crowded(turn))
		event_active(turn->event, EV_TIMEOUT, 0);
}

struct turn *turn_new(struct event_base *base)
{
	struct turn *turn = xcalloc(1, sizeof(*turn));

	turn->base = base;
	turn->event = event_new(base, -1, 0, on_turn, turn);
	for (int stage = 0; stage < TURN_STAGES; stage++)
		list_init(&turn->waiting[stage]);
	return turn;
}

void turn_free(struct turn *turn)
{
	if (!turn)
		return;
	assert(!turn_is_crowded(turn));
	event_free(turn->event);
	free(turn);
}

struct event_base *turn_base(const struct turn *turn)
{
	return turn->base;
}

void turn_task_init(struct turn_task *task, void (*fn)(struct turn_task *task))
{
	list_init(&task->link);
	task->run = fn;
}

/* No more than the event that is being looked at now. */
static bool is_alone(const struct turn *turn)
{
	return !turn->is_running && !turn_is_crowded(turn) &&
		event_base_get_num_events(turn->base, EVENT_BASE_COUNT_ACTIVE) == 0;
}

void turn_run(struct turn *turn, enum turn_stage stage, struct turn_task *task)
{
	if (!list_is_empty(&task->link))
		return;
	if (is_alone(turn)) {
		run(turn, task);
		return;
	}
	list_append(&turn->waiting[stage], &task->link);
	event_active(turn->event, EV_TIMEOUT, 0);
}

void turn_cancel(struct turn_task *task)
{
	list_remove(&task->link);
}

bool turn_is_crowded(const struct turn *turn)
{
	for (int stage = 0; stage < TURN_STAGES; stage++) {
		if (!list_is_empty(&turn->waiting[stage]))
			return true;
	}
	return false;
}
