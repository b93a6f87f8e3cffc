#include "storage/job.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/background.h"
#include "base/clock.h"
#include "base/mem.h"

struct job_thread {
	struct job_thread_options options;
	pthread_t thread;
	pthread_mutex_t lock; /* for what follows */
	pthread_cond_t has_news;
	struct list queue; /* oldest first */
	int64_t first_ms;  /* when the oldest came */
	bool is_closing;
	struct job_thread_figures figures;
};

static struct job *job_of(struct list *link)
{
	return CONTAINER_OF(link, struct job, link);
}

void job_finish(struct job *job)
{
	job->done(job);
}

/* -- the thread ------------------------------------------------------------------- */

/* With the lock held. */
static void wait_until(struct job_thread *thread, int64_t ms)
{
	struct timespec until = {
		.tv_sec = ms / 1000,
		.tv_nsec = ms % 1000 * 1000000,
	};

	pthread_cond_clockwait(&thread->has_news, &thread->lock, CLOCK_MONOTONIC, &until);
}

/* Waits for jobs, at most until tick_at_ms; with the lock held. False: it is over. */
static bool wait_for_jobs(struct job_thread *thread, int64_t tick_at_ms)
{
	const struct job_thread_options *options = &thread->options;

	while (!thread->figures.waiting && !thread->is_closing) {
		if (!options->tick)
			pthread_cond_wait(&thread->has_news, &thread->lock);
		else if (clock_ms() < tick_at_ms)
			wait_until(thread, tick_at_ms);
		else
			return true;
	}
	while (options->gather_ms && !thread->is_closing &&
		thread->figures.waiting < options->batch_max &&
		clock_ms() < thread->first_ms + options->gather_ms)
		wait_until(thread, thread->first_ms + options->gather_ms);
	return thread->figures.waiting || !thread->is_closing;
}

static size_t take_batch(struct job_thread *thread, struct list *batch)
{
	size_t count = 0;

	list_init(batch);
	while (!list_is_empty(&thread->queue) && count < thread->options.batch_max) {
		struct list *link = thread->queue.next;

		list_remove(link);
		list_append(batch, link);
		count++;
	}
	thread->figures.waiting -= count;
	return count;
}

/* A job is no longer ours once it was given back. */
static void give_back(struct list *batch)
{
	while (!list_is_empty(batch)) {
		struct job *job = job_of(batch->next);

		list_remove(&job->link);
		if (job->post)
			job->post(job->loop, job);
		else
			job->done(job);
	}
}

/* With the lock held, which is let go meanwhile. */
static void do_batch(struct job_thread *thread)
{
	struct list batch;
	size_t count = take_batch(thread, &batch);

	if (!count)
		return;
	pthread_mutex_unlock(&thread->lock);
	thread->options.work(&batch, thread->options.arg);
	pthread_mutex_lock(&thread->lock);
	/* Before the jobs go: who waits for one sees it counted. */
	thread->figures.done += count;
	thread->figures.batches++;
	pthread_mutex_unlock(&thread->lock);
	give_back(&batch);
	pthread_mutex_lock(&thread->lock);
}

static void *run(void *arg)
{
	struct job_thread *thread = arg;
	const struct job_thread_options *options = &thread->options;
	int64_t tick_at_ms = clock_ms() + options->tick_ms;

	if (options->is_background)
		background_enter();
	pthread_mutex_lock(&thread->lock);
	while (wait_for_jobs(thread, tick_at_ms)) {
		do_batch(thread);
		if (!options->tick || clock_ms() < tick_at_ms)
			continue;
		pthread_mutex_unlock(&thread->lock);
		options->tick(options->arg);
		pthread_mutex_lock(&thread->lock);
		tick_at_ms = clock_ms() + options->tick_ms;
	}
	pthread_mutex_unlock(&thread->lock);
	return NULL;
}

/* -- the askers ------------------------------------------------------------------- */

int job_thread_submit(struct job_thread *thread, struct job *job, struct err *err)
{
	const struct job_thread_options *options = &thread->options;
	size_t waiting;
	int rc = 0;

	assert(job->done);
	job->rc = 0;
	job->err.text[0] = '\0';
	list_init(&job->link);
	pthread_mutex_lock(&thread->lock);
	waiting = thread->figures.waiting;
	if (thread->is_closing) {
		rc = err_set(err, -ESHUTDOWN, "%s is closing", options->name);
	} else if (waiting >= options->queue_max) {
		thread->figures.refused++;
		rc = err_set(err, -EAGAIN,
			"the queue of %s is full (%zu jobs): try again in a moment",
			options->name, waiting);
	} else {
		list_append(&thread->queue, &job->link);
		thread->figures.waiting++;
		if (!waiting)
			thread->first_ms = clock_ms();
		/* One that gathers is only woken for a batch that is full. */
		if (!waiting || waiting + 1 == options->batch_max)
			pthread_cond_signal(&thread->has_news);
	}
	pthread_mutex_unlock(&thread->lock);
	return rc;
}

struct job_thread_figures job_thread_figures(struct job_thread *thread)
{
	struct job_thread_figures figures;

	pthread_mutex_lock(&thread->lock);
	figures = thread->figures;
	pthread_mutex_unlock(&thread->lock);
	return figures;
}

/* -- life ------------------------------------------------------------------------- */

int job_thread_start(struct job_thread **out, const struct job_thread_options *options,
	struct err *err)
{
	struct job_thread *thread = xcalloc(1, sizeof(*thread));
	sigset_t all, before;
	int rc;

	assert(options->queue_max > 0 && options->batch_max > 0);
	assert(!options->tick || options->tick_ms > 0);
	thread->options = *options;
	list_init(&thread->queue);
	pthread_mutex_init(&thread->lock, NULL);
	pthread_cond_init(&thread->has_news, NULL);
	/* Signals are the main thread's; SIGXFSZ, blocked, leaves EFBIG to the writer. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	rc = pthread_create(&thread->thread, NULL, run, thread);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (rc) {
		pthread_cond_destroy(&thread->has_news);
		pthread_mutex_destroy(&thread->lock);
		free(thread);
		return err_set(err, -rc, "no thread for %s: %s", options->name,
			strerror(rc));
	}
	pthread_setname_np(thread->thread, options->name);
	*out = thread;
	return 0;
}

void job_thread_close(struct job_thread *thread)
{
	if (!thread)
		return;
	pthread_mutex_lock(&thread->lock);
	thread->is_closing = true;
	pthread_cond_signal(&thread->has_news);
	pthread_mutex_unlock(&thread->lock);
	pthread_join(thread->thread, NULL);
	assert(list_is_empty(&thread->queue));
	pthread_cond_destroy(&thread->has_news);
	pthread_mutex_destroy(&thread->lock);
	free(thread);
}
