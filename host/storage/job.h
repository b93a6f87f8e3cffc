/* job.h - work that a thread of its own does for whoever asks, through a bounded queue.
 *
 * The asker embeds a struct job in a struct of its own and gives it away with
 * job_thread_submit(). What comes back is one call of done, on the asker's own thread: the
 * job thread gives the finished job to post, which has to see to it that done is called
 * from the asker's event loop (and that the loop is there until then):
 *
 *	static void finish(struct worker *worker, void *arg) { job_finish(arg); }
 *	static void post(void *loop, struct job *job) { worker_post(loop, finish, job); }
 *
 * A full queue refuses at once; nobody waits for room. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/list.h"

struct job;
struct job_thread;

/* Called exactly once for a job that was accepted, and never from job_thread_submit(). */
typedef void job_done_fn(struct job *job);
typedef void job_post_fn(void *loop, struct job *job);

struct job {
	job_done_fn *done; /* the job is the asker's again: may free it */
	job_post_fn *post; /* NULL: done is called on the job thread */
	void *loop;        /* for post */
	int rc;            /* the result: 0 or a negative errno */
	struct err err;    /* the reason where rc is not 0 */
	struct list link;  /* the queue's */
};

/* Does the jobs of the list (their links), at least one and batch_max at most, and sets
 * rc and err of each. On the job thread. */
typedef void job_work_fn(struct list *jobs, void *arg);
typedef void job_tick_fn(void *arg);

struct job_thread_options {
	const char *name; /* of the thread, 15 bytes at most, and in messages */
	size_t queue_max; /* jobs that wait */
	size_t batch_max; /* jobs that are done together */
	/* How long the first job of a batch waits for others; 0: not at all. A batch that
	 * is full does not wait. */
	int gather_ms;
	bool is_background; /* the thread comes behind all that serve clients */
	int tick_ms;        /* how often tick is called, with jobs waiting or not */
	job_tick_fn *tick;  /* may be NULL */
	job_work_fn *work;
	void *arg; /* of work and tick */
};

struct job_thread_figures {
	uint64_t done;    /* jobs, since the start */
	uint64_t refused; /* jobs, for a full queue */
	uint64_t batches;
	size_t waiting; /* jobs, now */
};

MUST_CHECK
int job_thread_start(struct job_thread **out, const struct job_thread_options *options,
	struct err *err);
/* Any thread. -EAGAIN: the queue is full; -ESHUTDOWN: it is closing. Then the job stays
 * the caller's and done is not called. */
MUST_CHECK
int job_thread_submit(struct job_thread *thread, struct job *job, struct err *err);
/* For post: calls done. */
void job_finish(struct job *job);
struct job_thread_figures job_thread_figures(struct job_thread *thread);
/* Does all jobs that were accepted, ends the thread and frees it: nobody may submit any
 * more when it returns. NULL is fine. */
void job_thread_close(struct job_thread *thread);
