#include "base/background.h"

#include <sched.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/clock.h"

#define NICE 10
#define STEPS 16 /* for which one gives way once: some 25 µs */
#define GIVE_WAY_US 10000
#define TURN_US 3000 /* what Linux gives by itself on machines of many processors */

/* What the kernel calls sched_attr; older libraries do not have it. */
struct attributes {
	uint32_t size, policy;
	uint64_t flags;
	int32_t nice;
	uint32_t priority;
	uint64_t
		turn_ns; /* for policies without deadlines; 0: not known, or not asked for */
	uint64_t deadline_ns, period_ns;
};

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

void background_enter_steps(void)
{
	struct attributes own;

	/* Who gives way gives up the rest of its turn, and until others have had as much,
	 * each of them that wakes up interrupts it. Linux knows lengths of turns since
	 * 6.12; before, this changes nothing. */
	if (syscall(SYS_sched_getattr, 0, &own, sizeof(own), 0) != 0)
		return;
	own.turn_ns = (uint64_t)TURN_US * 1000;
	(void)!syscall(SYS_sched_setattr, 0, &own, 0);
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

void background_stand_back(void)
{
	/* The first one ends where this thread is due again, with a turn that nobody may
	 * interrupt; the second one gives up that turn. */
	background_give_way();
	background_give_way();
}

void background_step(void)
{
	if (++steps.count % STEPS == 0)
		background_give_way();
}
