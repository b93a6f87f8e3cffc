/* ticker.h - a call on this thread after each few milliseconds of CPU time that it used.
 *
 * It costs nothing while the thread waits and next to nothing while it works, so that
 * whoever watches over short runs need not look at a clock in each. It is a signal's
 * handler that calls: on_tick may touch only what the thread does not have in hand. */
#pragma once

#include "base/err.h"

#define TICKER_MS 10 /* of the thread's CPU time; the kernel may round it up */

typedef void ticker_fn(void);

/* Begins ticks on the calling thread. Returns 0 or a
 * negative errno. Under ThreadSanitizer, which holds signals back until the next call
 * into the C library, there are none: -ENOTSUP. */
MUST_CHECK
int ticker_start(ticker_fn *on_tick, struct err *err);
/* Ends them; to be called by the same thread. Without a start it does nothing. */
void ticker_stop(void);
