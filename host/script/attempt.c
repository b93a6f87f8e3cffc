#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <event2/event.h>
#include <lauxlib.h>

#include "base/clock.h"
#include "script/api.h"
#include "script/api_look.h"
#include "script/attempt_inside.h"
#include "script/process.h"
#include "script/request.h"
#include "script/route.h"
#include "storage/health.h"
#include "upstream/gate.h"

static const char type_name[] = "neap.attempt";

/* -- ends ------------------------------------------------------------------------- */

static void stop_counting(struct attempt *attempt)
{
	for (size_t i = 0; i < COUNT_OF(attempt->health); i++) {
		if (attempt->health[i])
			health_end(attempt->health[i]);
		attempt->health[i] = NULL;
	}
}

static void close_gate(struct attempt *attempt)
{
	if (!attempt->gate)
		return;
	gate_close(attempt->gate);
	attempt->gate = NULL;
	attempt->request->script->process->attempt_count--;
	stop_counting(attempt);
}

static void attempt_free(struct attempt *attempt)
{
	close_gate(attempt);
	if (attempt->timer)
		event_free(attempt->timer);
	if (attempt->box)
		*attempt->box = NULL;
	list_remove(&attempt->link);
	free(attempt);
}

void attempts_close(struct request *request)
{
	while (!list_is_empty(&request->attempts))
		/* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): list_remove() unlinks it */
		attempt_free(CONTAINER_OF(request->attempts.next, struct attempt, link));
}

bool attempts_are_open(const struct request *request)
{
	const struct list *at = request->attempts.next;

	while (at != &request->attempts && !CONTAINER_OF(at, struct attempt, link)->gate)
		at = at->next;
	return at != &request->attempts;
}

struct attempt *attempt_check(lua_State *L, int index)
{
	struct attempt **box = api_check_type(L, index, type_name);

	if (!*box || !(*box)->gate)
		luaL_error(L, "the attempt is closed");
	return *box;
}

struct gate *attempt_gate(lua_State *L, int index)
{
	return attempt_check(L, index)->gate;
}

void attempt_end(lua_State *L, int index)
{
	attempt_free(attempt_check(L, index));
}

struct gate *attempt_take(lua_State *L, int index, struct health *health[2])
{
	struct attempt *attempt = attempt_check(L, index);
	struct gate *gate = attempt->gate;

	memcpy(health, attempt->health, sizeof(attempt->health));
	memset(attempt->health, 0, sizeof(attempt->health));
	attempt->gate = NULL;
	attempt->request->script->process->attempt_count--;
	gate_watch(gate, NULL, NULL);
	attempt_free(attempt);
	return gate;
}

/* -- waiting ------------------------------------------------------------------------ */

static int push_failure(lua_State *L, struct attempt *attempt)
{
	if (gate_result(attempt->gate) == TRANSFER_OK) {
		/* libcurl takes a connection that closes inside of the head
		 * for an empty body. */
		lua_pushnil(L);
		lua_pushliteral(L, "reset");
		lua_pushliteral(L, "the connection closed inside of the answer's head");
		return 3;
	}
	lua_pushnil(L);
	lua_pushstring(L, transfer_result_name(gate_result(attempt->gate)));
	lua_pushstring(L, transfer_error(gate_transfer(attempt->gate)));
	return 3;
}

static int push_reason(lua_State *L, const char *reason)
{
	lua_pushnil(L);
	lua_pushstring(L, reason);
	return 2;
}

/* A type that is looked for in vain in most answers: the usual one comes first. */
static bool is_event_stream(const char *type)
{
	return type && strcmp(type, "application/json") != 0 &&
		strcasestr(type, "text/event-stream");
}

static int push_answer(lua_State *L, struct attempt *attempt)
{
	struct gate *gate = attempt->gate;
	const struct transfer *transfer = gate_transfer(gate);
	const char *type = transfer_header(transfer, "content-type");
	int status = transfer_status(transfer);
	bool is_ended = gate_is_ended(gate), is_whole = false;

	if (!status)
		return is_ended ? push_failure(L, attempt) : 0;
	if (status < 300 && !is_event_stream(type)) {
		if (is_ended && gate_result(gate) != TRANSFER_OK)
			return push_failure(L, attempt);
		if (!is_ended && !gate_is_full(gate))
			return 0;
		is_whole = true;
	}
	lua_pushinteger(L, status);
	lua_pushstring(L, type);
	if (!is_whole)
		return 2;
	lua_pushinteger(L, (lua_Integer)gate_size(gate));
	lua_pushboolean(L, is_ended);
	return is_ended && attempt->look
		? 4 + attempt_push_look(L, attempt, attempt->look)
		: 4;
}

static int push_event(lua_State *L, struct attempt *attempt)
{
	struct sse_event event;
	int rc = gate_event(attempt->gate, attempt->offset, &event);

	if (rc == 1) {
		if (event.data)
			lua_pushlstring(L, event.data, event.data_size);
		else
			lua_pushboolean(L, 0);
		lua_pushinteger(L, (lua_Integer)(attempt->offset + event.size));
		if (event.name)
			lua_pushlstring(L, event.name, event.name_size);
		else
			lua_pushnil(L);
		return 3;
	}
	if (rc == -EMSGSIZE)
		return push_reason(L, "full");
	if (rc == -ENODATA)
		return gate_result(attempt->gate) != TRANSFER_OK
			? push_failure(L, attempt)
			: push_reason(L, "end");
	return attempt->is_late ? push_reason(L, "late") : 0;
}

