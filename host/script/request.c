#include "script/api.h"
#include "script/request_inside.h"

#include <stdlib.h>
#include <string.h>

#include <event2/event.h>
#include <lauxlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "json/scan.h"
#include "script/attempt.h"
#include "script/generation.h"
#include "script/kept_bodies.h"
#include "script/legs.h"
#include "script/plan.h"
#include "script/process.h"
#include "storage/health.h"
#include "upstream/relay.h"

const char request_type_name[] = "neap.request";

static void end_fiber(struct fiber *fiber, enum fiber_status status, const char *message,
	void *arg);

/* -- the handle ------------------------------------------------------------------- */

static void push_handle(lua_State *L, struct request *request)
{
	if (request->handle) {
		lua_pushlightuserdata(L, request);
		lua_rawget(L, LUA_REGISTRYINDEX);
		return;
	}
	request->handle = api_new_handle(L, sizeof(struct request *), request_type_name);
	*request->handle = request;
	/* Kept by the request's address, to be emptied when it is freed. */
	lua_pushlightuserdata(L, request);
	lua_pushvalue(L, -2);
	lua_rawset(L, LUA_REGISTRYINDEX);
}

static void empty_handle(struct request *request)
{
	lua_State *L = state_lua(generation_state(request->generation));

	if (!request->handle)
		return;
	*request->handle = NULL;
	request->handle = NULL;
	request->has_record = false;
	lua_pushlightuserdata(L, request);
	lua_pushnil(L);
	lua_rawset(L, LUA_REGISTRYINDEX);
}

void request_set_record(lua_State *L, int handle, int record)
{
	struct request *request = request_check(L, handle);

	luaL_checktype(L, record, LUA_TTABLE);
	lua_pushvalue(L, record);
	lua_setfenv(L, handle);
	request->has_record = true;
}

void request_push_record(lua_State *L, struct request *request)
{
	push_handle(L, request);
	if (request->has_record)
		lua_getfenv(L, -1);
	else
		lua_pushnil(L);
	lua_remove(L, -2);
}

struct request *request_check(lua_State *L, int index)
{
	struct request **box = api_check_type(L, index, request_type_name);

	if (!*box)
		luaL_error(L, "the request has ended");
	return *box;
}

struct request *request_of(lua_State *L)
{
	struct fiber *fiber = fiber_of(L);

	/* A fiber that belongs to no request has an owner of another kind. */
	return fiber ? fiber_owner(fiber, end_fiber) : NULL;
}

/* -- life ------------------------------------------------------------------------- */

struct request *request_new(struct script *script, struct exchange *exchange)
{
	struct request *request = mem_take(sizeof(*request));

	*request = (struct request) {
		.script = script,
		.exchange = exchange,
		.generation = script->current,
	};
	exchange_ref(exchange);
	exchange_set_data(exchange, request);
	generation_ref(request->generation);
	turn_task_init(&request->start, request_run_serve);
	list_init(&request->attempts);
	list_init(&request->legs);
	list_append(&script->requests, &request->link);
	script->process->request_count++;
	return request;
}

void request_end_health(struct request *request)
{
	for (size_t i = 0; i < COUNT_OF(request->relay_health); i++) {
		if (request->relay_health[i])
			health_end(request->relay_health[i]);
		request->relay_health[i] = NULL;
	}
}

void request_drop_generation(struct request *request)
{
	if (!request->generation)
		return;
	attempts_close(request);
	empty_handle(request);
	/* What it notes of a body is what the generation's dialects told; the rest of a body
	 * that nobody reads may still come. */
	scan_free(request->scan);
	request->scan = NULL;
	generation_unref(request->generation);
	request->generation = NULL;
}

