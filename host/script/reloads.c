#include "script/reloads.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include <lauxlib.h>

#include "base/clock.h"
#include "script/api.h"
#include "script/errand.h"
#include "script/process.h"
#include "script/script.h"

#define NOTES_MAX 32

struct note {
	const char *cause;
	uint64_t generation;
	int64_t wall_us;
	char *errors;
};

struct reloads {
	pthread_mutex_t lock; /* for what follows */
	struct list waiting;
	bool is_stopped;
	reloads_wake_fn *wake;
	void *arg;
	struct note notes[NOTES_MAX]; /* a ring */
	size_t note_count;            /* ever */
};

static struct reload_job *job_of(struct list *link)
{
	return CONTAINER_OF(link, struct reload_job, job.link);
}

struct reloads *reloads_new(reloads_wake_fn *wake, void *arg)
{
	struct reloads *reloads = xcalloc(1, sizeof(*reloads));

	pthread_mutex_init(&reloads->lock, NULL);
	list_init(&reloads->waiting);
	reloads->wake = wake;
	reloads->arg = arg;
	return reloads;
}

void reloads_free(struct reloads *reloads)
{
	if (!reloads)
		return;
	for (size_t i = 0; i < NOTES_MAX; i++)
		free(reloads->notes[i].errors);
	pthread_mutex_destroy(&reloads->lock);
	free(reloads);
}

/* -- who waits ---------------------------------------------------------------------- */

int reloads_ask(struct reloads *reloads, struct reload_job *job)
{
	int rc = 0;

	pthread_mutex_lock(&reloads->lock);
	if (reloads->is_stopped)
		rc = -ESHUTDOWN;
	else
		list_append(&reloads->waiting, &job->job.link);
	pthread_mutex_unlock(&reloads->lock);
	if (rc == 0)
		reloads->wake(reloads->arg);
	return rc;
}

bool reloads_are_asked(struct reloads *reloads)
{
	bool are_asked;

	pthread_mutex_lock(&reloads->lock);
	are_asked = !list_is_empty(&reloads->waiting);
	pthread_mutex_unlock(&reloads->lock);
	return are_asked;
}

void reloads_take(struct reloads *reloads, struct list *waiting)
{
	list_init(waiting);
	pthread_mutex_lock(&reloads->lock);
	while (!list_is_empty(&reloads->waiting)) {
		struct list *link = reloads->waiting.next;

		list_remove(link);
		list_append(waiting, link);
	}
	pthread_mutex_unlock(&reloads->lock);
}

void reloads_tell(struct list *waiting, uint64_t generation, const char *errors)
{
	while (!list_is_empty(waiting)) {
		struct reload_job *job = job_of(waiting->next);

		list_remove(&job->job.link);
		job->generation = generation;
		job->errors = errors ? xstrdup(errors) : NULL;
		job->job.post(job->job.loop, &job->job);
	}
}

void reloads_stop(struct reloads *reloads)
{
	struct list waiting;

	pthread_mutex_lock(&reloads->lock);
	reloads->is_stopped = true;
	pthread_mutex_unlock(&reloads->lock);
	reloads_take(reloads, &waiting);
	reloads_tell(&waiting, 0, "neap is stopping");
}

/* -- what became of them -------------------------------------------------------------- */

void reloads_note(struct reloads *reloads, const char *cause, uint64_t generation,
	const char *errors)
{
	struct note *note;

	pthread_mutex_lock(&reloads->lock);
	note = &reloads->notes[reloads->note_count++ % NOTES_MAX];
	free(note->errors);
	*note = (struct note) {
		.cause = cause,
		.generation = generation,
		.wall_us = clock_wall_us(),
		.errors = errors ? xstrdup(errors) : NULL,
	};
	pthread_mutex_unlock(&reloads->lock);
}

static void push_note(lua_State *L, const struct note *note)
{
	lua_createtable(L, 0, 4);
	if (note->generation) {
		lua_pushnumber(L, (double)note->generation);
		lua_setfield(L, -2, "generation");
	}
	lua_pushnumber(L, (double)note->wall_us / 1e6);
	lua_setfield(L, -2, "at");
	lua_pushstring(L, note->cause);
	lua_setfield(L, -2, "cause");
	lua_pushstring(L, note->errors);
	lua_setfield(L, -2, "errors");
}

void reloads_push(lua_State *L, struct reloads *reloads)
{
	struct note notes[NOTES_MAX];
	int count = 0;

	/* Copies first: what pushes may raise, and then the lock would stay. */
	pthread_mutex_lock(&reloads->lock);
	for (size_t i = reloads->note_count; i > 0 && count < NOTES_MAX; i--) {
		notes[count] = reloads->notes[(i - 1) % NOTES_MAX];
		if (notes[count].errors)
			notes[count].errors = xstrdup(notes[count].errors);
		count++;
	}
	pthread_mutex_unlock(&reloads->lock);
	lua_createtable(L, count, 0);
	for (int i = 0; i < count; i++) {
		push_note(L, &notes[i]);
		lua_rawseti(L, -2, i + 1);
		free(notes[i].errors);
	}
}

/* -- for Lua ------------------------------------------------------------------------- */

struct reload_errand {
	struct errand errand;
	struct reload_job job;
};

static int push_reload(lua_State *L, struct errand *errand)
{
	const struct reload_job *job = &((struct reload_errand *)errand)->job;

	if (job->generation) {
		lua_pushnumber(L, (double)job->generation);
		return 1;
	}
	lua_pushnil(L);
	lua_pushstring(L, job->errors ? job->errors : "neap is stopping");
	return 2;
}

static void free_reload(struct errand *errand)
{
	free(((struct reload_errand *)errand)->job.errors);
	free(errand);
}

/* reload() -> generation | nil, errors. Waits until it is in force in all workers. */
static int l_reload(lua_State *L)
{
	struct reloads *reloads = api_script(L)->process->reloads;
	struct reload_errand *errand;

	errand_check(L);
	errand = xcalloc(1, sizeof(*errand));
	errand_init(L, &errand->errand, &errand->job.job, push_reload, free_reload);
	return errand_wait(L, &errand->errand, reloads_ask(reloads, &errand->job));
}

/* generations() -> { current, loads = { … } } */
static int l_generations(lua_State *L)
{
	struct process *process = api_script(L)->process;

	lua_createtable(L, 0, 2);
	lua_pushnumber(L, (double)process->generation);
	lua_setfield(L, -2, "current");
	reloads_push(L, process->reloads);
	lua_setfield(L, -2, "loads");
	return 1;
}

static const luaL_Reg functions[] = {
	{ "reload", l_reload },
	{ "generations", l_generations },
	{ NULL, NULL },
};

void reloads_register(lua_State *L)
{
	luaL_register(L, NULL, functions);
}
