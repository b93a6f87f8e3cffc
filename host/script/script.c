#include "script/script.h"

#include <assert.h>
#include <stdlib.h>

#include <event2/event.h>

#include "base/log.h"
#include "base/turn.h"
#include "script/attempt.h"
#include "script/errand.h"
#include "script/generation.h"
#include "script/kept_bodies.h"
#include "script/process.h"
#include "script/record_read.h"
#include "script/request.h"
#include "script/spawn.h"

static void bury_now(struct script *script)
{
	while (script->dead_count)
		generation_free(script->dead[--script->dead_count]);
}

static void on_reaper(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	bury_now(arg);
}

void script_bury(struct script *script, struct generation *generation)
{
	/* Between two turns of the loop no more than a few can die: each needs a
	 * reload. */
	assert(script->dead_count < (int)COUNT_OF(script->dead));
	script->dead[script->dead_count++] = generation;
	event_active(script->reaper, EV_TIMEOUT, 1);
}

struct script *script_new(struct turn *turn, struct transfers *transfers,
	struct process *process, int worker)
{
	struct event_base *base = turn_base(turn);
	struct script *script = xcalloc(1, sizeof(*script));

	script->base = base;
	script->turn = turn;
	script->transfers = transfers;
	script->process = process;
	script->worker = worker;
	script->copy_room = KEPT_BODIES_ROOM;
	script->errands = errands_new(base);
	script->reading = record_reading_new();
	list_init(&script->requests);
	list_init(&script->spare_attempts);
	list_init(&script->spawned);
	script->reaper = evtimer_new(base, on_reaper, script);
	return script;
}

void script_adopt(struct script *script, struct generation *generation)
{
	struct generation *old = script->current;
	struct list *at, *next;
	struct err err;

	script->current = generation;
	script->is_admin = generation_side(generation) == GENERATION_ADMIN;
	generation_set_script(generation, script);
	if (generation_begin(generation, &err) != 0)
		log_error("script", "%s", err.text);
	if (!old)
		return;
	for (at = script->requests.next; at != &script->requests; at = next) {
		struct request *request = CONTAINER_OF(at, struct request, link);

		next = at->next;
		if (request->relay && request->generation == old)
			request_let_go(request);
	}
	generation_unref(old);
}

size_t script_request_count(const struct script *script)
{
	size_t count = 0;

	for (struct list *at = script->requests.next; at != &script->requests;
		at = at->next)
		count++;
	return count;
}

bool script_is_full(const struct script *script)
{
	return script->current && state_is_full(generation_state(script->current));
}

void script_break_off(struct script *script)
{
	struct list *at, *next;

	for (at = script->requests.next; at != &script->requests; at = next) {
		next = at->next;
		request_stop(CONTAINER_OF(at, struct request, link));
	}
}

void script_free(struct script *script)
{
	if (!script)
		return;
	while (!list_is_empty(&script->requests)) {
		request_free(CONTAINER_OF(script->requests.next, struct request, link));
		bury_now(script); /* the requests may be of many generations */
	}
	while (spawn_cancel_one(script))
		bury_now(script);
	if (script->current)
		generation_unref(script->current);
	bury_now(script);
	attempts_free_spare(script);
	errands_free(script->errands);
	event_free(script->reaper);
	record_reading_free(script->reading);
	buf_clear(&script->line);
	free(script);
}
