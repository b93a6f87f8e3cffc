/* rollout.h - a load on its way into all workers. */
#pragma once

#include <stdint.h>

struct list;
struct loaded;
struct process;
struct worker;

/* Takes the workers' generations out of loaded and hands them over. When the last worker
 * has adopted its own, process->generation is id, and those who wait (reloads.h) are told on
 * that worker's thread; the list is empty from now on. */
void rollout_start(struct process *process, struct worker *const *workers,
	struct loaded *loaded, uint64_t id, struct list *waiting);
