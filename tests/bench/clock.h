/* clock.h - the one clock of the benchmark programs.
 *
 * The upstream writes this clock into each streamed chunk and the load client
 * compares it with its own reading: both run on one machine, so CLOCK_MONOTONIC is
 * the same for both. */
#pragma once

#include <stdint.h>
#include <time.h>

static inline int64_t clock_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}
