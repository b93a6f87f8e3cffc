#include "storage/store_thread.h"

#include <errno.h>
#include <stdlib.h>

#include "base/mem.h"
#include "storage/store_inside.h"

#define BATCH_MAX 1000
#define TICK_MS (60 * 1000)

struct store_thread {
	struct store *store;
	struct job_thread *jobs;
};

static struct store_job *job_of(struct list *link)
{
	return CONTAINER_OF(link, struct store_job, job.link);
}

/* -- writing ---------------------------------------------------------------------- */

/* Runs all jobs but those that were left out. -ECANCELED: one more was, and what it had
 * written has to be undone. */
static int run_batch(struct txn *txn, void *arg, struct err *err)
{
	struct list *jobs = arg;

	for (struct list *at = jobs->next; at != jobs; at = at->next) {
		struct store_job *job = job_of(at);
		uint64_t writes = txn->writes;

		if (job->is_left_out)
			continue;
		job->job.err.text[0] = '\0';
		job->job.rc = job->run(txn, job, &job->job.err);
		if (txn->failure)
			return -EIO; /* the store knows better */
		if (job->job.rc && txn->writes != writes) {
			job->is_left_out = true;
			return err_set(err, -ECANCELED, "a job failed");
		}
	}
	return 0;
}

static void write_batch(struct store *store, struct list *jobs)
{
	struct err err;
	int rc;

	for (struct list *at = jobs->next; at != jobs; at = at->next)
		job_of(at)->is_left_out = false;
	do
		rc = store_write(store, run_batch, jobs, &err);
	while (rc == -ECANCELED);
	for (struct list *at = jobs->next; rc && at != jobs; at = at->next) {
		struct store_job *job = job_of(at);

		if (!job->is_left_out)
			job->job.rc = err_set(&job->job.err, rc, "%s", err.text);
	}
}

static void write_jobs(struct list *jobs, void *arg)
{
	struct store_thread *thread = arg;

	write_batch(thread->store, jobs);
}

static void look_after(void *arg)
{
	struct store_thread *thread = arg;

	store_forget_readers(thread->store);
}

/* -- reading ---------------------------------------------------------------------- */

static void read_jobs(struct list *jobs, void *arg)
{
	struct store_thread *thread = arg;

	for (struct list *at = jobs->next; at != jobs; at = at->next) {
		struct store_job *job = job_of(at);

		job->job.rc = store_read(thread->store, job->run, job, &job->job.err);
	}
}

/* -- life ------------------------------------------------------------------------- */

int store_thread_start(struct store_thread **out, struct store *store,
	const struct store_thread_options *options, struct err *err)
{
	struct store_thread *thread = xcalloc(1, sizeof(*thread));
	struct job_thread_options own = {
		.name = options->name,
		.queue_max = options->queue_max,
		.batch_max = options->is_reader ? 1 : BATCH_MAX,
		.gather_ms = options->gather_ms,
		.is_background = options->is_background,
		.tick_ms = TICK_MS,
		.tick = options->is_reader ? NULL : look_after,
		.work = options->is_reader ? read_jobs : write_jobs,
		.arg = thread,
	};
	int rc;

	thread->store = store;
	if ((rc = job_thread_start(&thread->jobs, &own, err)) != 0) {
		free(thread);
		return rc;
	}
	*out = thread;
	return 0;
}

int store_thread_submit(struct store_thread *thread, struct store_job *job,
	struct err *err)
{
	return job_thread_submit(thread->jobs, &job->job, err);
}

struct job_thread_figures store_thread_figures(struct store_thread *thread)
{
	return job_thread_figures(thread->jobs);
}

void store_thread_close(struct store_thread *thread)
{
	if (!thread)
		return;
	job_thread_close(thread->jobs);
	free(thread);
}
