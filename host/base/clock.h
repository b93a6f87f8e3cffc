/* clock.h - the clocks.
 *
 * Timers, durations and rests use the monotonic clock; the wall clock is only for what
 * people read and for expiry dates. Nothing else in neap reads a clock. */
#pragma once

#include <stdint.h>

int64_t clock_us(void); /* monotonic, microseconds */
int64_t clock_ms(void); /* monotonic, milliseconds */
/* The same as of the kernel's last tick, up to 10 ms behind, for what is measured in
 * seconds: it is read in a third of the time. */
int64_t clock_tick_ms(void);
int64_t clock_wall_us(void); /* microseconds since 1970, UTC */
/* Seconds since 1970, UTC, as of the kernel's last tick. */
int64_t clock_wall_s(void);
