#include "rollout.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "base/log.h"
#include "loader.h"
#include "script/process.h"
#include "script/reloads.h"
#include "worker.h"

struct rollout {
	struct process *process;
	uint64_t id;
	struct list waiting;
	_Atomic int left; /* workers that have not adopted yet */
};

struct part {
	struct rollout *rollout;
	struct generation *generation;
};

static void finish(struct rollout *rollout)
{
	struct process *process = rollout->process;

	process->generation = rollout->id;
	process->reload_count++;
	log_info("config", "generation %llu is in force",
		(unsigned long long)rollout->id);
	reloads_tell(&rollout->waiting, rollout->id, NULL);
	free(rollout);
}

static void adopt(struct worker *worker, void *arg)
{
	struct part *part = arg;

	worker_adopt(worker, part->generation);
	if (--part->rollout->left == 0)
		finish(part->rollout);
	free(part);
}

void rollout_start(struct process *process, struct worker *const *workers,
	struct loaded *loaded, uint64_t id, struct list *waiting)
{
	struct rollout *rollout = xcalloc(1, sizeof(*rollout));

	rollout->process = process;
	rollout->id = id;
	rollout->left = loaded->worker_count;
	list_init(&rollout->waiting);
	while (!list_is_empty(waiting)) {
		struct list *link = waiting->next;

		list_remove(link);
		list_append(&rollout->waiting, link);
	}
	for (int i = 0; i < loaded->worker_count; i++) {
		struct part *part = xmalloc(sizeof(*part));

		*part = (struct part) { rollout, loaded->workers[i] };
		loaded->workers[i] = NULL;
		worker_post(workers[i], adopt, part);
	}
}
