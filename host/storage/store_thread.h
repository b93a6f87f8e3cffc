/* store_thread.h - the thread on which a store is read, or written.
 *
 * Workers never touch a store. A writer does the jobs that wait in one transaction (group
 * commit): their dones are called once it is on disk. A job that fails is undone alone,
 * the others are not. A reader does each job in a transaction of its own, of one page. */
#pragma once

#include <stdbool.h>

#include "storage/job.h"
#include "storage/store.h"

struct store_thread;

struct store_job {
	struct job job; /* done, post and loop are the asker's to set */
	/* A transaction's function; arg is the struct store_job. It may be called several
	 * times: see store_fn. */
	store_fn *run;
	bool is_left_out; /* the thread's: it failed, and what it wrote was undone */
};

struct store_thread_options {
	const char *name; /* of the thread, 15 bytes at most */
	bool is_reader;
	size_t queue_max;   /* jobs */
	int gather_ms;      /* writers: how long a transaction waits for more jobs */
	bool is_background; /* it comes behind all that serve clients */
};

/* The store must outlive the thread. */
MUST_CHECK
int store_thread_start(struct store_thread **out, struct store *store,
	const struct store_thread_options *options, struct err *err);
/* As job_thread_submit(). */
MUST_CHECK
int store_thread_submit(struct store_thread *thread, struct store_job *job,
	struct err *err);
struct job_thread_figures store_thread_figures(struct store_thread *thread);
/* As job_thread_close(). */
void store_thread_close(struct store_thread *thread);
