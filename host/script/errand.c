#include "script/errand.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <event2/event.h>
#include <lauxlib.h>

#include "script/api.h"
#include "script/fiber.h"
#include "script/script.h"

struct errands {
	pthread_mutex_t lock; /* for what follows */
	struct list back;     /* finished, oldest first */
	size_t away;          /* given to other threads and not taken home yet */
	bool is_closed;       /* there is no loop any more */
	int wake_fd;
	struct event *wake; /* the loop's */
};

/* -- coming home ------------------------------------------------------------------- */

static void free_errands(struct errands *errands)
{
	close(errands->wake_fd);
	pthread_mutex_destroy(&errands->lock);
	free(errands);
}

/* On the script's thread. */
static void finish(struct errand *errand)
{
	struct fiber *fiber = errand->fiber;
	uint64_t ticket = errand->ticket;
	int count;

	if (!fiber) {
		errand->free(errand);
		return;
	}
	count = errand->push(fiber_lua(fiber), errand);
	errand->free(errand);
	fiber_resume(fiber, ticket, count);
}

static void done(struct job *job)
{
	finish(job->loop);
}

/* On the thread that did the work. */
static void post(void *loop, struct job *job)
{
	struct errand *errand = loop;
	struct errands *errands = errand->home;
	uint64_t one = 1;
	bool is_last = false, is_closed;

	(void)job;
	pthread_mutex_lock(&errands->lock);
	is_closed = errands->is_closed;
	if (is_closed) {
		is_last = --errands->away == 0;
	} else {
		list_append(&errands->back, &errand->link);
		while (write(errands->wake_fd, &one, sizeof(one)) < 0 && errno == EINTR)
			;
	}
	pthread_mutex_unlock(&errands->lock);
	if (is_closed)
		errand->free(errand);
	if (is_last)
		free_errands(errands);
}

static struct errand *take_one(struct errands *errands)
{
	struct errand *errand = NULL;

	pthread_mutex_lock(&errands->lock);
	if (!list_is_empty(&errands->back)) {
		errand = CONTAINER_OF(errands->back.next, struct errand, link);
		list_remove(&errand->link);
		errands->away--;
	}
	pthread_mutex_unlock(&errands->lock);
	return errand;
}

static void on_wake(evutil_socket_t fd, short what, void *arg)
{
	struct errands *errands = arg;
	struct errand *errand;
	uint64_t count;

	(void)what;
	while (read(fd, &count, sizeof(count)) < 0 && errno == EINTR)
		;
	while ((errand = take_one(errands)) != NULL)
		job_finish(errand->job);
}

struct errands *errands_new(struct event_base *base)
{
	struct errands *errands = xcalloc(1, sizeof(*errands));

	pthread_mutex_init(&errands->lock, NULL);
	list_init(&errands->back);
	errands->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	assert(errands->wake_fd >= 0);
	errands->wake = event_new(base, errands->wake_fd, EV_READ | EV_PERSIST, on_wake,
		errands);
	event_add(errands->wake, NULL);
	return errands;
}

void errands_free(struct errands *errands)
{
	bool is_last;

	if (!errands)
		return;
	event_free(errands->wake);
	pthread_mutex_lock(&errands->lock);
	errands->is_closed = true;
	while (!list_is_empty(&errands->back)) {
		struct errand *errand = CONTAINER_OF(errands->back.next, struct errand,
			link);
		list_remove(&errand->link);
		errands->away--;
		errand->free(errand);
	}
	is_last = errands->away == 0;
	pthread_mutex_unlock(&errands->lock);
	if (is_last)
		free_errands(errands);
}

/* -- going away -------------------------------------------------------------------- */

void errand_check(lua_State *L)
{
	fiber_check(L);
}

void errand_init(lua_State *L, struct errand *errand, struct job *job,
	errand_push_fn *push, errand_free_fn *free)
{
	list_init(&errand->link);
	errand->home = api_script(L)->errands;
	errand->fiber = fiber_of(L);
	errand->job = job;
	errand->push = push;
	errand->free = free;
	job->done = done;
	job->post = post;
	job->loop = errand;
	/* Before it is given away: it may be back before the giver knows. */
	pthread_mutex_lock(&errand->home->lock);
	errand->home->away++;
	pthread_mutex_unlock(&errand->home->lock);
}

static void on_cancel(void *arg)
{
	struct errand *errand = arg;

	errand->fiber = NULL;
}

int errand_wait(lua_State *L, struct errand *errand, int rc)
{
	int count;

	if (rc == 0) {
		errand->ticket = fiber_wait(L, on_cancel, errand);
		return lua_yield(L, 0);
	}
	pthread_mutex_lock(&errand->home->lock);
	errand->home->away--;
	pthread_mutex_unlock(&errand->home->lock);
	errand->job->rc = rc;
	count = errand->push(L, errand);
	errand->free(errand);
	return count;
}

/* -- transactions ------------------------------------------------------------------ */

static void free_plainly(struct errand *errand)
{
	free(errand);
}

void *store_errand_new(lua_State *L, size_t size, store_fn *run, errand_push_fn *push,
	errand_free_fn *free)
{
	struct store_errand *errand;

	errand_check(L);
	api_script(L);
	assert(size >= sizeof(*errand));
	errand = xcalloc(1, size);
	errand->job.run = run;
	errand_init(L, &errand->errand, &errand->job.job, push,
		free ? free : free_plainly);
	return errand;
}

void *store_errand_of(void *job)
{
	return CONTAINER_OF((struct store_job *)job, struct store_errand, job);
}

int store_errand_start(lua_State *L, struct store_errand *errand,
	struct store_thread *thread)
{
	int rc = store_thread_submit(thread, &errand->job, &errand->job.job.err);

	return errand_wait(L, &errand->errand, rc);
}

int errand_push_failure(lua_State *L, const struct errand *errand)
{
	int rc = errand->job->rc;
	bool is_full = rc == -ENOSPC || rc == -EDQUOT || rc == -EFBIG;

	lua_pushnil(L);
	lua_pushstring(L, is_full ? "full" : "failed");
	lua_pushstring(L, errand->job->err.text);
	return 3;
}
