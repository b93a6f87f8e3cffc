/* reloads.h - reloads that Lua asks for, and what became of the last ones.
 *
 * Whoever loads is told by wake that somebody asks, takes all who wait before it begins (so
 * that they share one load) and tells them how it went. Any thread, but for what says
 * otherwise. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <lua.h>

#include "base/err.h"
#include "base/list.h"
#include "storage/job.h"

struct reloads;

typedef void reloads_wake_fn(void *arg);

/* Who waits for a reload. */
struct reload_job {
	struct job
		job; /* done, post and loop are the asker's to set; rc and err are not used */
	uint64_t generation; /* that is in force now; 0: it was refused */
	char *errors;        /* then: why, one message a line; the asker's to free */
};

struct reloads *reloads_new(reloads_wake_fn *wake, void *arg);
/* All of those who wait have been told. NULL is fine. */
void reloads_free(struct reloads *reloads);

/* -ESHUTDOWN: neap is stopping; then the job stays the caller's. */
MUST_CHECK
int reloads_ask(struct reloads *reloads, struct reload_job *job);
bool reloads_are_asked(struct reloads *reloads);
/* Moves all who wait into the list. */
void reloads_take(struct reloads *reloads, struct list *waiting);
/* Tells all of the list, which is then empty. generation 0: refused, with errors. */
void reloads_tell(struct list *waiting, uint64_t generation, const char *errors);
/* From now on nobody can ask; tells those who wait. */
void reloads_stop(struct reloads *reloads);

/* Notes how a load ended, for reloads_push(). cause: "start", "signal", "watch", "api",
 * "memory"; generation 0: refused, with errors (else NULL). */
void reloads_note(struct reloads *reloads, const char *cause, uint64_t generation,
	const char *errors);
/* Pushes the last loads, the newest first: { { generation, at, cause, errors }, … }; at in
 * seconds since 1970, generation or errors nil. */
void reloads_push(lua_State *L, struct reloads *reloads);

/* Adds reload and generations to the table at the top of the stack. */
void reloads_register(lua_State *L);
