/* script_world.h - a worker's Lua side on a storage folder of its own: chunks run in fibers,
 * and what they wait for comes back through an event loop that the test turns. */
#pragma once

#include <pthread.h>
#include <string.h>

#include <event2/event.h>
#include <lauxlib.h>
#include <sodium.h>

#include "base/clock.h"
#include "base/turn.h"
#include "script/api.h"
#include "script/errand.h"
#include "script/fiber.h"
#include "script/modules.h"
#include "script/process.h"
#include "script/reloads.h"
#include "script/sandbox.h"
#include "script/script.h"
#include "script/sources.h"
#include "script/state.h"
#include "storage/master_key.h"
#include "storage/password.h"
#include "storage/storage.h"
#include "storage_place.h"

#define WAIT_MS 100000

struct world {
	char place[128];
	struct process process;
	struct event_base *base;
	struct turn *turn;
	struct script *script;
	struct state *state;
	struct sources *sources;
	struct fiber *fiber; /* of the last chunk, while it waits */
	bool is_done;
	char text[1024]; /* what the last chunk returned, or raised */
};

static inline void world_open(struct world *world)
{
	struct state_limits limits = state_default_limits;
	struct err err = { "" };
	lua_State *L;

	*world = (struct world) { 0 };
	assert_true(sodium_init() >= 0);
	place_make(world->place);
	limits.cpu_ms = 100000; /* the sanitizers are slow, and so are some machines */
	if (storage_open(&world->process.storage, world->place, &err) ||
		master_keys_open(&world->process.master_keys, world->place, &err) ||
		passwords_start(&world->process.passwords, &err))
		fail_msg("%s", err.text);
	world->base = event_base_new();
	world->turn = turn_new(world->base);
	world->script = script_new(world->turn, NULL, &world->process, 0);
	world->state = state_new(&limits);
	world->sources = sources_new(".", NULL);
	L = state_lua(world->state);
	sandbox_open(L);
	lua_pushcfunction(L, api_l_open);
	lua_pushlightuserdata(L, world->sources);
	lua_pushliteral(L, "neap.json");
	if (state_call(world->state, 2, 1, 0, &err) != 0)
		fail_msg("%s", err.text);
	lua_pop(L, 1);
	modules_close(L);
	if (luaL_loadstring(L, "host = require 'neap.host'") || lua_pcall(L, 0, 0, 0))
		fail_msg("%s", lua_tostring(L, -1));
	state_set_data(world->state, world->script);
}

static inline void world_close_script(struct world *world)
{
	if (world->fiber)
		fiber_cancel(world->fiber);
	world->fiber = NULL;
	script_free(world->script);
	world->script = NULL;
}

static inline void world_close(struct world *world)
{
	if (world->script)
		world_close_script(world);
	passwords_close(world->process.passwords);
	storage_close(world->process.storage);
	master_keys_close(world->process.master_keys);
	reloads_free(world->process.reloads);
	state_free(world->state);
	sources_free(world->sources);
	turn_free(world->turn);
	event_base_free(world->base);
	place_remove(world->place);
}

static inline void world_on_end(struct fiber *fiber, enum fiber_status status,
	const char *message, void *arg)
{
	struct world *world = arg;
	const char *text = status == FIBER_DONE ? lua_tostring(fiber_lua(fiber), -1)
						: message;

	world->is_done = true;
	world->fiber = NULL;
	snprintf(world->text, sizeof(world->text), "%s", text ? text : "nil");
}

/* Starts a chunk in a fiber. */
static inline void world_start(struct world *world, const char *chunk)
{
	lua_State *L = state_lua(world->state);
	struct err err = { "" };
	enum fiber_status status;

	world->is_done = false;
	if (luaL_loadstring(L, chunk))
		fail_msg("%s", lua_tostring(L, -1));
	status = fiber_start(&world->fiber, world->state, 0, world_on_end, world, &err);
	if (status != FIBER_WAITS)
		fail_msg("%s", status == FIBER_DONE ? "it did not wait" : err.text);
}

static inline void world_turn(struct world *world, bool *until)
{
	int64_t end_ms = clock_ms() + WAIT_MS;

	while (!*until) {
		assert_true(clock_ms() < end_ms);
		event_base_loop(world->base, EVLOOP_ONCE);
	}
}

/* Runs a chunk to its end; it must return this text. */
static inline void world_run(struct world *world, const char *chunk, const char *text)
{
	char whole[2048];

	snprintf(whole, sizeof(whole), "host.sleep(0) %s", chunk);
	world_start(world, whole);
	world_turn(world, &world->is_done);
	assert_string_equal(world->text, text);
}

/* A job that holds a storage thread until it is let go. */
struct plug {
	struct store_job job;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	bool is_in, is_let_go, is_out;
};

static inline int plug_run(struct txn *txn, void *arg, struct err *err)
{
	struct plug *plug = CONTAINER_OF(arg, struct plug, job);

	(void)txn;
	(void)err;
	pthread_mutex_lock(&plug->lock);
	plug->is_in = true;
	pthread_cond_broadcast(&plug->wake);
	while (!plug->is_let_go)
		pthread_cond_wait(&plug->wake, &plug->lock);
	pthread_mutex_unlock(&plug->lock);
	return 0;
}

static inline void plug_done(struct job *job)
{
	struct plug *plug = CONTAINER_OF(job, struct plug, job.job);

	pthread_mutex_lock(&plug->lock);
	plug->is_out = true;
	pthread_cond_broadcast(&plug->wake);
	pthread_mutex_unlock(&plug->lock);
}

static inline void plug_in(struct plug *plug, struct store_thread *thread)
{
	*plug = (struct plug) { .job = { .run = plug_run, .job.done = plug_done } };
	pthread_mutex_init(&plug->lock, NULL);
	pthread_cond_init(&plug->wake, NULL);
	assert_int_equal(store_thread_submit(thread, &plug->job, NULL), 0);
	pthread_mutex_lock(&plug->lock);
	while (!plug->is_in)
		pthread_cond_wait(&plug->wake, &plug->lock);
	pthread_mutex_unlock(&plug->lock);
}

static inline void plug_out(struct plug *plug)
{
	pthread_mutex_lock(&plug->lock);
	plug->is_let_go = true;
	pthread_cond_broadcast(&plug->wake);
	while (!plug->is_out)
		pthread_cond_wait(&plug->wake, &plug->lock);
	pthread_mutex_unlock(&plug->lock);
	pthread_cond_destroy(&plug->wake);
	pthread_mutex_destroy(&plug->lock);
}
