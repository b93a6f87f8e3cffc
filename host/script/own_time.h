/* own_time.h - how much of a request's time is neap's own: not what its client or a provider took.
 *
 *	own_time_start(&own, now_us);
 *	own_time_stop(&own, now_us);    // a wait for one of them begins
 *	own_time_go_on(&own, came_us);  // it is over: what was waited for came at that time
 *	own_time_us(&own, now_us);      // up to now
 *
 * Legs of a race wait beside each other: as long as one of them does, nothing is counted. All
 * times are those of clock_us(). */
#pragma once

#include <stdint.h>

struct own_time {
	int64_t since_us; /* it runs, or stands still, since then */
	int64_t sum_us;   /* what had run by then */
	int waits;        /* that are on: it stands still */
};

static inline void own_time_start(struct own_time *own, int64_t now_us)
{
	*own = (struct own_time) { .since_us = now_us };
}

static inline void own_time_stop(struct own_time *own, int64_t now_us)
{
	if (own->waits++)
		return;
	own->sum_us += now_us - own->since_us;
	own->since_us = now_us;
}

/* What came before somebody waited for it came when the wait began. */
static inline void own_time_go_on(struct own_time *own, int64_t came_us)
{
	if (--own->waits == 0 && came_us > own->since_us)
		own->since_us = came_us;
}

static inline int64_t own_time_us(const struct own_time *own, int64_t now_us)
{
	return own->sum_us + (own->waits ? 0 : now_us - own->since_us);
}
