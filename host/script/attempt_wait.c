/* attempt_wait.c - what a script waits for in an attempt: an answer, its next event, so many
 * bytes of it. */
#include <errno.h>
#include <string.h>

#include <event2/event.h>
#include <lauxlib.h>

#include "base/clock.h"
#include "script/api.h"
#include "script/api_look.h"
#include "script/attempt_inside.h"
#include "script/request.h"
#include "upstream/gate.h"

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

/* came_us: what it was for is here; or nobody waits any more. */
static void end_wait(struct attempt *attempt, int64_t came_us)
{
	attempt->want = WANT_NOTHING;
	attempt->ticket = 0;
	if (attempt->timer)
		evtimer_del(attempt->timer);
	arrival_provider_came(attempt->request, came_us);
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

	end_wait(attempt, attempt->changed_us);
	fiber_resume(attempt->fiber, ticket, count); /* may free the attempt */
}

void attempt_on_change(struct gate *gate, void *arg)
{
	struct attempt *attempt = arg;

	attempt->changed_us = clock_us();
	/* In flight means that the provider still works: not that we still read. */
	if (gate_is_ended(gate))
		attempt_stop_counting(attempt);
	if (attempt->want != WANT_NOTHING)
		turn_run(attempt->request->script->turn, TURN_ANSWERS, &attempt->wake);
}

void attempt_run_wake(struct turn_task *task)
{
	wake(CONTAINER_OF(task, struct attempt, wake));
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct attempt *attempt = arg;

	(void)fd;
	(void)what;
	attempt->is_late = true;
	attempt->changed_us = clock_us();
	wake(attempt);
}

static void cancel_wait(void *arg)
{
	end_wait(arg, clock_us());
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
	arrival_await_provider(attempt->request);
	/* The arguments stay on the stack: a look is in use until the wait is over. */
	return lua_yield(L, lua_gettop(L));
}

/* -- methods ---------------------------------------------------------------------- */

/* answer(look?) -> status, content type | nil, held?, is_ended?, answer, … | nil, failure,
 * text. Waits: for the head; where the answer is no error and no stream, also for its end, or
 * until no more can be held. The look is read in one that has ended. */
int attempt_l_answer(lua_State *L)
{
	struct attempt *attempt = attempt_check(L, 1);

	attempt->look = lua_isnoneornil(L, 2) ? NULL : look_check(L, 2);
	return wait_for(L, attempt, WANT_ANSWER, 0);
}

/* event(offset, seconds?) -> data | false, next offset, name | nil, "end" | "full" |
 * "late" | nil, failure, text. Waits. */
int attempt_l_event(lua_State *L)
{
	struct attempt *attempt = attempt_check(L, 1);

	attempt->offset = (size_t)luaL_checkinteger(L, 2);
	luaL_argcheck(L, attempt->offset <= gate_size(attempt->gate), 2, "past the end");
	return wait_for(L, attempt, WANT_EVENT, 3);
}

/* bytes(count, seconds?) -> held, is_ended | nil, failure, text. Waits until so many are
 * held, the body has ended, the gate is full or the time is over. */
int attempt_l_bytes(lua_State *L)
{
	struct attempt *attempt = attempt_check(L, 1);

	attempt->offset = (size_t)luaL_checknumber(L, 2);
	return wait_for(L, attempt, WANT_BYTES, 3);
}