static int push_bytes(lua_State *L, struct attempt *attempt)
{
	bool is_ended = gate_is_ended(attempt->gate);
	size_t size = gate_size(attempt->gate);

	if (is_ended && gate_result(attempt->gate) != TRANSFER_OK)
		return push_failure(L, attempt);
	if (!is_ended && size < attempt->offset && !gate_is_full(attempt->gate) &&
		!attempt->is_late)
		return 0;
	lua_pushinteger(L, (lua_Integer)size);
	lua_pushboolean(L, is_ended);
	return 2;
}

/* Pushes what the wait gives and returns how much that is; 0: nothing yet. */
static int push_wanted(lua_State *L, struct attempt *attempt)
{
	switch (attempt->want) {
	case WANT_ANSWER:
		return push_answer(L, attempt);
	case WANT_EVENT:
		return push_event(L, attempt);
	case WANT_BYTES:
		return push_bytes(L, attempt);
	case WANT_NOTHING:
		break;
	}
	return 0;
}

static void wake(struct attempt *attempt)
{
	int count;

	if (attempt->want == WANT_NOTHING || !attempt->ticket)
		return;
	count = push_wanted(fiber_lua(attempt->fiber), attempt);
	if (!count)
		return;
	uint64_t ticket = attempt->ticket;

	attempt->want = WANT_NOTHING;
	attempt->ticket = 0;
	if (attempt->timer)
		evtimer_del(attempt->timer);
	fiber_resume(attempt->fiber, ticket, count); /* may free the attempt */
}

static void on_change(struct gate *gate, void *arg)
{
	struct attempt *attempt = arg;

	/* In flight means that the provider still works: not that we still read. */
	if (gate_is_ended(gate))
		stop_counting(attempt);
	wake(attempt);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct attempt *attempt = arg;

	(void)fd;
	(void)what;
	attempt->is_late = true;
	wake(attempt);
}

static void cancel_wait(void *arg)
{
	struct attempt *attempt = arg;

	attempt->want = WANT_NOTHING;
	attempt->ticket = 0;
	if (attempt->timer)
		evtimer_del(attempt->timer);
}

/* seconds_at: index of the argument that bounds the wait, or 0. */
static int wait_for(lua_State *L, struct attempt *attempt, enum want want, int seconds_at)
{
	double seconds = seconds_at ? luaL_optnumber(L, seconds_at, -1) : -1;
	int count;

	attempt->want = want;
	attempt->is_late = seconds == 0;
	count = push_wanted(L, attempt);
	if (count) {
		attempt->want = WANT_NOTHING;
		return count;
	}
	attempt->fiber = fiber_check(L);
	if (seconds > 0) {
		struct timeval after = api_timeval(seconds);

		if (!attempt->timer)
			attempt->timer = evtimer_new(attempt->request->script->base,
				on_timer, attempt);
		evtimer_add(attempt->timer, &after);
	}
	attempt->ticket = fiber_wait(L, cancel_wait, attempt);
	/* The arguments stay on the stack: a look is in use until the wait is over. */
	return lua_yield(L, lua_gettop(L));
}

/* -- methods ---------------------------------------------------------------------- */

/* answer(look?) -> status, content type | nil, held?, is_ended?, answer, … | nil, failure,
 * text. Waits: for the head; where the answer is no error and no stream, also for its end, or
 * until no more can be held. The look is read in one that has ended. */
static int l_answer(lua_State *L)
{
	struct attempt *attempt = attempt_check(L, 1);

	attempt->look = lua_isnoneornil(L, 2) ? NULL : look_check(L, 2);
	return wait_for(L, attempt, WANT_ANSWER, 0);
}

/* accept(started) -> seconds since that time: the answer is a good one, and its target took so
 * long to begin it */
static int l_accept(lua_State *L)
{
	struct attempt *attempt = attempt_check(L, 1);
	int64_t now_us = clock_us();
	double seconds = (double)now_us / 1e6 - luaL_checknumber(L, 2);

	if (attempt->target)
		health_latency(attempt->target, seconds * 1000, now_us / 1000);
	lua_pushnumber(L, seconds);
	return 1;
}

/* event(offset, seconds?) -> data | false, next offset, name | nil, "end" | "full" |
 * "late" | nil, failure, text. Waits. */
static int l_event(lua_State *L)
{
	struct attempt *attempt = attempt_check(L, 1);

	attempt->offset = (size_t)luaL_checkinteger(L, 2);
	luaL_argcheck(L, attempt->offset <= gate_size(attempt->gate), 2, "past the end");
	return wait_for(L, attempt, WANT_EVENT, 3);
}

/* bytes(count, seconds?) -> held, is_ended | nil, failure, text. Waits until so many are
 * held, the body has ended, the gate is full or the time is over. */
