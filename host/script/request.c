#include "script/request.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <event2/event.h>
#include <lauxlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "http/spool.h"
#include "json/scan.h"
#include "script/attempt.h"
#include "script/generation.h"
#include "script/plan.h"
#include "script/process.h"
#include "storage/health.h"
#include "upstream/relay.h"

#define PREFETCH_MAX (64 * 1024) /* bytes of a body that is read before Lua starts */
#define DRAIN_MS 30000           /* on_disconnect = "drain": reads on for so long */
#define DETACH_MS 900000         /* on_disconnect = "detach": a bound all the same */
#define HANDLE "neap.request"

/* Members that routing needs; the router asks for no others. */
static const char *const wanted[] = { "model", "stream", "stream_options", "user",
	"prompt_cache_key", "metadata", "max_tokens", "max_completion_tokens", NULL };

static void end_fiber(struct fiber *fiber, enum fiber_status status, const char *message,
	void *arg);

/* -- the handle ------------------------------------------------------------------- */

void request_push_handle(lua_State *L, struct request *request)
{
	struct request **box = lua_newuserdata(L, sizeof(struct request *));

	*box = request;
	luaL_getmetatable(L, HANDLE);
	lua_setmetatable(L, -2);
	/* Kept by the request's address, to be emptied when it is freed. */
	lua_pushlightuserdata(L, request);
	lua_pushvalue(L, -2);
	lua_rawset(L, LUA_REGISTRYINDEX);
}

static void empty_handle(struct request *request)
{
	lua_State *L = state_lua(generation_state(request->generation));
	struct request **box;

	lua_pushlightuserdata(L, request);
	lua_rawget(L, LUA_REGISTRYINDEX);
	box = lua_touserdata(L, -1);
	if (box)
		*box = NULL;
	lua_pop(L, 1);
	lua_pushlightuserdata(L, request);
	lua_pushnil(L);
	lua_rawset(L, LUA_REGISTRYINDEX);
}

struct request *request_check(lua_State *L, int index)
{
	struct request **box = luaL_checkudata(L, index, HANDLE);

	if (!*box)
		luaL_error(L, "the request has ended");
	return *box;
}

struct request *request_of(lua_State *L)
{
	struct fiber *fiber = fiber_of(L);

	return fiber ? fiber_owner(fiber) : NULL;
}

/* -- life ------------------------------------------------------------------------- */

static struct request *request_new(struct script *script, struct exchange *exchange)
{
	struct request *request = xcalloc(1, sizeof(*request));

	request->script = script;
	request->exchange = exchange;
	exchange_ref(exchange);
	exchange_set_data(exchange, request);
	request->generation = script->current;
	generation_ref(request->generation);
	request->record_ref = LUA_NOREF;
	list_init(&request->attempts);
	list_append(&script->requests, &request->link);
	script->process->request_count++;
	return request;
}

static void drop_record(struct request *request)
{
	if (request->record_ref != LUA_NOREF && request->generation)
		luaL_unref(state_lua(generation_state(request->generation)),
			LUA_REGISTRYINDEX, request->record_ref);
	request->record_ref = LUA_NOREF;
}

static void end_relay_health(struct request *request)
{
	for (size_t i = 0; i < COUNT_OF(request->relay_health); i++) {
		if (request->relay_health[i])
			health_end(request->relay_health[i]);
		request->relay_health[i] = NULL;
	}
}

static void let_generation_go(struct request *request)
{
	if (!request->generation)
		return;
	drop_record(request);
	attempts_close(request);
	empty_handle(request);
	generation_unref(request->generation);
	request->generation = NULL;
}

void request_free(struct request *request)
{
	if (request->fiber)
		fiber_cancel(request->fiber);
	relay_close(request->relay);
	end_relay_health(request);
	let_generation_go(request);
	plan_unref(request->plan);
	if (request->leave_timer)
		event_free(request->leave_timer);
	scan_free(request->scan);
	arena_clear(&request->arena);
	free(request->record_text);
	exchange_set_data(request->exchange, NULL);
	exchange_unref(request->exchange);
	list_remove(&request->link);
	request->script->process->request_count--;
	free(request);
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
	if (request->is_answered) {
		struct sink *sink = exchange_sink(request->exchange);

		sink->ops->cut(sink);
		return;
	}
	request->is_answered = true;
	exchange_reply(request->exchange, 500, fields, COUNT_OF(fields), body,
		sizeof(body) - 1);
}

/* -- fibers ----------------------------------------------------------------------- */

/* Starts function of neap.router with the handle below argument_count - 1 more values,
 * which stand on the main stack already behind room for function and handle. */
