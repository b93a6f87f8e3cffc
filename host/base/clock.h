/* clock.h - the clocks.
 *
 * Timers, durations and rests use the monotonic clock; the wall clock is only for what
 * people read and for expiry dates. Nothing else in neap reads a clock.
 *
 * Bounds and rests are in milliseconds, and most of what a request asks a clock for is
 * such a bound. To them it is the time of the kernel's last tick, which is read in a
 * fraction of the time: it stands still between two ticks and is up to 10 ms (with Debian's
 * kernels 4 ms) behind clock_us(). What is told as a duration is measured with clock_us(). */
#pragma once

#include <stdint.h>

int64_t clock_us(void);      /* monotonic, microseconds */
int64_t clock_ms(void);      /* monotonic, milliseconds, as of the last tick */
int64_t clock_wall_us(void); /* microseconds since 1970, UTC */
int64_t clock_wall_s(void);  /* seconds since 1970, UTC, as of the last tick */