static int l_bytes(lua_State *L)
{
	struct attempt *attempt = attempt_check(L, 1);

	attempt->offset = (size_t)luaL_checknumber(L, 2);
	return wait_for(L, attempt, WANT_BYTES, 3);
}

/* header(name) -> value | nil */
static int l_header(lua_State *L)
{
	struct attempt *attempt = attempt_check(L, 1);

	lua_pushstring(L,
		transfer_header(gate_transfer(attempt->gate), luaL_checkstring(L, 2)));
	return 1;
}

/* headers() -> { name, value, name, value, … }, in the order they came */
static int l_headers(lua_State *L)
{
	struct transfer *transfer = gate_transfer(attempt_check(L, 1)->gate);
	size_t count = transfer_header_count(transfer);
	const char *name, *value;

	lua_createtable(L, (int)count * 2, 0);
	for (size_t i = 0; i < count; i++) {
		transfer_header_at(transfer, i, &name, &value);
		lua_pushstring(L, name);
		lua_rawseti(L, -2, (int)i * 2 + 1);
		lua_pushstring(L, value);
		lua_rawseti(L, -2, (int)i * 2 + 2);
	}
	return 1;
}

/* release(count): drops so many bytes from the front; offsets begin anew behind them */
static int l_release(lua_State *L)
{
	struct attempt *attempt = attempt_check(L, 1);
	size_t size = (size_t)luaL_checkinteger(L, 2);

	luaL_argcheck(L, size <= gate_size(attempt->gate), 2, "more than is held");
	gate_release(attempt->gate, size);
	attempt->marks = NULL;
	return 0;
}

/* deadline(seconds): the transfer must have ended by then; 0 takes it back */
static int l_deadline(lua_State *L)
{
	struct attempt *attempt = attempt_check(L, 1);

	gate_deadline(attempt->gate, api_ms(luaL_checknumber(L, 2)));
	return 0;
}

/* state() -> held, is_ended, failure | nil, text. Does not wait. */
static int l_state(lua_State *L)
{
	struct attempt *attempt = attempt_check(L, 1);
	bool is_ended = gate_is_ended(attempt->gate);

	lua_pushinteger(L, (lua_Integer)gate_size(attempt->gate));
	lua_pushboolean(L, is_ended);
	if (!is_ended || gate_result(attempt->gate) == TRANSFER_OK)
		return 2;
	lua_pushstring(L, transfer_result_name(gate_result(attempt->gate)));
	lua_pushstring(L, transfer_error(gate_transfer(attempt->gate)));
	return 4;
}

static int l_close(lua_State *L)
{
	struct attempt **box = api_check_type(L, 1, type_name);

	if (*box)
		close_gate(*box);
	return 0;
}

/* Lua has dropped the handle; the attempt lives on until its request ends. */
static int l_collect(lua_State *L)
{
	struct attempt **box = api_check_type(L, 1, type_name);

	if (*box)
		(*box)->box = NULL;
	*box = NULL;
	return 0;
}

/* -- start ------------------------------------------------------------------------ */

static struct attempt *attempt_new(lua_State *L, struct request *request)
{
	struct attempt **box = api_new_handle(L, sizeof(struct attempt *), type_name);
	struct attempt *attempt = xcalloc(1, sizeof(*attempt));

	attempt->request = request;
	attempt->box = box;
	list_append(&request->attempts, &attempt->link);
	*box = attempt;
	return attempt;
}

/* start(request, route, body | edits | nil) -> attempt. body: a text; edits:
 * see api_request.c. */
static int l_start_attempt(lua_State *L)
{
	struct request *request = request_check(L, 1);
	const struct route *route = route_check(L, 2);
	struct transfer_request out = route->request;
	struct attempt *attempt;

	lua_settop(L, 3);
	api_get_body(L, 3, request, &out);
	attempt = attempt_new(L, request);
	route_headers(route, request->exchange, &request->arena, &out);
	attempt->gate = gate_start(request->script->transfers, &out, on_change, attempt);
	request->script->process->attempt_count++;
	memcpy(attempt->health, route->health, sizeof(attempt->health));
	attempt->target = route->health[0];
	for (size_t i = 0; i < COUNT_OF(attempt->health); i++)
		if (attempt->health[i])
			health_begin(attempt->health[i]);
	if (route->first_event > 0)
		gate_deadline(attempt->gate, api_ms(route->first_event));
	return 1;
}

static const luaL_Reg methods[] = {
	{ "answer", l_answer },
	{ "accept", l_accept },
	{ "event", l_event },
	{ "bytes", l_bytes },
	{ "text", attempt_l_text },
	{ "look", attempt_l_look },
	{ "find", attempt_l_find },
	{ "measure", attempt_l_measure },
	{ "header", l_header },
	{ "headers", l_headers },
	{ "release", l_release },
	{ "deadline", l_deadline },
	{ "state", l_state },
	{ "close", l_close },
	{ NULL, NULL },
};

void attempt_register(lua_State *L)
{
	api_new_type(L, type_name, methods, l_collect);
	lua_pushcfunction(L, l_start_attempt);
	lua_setfield(L, -2, "start");
}