void request_free(struct request *request)
{
	turn_cancel(&request->start);
	if (request->fiber)
		fiber_cancel(request->fiber);
	legs_close(request);
	relay_close(request->relay);
	request_end_health(request);
	request_drop_generation(request);
	plan_unref(request->plan);
	if (request->leave_timer)
		event_free(request->leave_timer);
	arena_clear(&request->arena);
	free(request->record_text);
	exchange_set_data(request->exchange, NULL);
	exchange_set_copy(request->exchange, NULL);
	kept_bodies_free(request->kept);
	exchange_unref(request->exchange);
	list_remove(&request->link);
	request->script->process->request_count--;
	mem_give(request, sizeof(*request));
}

void request_stop(struct request *request)
{
	static const char why[] = "neap was stopped";
	lua_State *L;

	if (request->relay) {
		relay_break_off(request->relay, why);
		return;
	}
	if (!request->fiber || request->is_gone || request->is_failing ||
		request->is_ended || request->script->is_admin)
		return;
	fiber_cancel(request->fiber);
	request->fiber = NULL;
	legs_close(request);
	attempts_close(request);
	request->receive_ticket = 0;
	request->is_failing = true;
	L = state_lua(generation_state(request->generation));
	request_push_call(request, CALL_FAILED);
	lua_pushstring(L, why);
	lua_pushboolean(L, true);
	request_run(request, 3);
}

/* -- answers without Lua: only where Lua itself failed ------------------------------ */

static void answer_plainly(struct request *request)
{
	static const char body[] =
		"{\"error\":{\"message\":\"neap could not process the request; "
		"its log says why\",\"type\":\"server_error\",\"param\":null,"
		"\"code\":\"internal_error\"}}";
	static const struct field fields[] = {
		{ "content-type", "application/json" },
		{ "x-should-retry", "false" },
	};

	if (request->is_ended || request->is_gone)
		return;
	request->is_ended = true;
	if (request->answer_status) {
		struct sink *sink = exchange_sink(request->exchange);

		sink->ops->cut(sink);
		return;
	}
	request->answer_status = 500;
	exchange_reply(request->exchange, request->answer_status, fields,
		COUNT_OF(fields), body, sizeof(body) - 1);
}

/* -- fibers ----------------------------------------------------------------------- */

void request_run(struct request *request, int argument_count)
{
	struct state *state = generation_state(request->generation);
	struct err err;
	enum fiber_status status;

	status = fiber_start(&request->fiber, state, argument_count, end_fiber, request,
		&err);
	if (status != FIBER_WAITS)
		end_fiber(NULL, status, err.text, request);
}

void request_push_call(struct request *request, enum generation_call call)
{
	lua_State *L = state_lua(generation_state(request->generation));

	generation_push(request->generation, call);
	push_handle(L, request);
}

/* A fiber of the request has ended: the answer is given, or a relay gives it, or
 * something failed. */
static void end_fiber(struct fiber *fiber, enum fiber_status status, const char *message,
	void *arg)
{
	struct request *request = arg;

	(void)fiber;
	request->fiber = NULL;
	legs_close(request);
	request->receive_ticket = 0;
	request->write_ticket = 0;
	if (status == FIBER_FAILED && !request->is_failing) {
		lua_State *L = state_lua(generation_state(request->generation));

		request->is_failing = true;
		attempts_close(request);
		request_push_call(request, CALL_FAILED);
		lua_pushstring(L, message ? message : "unknown error");
		request_run(request, 2);
		return;
	}
	if (status == FIBER_FAILED)
		log_error("router", "%s", message ? message : "unknown error");
	if (request->relay) {
		/* A generation that was replaced while the chain ran is let go at once: now that
		 * its fiber has ended, and not before. */
		if (request->script->current != request->generation)
			request_let_go(request);
		return;
	}
	answer_plainly(request);
	/* Where Lua failed it may have failed to tell of it, too. */
	if (request->is_failing && !request->is_recorded && !request->script->is_admin)
		request_record_plainly(request, status == FIBER_FAILED ? message : NULL);
	request_free(request);
}