static void run(struct request *request, const char *function, int argument_count)
{
	struct state *state = generation_state(request->generation);
	struct err err;
	enum fiber_status status;

	(void)function;
	status = fiber_start(&request->fiber, state, argument_count, end_fiber, request,
		&err);
	if (status != FIBER_WAITS)
		end_fiber(NULL, status, err.text, request);
}

static void push_call(struct request *request, const char *function)
{
	lua_State *L = state_lua(generation_state(request->generation));

	generation_push(request->generation, function);
	lua_pushlightuserdata(L, request);
	lua_rawget(L, LUA_REGISTRYINDEX);
	if (lua_isnil(L, -1)) {
		lua_pop(L, 1);
		request_push_handle(L, request);
	}
}

/* A fiber of the request has ended: the answer is given, or a relay gives it, or
 * something failed. */
static void end_fiber(struct fiber *fiber, enum fiber_status status, const char *message,
	void *arg)
{
	struct request *request = arg;

	(void)fiber;
	request->fiber = NULL;
	request->receive_ticket = 0;
	request->write_ticket = 0;
	if (status == FIBER_FAILED && !request->is_failing) {
		lua_State *L = state_lua(generation_state(request->generation));

		request->is_failing = true;
		attempts_close(request);
		push_call(request, "failed");
		lua_pushstring(L, message ? message : "unknown error");
		run(request, "failed", 2);
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
	request_free(request);
}

static void start(struct request *request)
{
	push_call(request, "serve");
	run(request, "serve", 1);
}

/* -- the client's side ------------------------------------------------------------- */

static bool is_prefetched(const struct exchange *exchange)
{
	int64_t length = exchange_body_length(exchange);

	return length >= 0 && length <= PREFETCH_MAX &&
		!exchange_header(exchange, "expect");
}

static void on_request(struct exchange *exchange, void *arg)
{
	struct request *request = request_new(arg, exchange);

	if (exchange_has_body(exchange)) {
		request->scan = scan_new(wanted);
		/* A short body is nearly always here already: Lua starts when it is
		 * complete and need not wait. A long one is read only when Lua asks:
		 * first the token is checked. */
		if (is_prefetched(exchange)) {
			request->is_receiving = true;
			exchange_receive(exchange);
			return;
		}
	} else {
		request->is_received = true;
	}
	start(request);
}

static void note_fault(struct request *request, int status, const char *text)
{
	if (request->fault_status)
		return;
	request->fault_status = status;
	snprintf(request->fault_text, sizeof(request->fault_text), "%.199s", text);
}

static void on_body(struct exchange *exchange, const char *data, size_t size, void *arg)
{
	struct request *request = exchange_data(exchange);
	struct err err;

	(void)arg;
	if (!request || request->fault_status || !request->scan)
		return;
	if (scan_feed(request->scan, data, size, &err) != 0)
		note_fault(request, 400, err.text);
}

/* The body has arrived or never will: goes on with whoever waits for it. */
static void end_body(struct request *request)
{
	request->is_received = true;
	if (request->receive_ticket) {
		uint64_t ticket = request->receive_ticket;

		request->receive_ticket = 0;
		fiber_resume(request->fiber, ticket, 0);
	} else if (!request->fiber && !request->is_answered) {
		start(request);
	}
}

static void on_body_end(struct exchange *exchange, void *arg)
{
	struct request *request = exchange_data(exchange);
	struct err err;

	(void)arg;
	if (!request)
		return;
	if (!request->fault_status && request->scan && scan_end(request->scan, &err) != 0)
		note_fault(request, 400, err.text);
	end_body(request);
}

static void on_fault(struct exchange *exchange, int status, const char *message,
	void *arg)
{
	struct request *request = exchange_data(exchange);
	lua_State *L;

	if (!request)
		request = request_new(arg, exchange);
	note_fault(request, status, message);
	if (request->receive_ticket) {
		end_body(request);
		return;
	}
	if (request->fiber || request->is_answered)
		return; /* the fiber has not asked for the body, and answers without it */
	L = state_lua(generation_state(request->generation));
	push_call(request, "fault");
	lua_pushinteger(L, status);
	lua_pushstring(L, message);
	run(request, "fault", 3);
}

/* -- the client leaves ------------------------------------------------------------ */

static void run_gone(struct request *request)
{
	push_call(request, "gone");
	run(request, "gone", 1);
}

static void on_leave_timer(evutil_socket_t fd, short what, void *arg)
{
	struct request *request = arg;

	(void)fd;
	(void)what;
	if (!request->fiber || request->is_failing)
		return;
	fiber_cancel(request->fiber);
	request->fiber = NULL;
	attempts_close(request);
	run_gone(request);
}

static void bound_leave(struct request *request, int ms)
{
	struct timeval after = { .tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000 };

	request->leave_timer = evtimer_new(request->script->base, on_leave_timer,
		request);
	evtimer_add(request->leave_timer, &after);
}

static void leave_relay(struct request *request)
{
	struct relay_result result;

	if (request->leave != LEAVE_CANCEL) {
		relay_drain(request->relay,
			request->leave == LEAVE_DRAIN ? DRAIN_MS : DETACH_MS);
		return;
	}
	relay_peek(request->relay, &result);
	/* The kept events live in the relay: the record takes them before it is
	 * closed. */
	request_on_relay_end(&result, request);
}

static void on_gone(struct exchange *exchange, void *arg)
{
	struct request *request = exchange_data(exchange);

	(void)arg;
	if (!request || request->is_ended)
		return;
	request->is_gone = true;
	if (request->relay) {
		leave_relay(request);
		return;
	}
	if (!request->fiber) {
		/* Its body was still arriving: nothing has happened yet. */
		request_free(request);
		return;
	}
	if (request->leave != LEAVE_CANCEL) {
		bound_leave(request,
			request->leave == LEAVE_DRAIN ? DRAIN_MS : DETACH_MS);
		if (request->write_ticket) {
			uint64_t ticket = request->write_ticket;

			request->write_ticket = 0;
			fiber_resume(request->fiber, ticket, 0);
		}
		return;
	}
	fiber_cancel(request->fiber);
	request->fiber = NULL;
	attempts_close(request);
	run_gone(request);
}

const struct http_handler script_http_handler = {
	.on_request = on_request,
	.on_body = on_body,
	.on_body_end = on_body_end,
	.on_fault = on_fault,
	.on_gone = on_gone,
};

/* -- relays ----------------------------------------------------------------------- */

void request_relay(struct request *request, struct relay *relay)
{
	request->relay = relay;
	/* Nothing is sent again: what was known of the body can go. */
	scan_free(request->scan);
	request->scan = NULL;
	if (request->is_gone)
		relay_drain(relay, request->leave == LEAVE_DRAIN ? DRAIN_MS : DETACH_MS);
}

void request_let_go(struct request *request)
{
	struct state *state = generation_state(request->generation);
	lua_State *L = state_lua(state);
	struct err err;

	if (request->record_ref != LUA_NOREF) {
		generation_push(request->generation, "pack");
		lua_rawgeti(L, LUA_REGISTRYINDEX, request->record_ref);
		if (state_call(state, 1, 1, 0, &err) != 0) {
			log_error("router", "a record could not be packed: %s", err.text);
		} else {
			const char *text = lua_tolstring(L, -1, &request->record_size);

			if (text)
				request->record_text = xmemdup(text,
					request->record_size);
			lua_pop(L, 1);
		}
	}
	let_generation_go(request);
}

static void push_result(lua_State *L, const struct request *request,
	const struct relay_result *result)
{
	static const char *const outcomes[] = { "ok", "failed", "truncated" };

	lua_createtable(L, 0, 8);
	lua_pushstring(L, outcomes[result->outcome]);
	lua_setfield(L, -2, "outcome");
	lua_pushboolean(L, request->is_gone);
	lua_setfield(L, -2, "aborted");
	if (result->transfer != TRANSFER_OK) {
		lua_pushstring(L, transfer_result_name(result->transfer));
		lua_setfield(L, -2, "failure");
	}
	lua_pushstring(L, result->error);
	lua_setfield(L, -2, "error");
	lua_pushnumber(L, (double)result->size);
	lua_setfield(L, -2, "size");
	lua_newtable(L);
	for (size_t i = 0; i < plan_rule_count(request->plan); i++) {
		if (!result->kept[i])
			continue;
		lua_pushlstring(L, result->kept[i], result->kept_size[i]);
		lua_rawseti(L, -2, (int)i + 1);
	}
	lua_setfield(L, -2, "kept");
}

void request_on_relay_end(const struct relay_result *result, void *arg)
{
	struct request *request = arg;
	bool is_packed = request->generation == NULL;
	struct relay *cancelled = request->is_gone && request->leave == LEAVE_CANCEL
		? request->relay
		: NULL;
	lua_State *L;

	request->relay = NULL;
	request->is_ended = true;
	end_relay_health(request);
	if (is_packed) {
		request->generation = request->script->current;
		generation_ref(request->generation);
	}
	L = state_lua(generation_state(request->generation));
	push_call(request, is_packed ? "finish_packed" : "finish");
	if (is_packed)
		lua_pushlstring(L, request->record_text ? request->record_text : "",
			request->record_size);
	else
		lua_rawgeti(L, LUA_REGISTRYINDEX, request->record_ref);
	push_result(L, request, result);
	relay_close(cancelled);
	run(request, "finish", 3);
}
