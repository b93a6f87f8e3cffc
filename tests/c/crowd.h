/* crowd.h - a task that waits in a turn until the loop runs, so that others have to give way. */
#pragma once

#include <event2/event.h>

#include "base/turn.h"

struct crowd {
	struct turn_task task;
	struct event *busy; /* makes that the task is not alone */
};

static inline void crowd_on_busy(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what, (void)arg;
}

static inline void crowd_on_task(struct turn_task *task)
{
	(void)task;
}

static inline void crowd_gather(struct crowd *crowd, struct turn *turn)
{
	crowd->busy = event_new(turn_base(turn), -1, 0, crowd_on_busy, NULL);
	event_active(crowd->busy, EV_TIMEOUT, 0);
	turn_task_init(&crowd->task, crowd_on_task);
	turn_run(turn, TURN_ANSWERS, &crowd->task);
	assert_true(turn_is_crowded(turn));
}

static inline void crowd_clear(struct crowd *crowd)
{
	turn_cancel(&crowd->task);
	event_free(crowd->busy);
}
