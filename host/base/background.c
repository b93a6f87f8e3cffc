#include "base/background.h"

#include <sched.h>
#include <stdint.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/clock.h"

#define NICE 10
#define STEPS 64 /* for which one gives way once: some 0.1 ms */
#define GIVE_WAY_US 10000

static _Thread_local struct {
	int64_t until_us; /* 0: this thread gives no way */
	unsigned count;
} steps;

void background_enter(void)
{
	/* On Linux a thread has a priority of its own. Giving way needs no rights, and a
	 * system that refuses even so is no worse off than before. */
	(void)!setpriority(PRIO_PROCESS, (id_t)gettid(), NICE);
}

void background_begin_steps(void)
{
	steps.until_us = clock_us() + GIVE_WAY_US;
}

void background_give_way(void)
{
	if (!steps.until_us)
		return;
	if (clock_us() < steps.until_us)
		sched_yield();
	else
		steps.until_us = 0;
}

void background_step(void)
{
	if (++steps.count % STEPS == 0)
		background_give_way();
}
