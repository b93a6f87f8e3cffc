#include <stdlib.h>
#include <string.h>

#include <event2/event.h>
#include <lauxlib.h>

#include "script/api.h"
#include "script/attempt_inside.h"
#include "script/process.h"
#include "script/request.h"
#include "script/route.h"
#include "storage/health.h"
#include "upstream/gate.h"

static const char type_name[] = "neap.attempt";

/* What Lua has: an attempt, as long as it has this number. The memory of one that has
 * ended waits for the next, so that it can be asked for its number, and nothing has to be
 * done when Lua drops a handle. */
struct handle {
	struct attempt *attempt;
	uint64_t number;
};

/* -- ends ------------------------------------------------------------------------- */

void attempt_stop_counting(struct attempt *attempt)
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
	attempt_stop_counting(attempt);
}

static void put_away(struct attempt *attempt)
{
	close_gate(attempt);
	if (attempt->timer)
		event_free(attempt->timer);
	attempt->number = 0;
	turn_cancel(&attempt->wake);
	list_remove(&attempt->link);
	list_append(&attempt->request->script->spare_attempts, &attempt->link);
}

void attempts_free_spare(struct script *script)
{
	while (!list_is_empty(&script->spare_attempts)) {
		struct list *at = script->spare_attempts.next;

		/* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): list_remove() unlinks it */
		list_remove(at);
		free(CONTAINER_OF(at, struct attempt, link));
	}
}

void attempts_close(struct request *request)
{
	while (!list_is_empty(&request->attempts))
		put_away(CONTAINER_OF(request->attempts.next, struct attempt, link));
}

size_t attempts_held(const struct request *request)
{
	size_t size = 0;

	for (const struct list *at = request->attempts.next; at != &request->attempts;
		at = at->next) {
		const struct gate *gate = CONTAINER_OF(at, struct attempt, link)->gate;

		size += gate ? gate_size(gate) : 0;
	}
	return size;
}

bool attempts_are_open(const struct request *request)
{
	const struct list *at = request->attempts.next;

	while (at != &request->attempts && !CONTAINER_OF(at, struct attempt, link)->gate)
		at = at->next;
	return at != &request->attempts;
}

/* The attempt at index, or NULL once it has ended. */
static struct attempt *attempt_at(lua_State *L, int index)
{
	const struct handle *handle = api_check_type(L, index, type_name);

	return handle->attempt->number == handle->number ? handle->attempt : NULL;
}

struct attempt *attempt_check(lua_State *L, int index)
{
	struct attempt *attempt = attempt_at(L, index);

	if (!attempt || !attempt->gate)
		luaL_error(L, "the attempt is closed");
	return attempt;
}

struct gate *attempt_gate(lua_State *L, int index)
{
	return attempt_check(L, index)->gate;
}

void attempt_end(lua_State *L, int index)
{
	put_away(attempt_check(L, index));
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
	put_away(attempt);
	return gate;
}

/* -- methods ---------------------------------------------------------------------- */

/* accept(started) -> seconds since that time: the answer is a good one, and its target took so
 * long to begin it */
static int l_accept(lua_State *L)
{
	struct attempt *attempt = attempt_check(L, 1);
	double seconds = (double)attempt->changed_us / 1e6 - luaL_checknumber(L, 2);

	if (attempt->target)
		health_latency(attempt->target, seconds * 1000,
			attempt->changed_us / 1000);
	lua_pushnumber(L, seconds);
	return 1;
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
	struct attempt *attempt = attempt_at(L, 1);

	if (attempt)
		close_gate(attempt);
	return 0;
}

/* -- start ------------------------------------------------------------------------ */

/* All zero. */
static struct attempt *take_spare(struct script *script)
{
	struct list *last = script->spare_attempts.previous;
	struct attempt *attempt;

	if (list_is_empty(&script->spare_attempts))
		return xcalloc(1, sizeof(*attempt));
	attempt = CONTAINER_OF(last, struct attempt, link);
	list_remove(last);
	*attempt = (struct attempt) { 0 };
	return attempt;
}

static struct attempt *attempt_new(lua_State *L, struct request *request)
{
	struct handle *handle = api_new_handle(L, sizeof(*handle), type_name);
	struct script *script = request->script;
	struct attempt *attempt = take_spare(script);

	attempt->request = request;
	attempt->number = ++script->last_attempt;
	turn_task_init(&attempt->wake, attempt_run_wake);
	list_append(&request->attempts, &attempt->link);
	*handle = (struct handle) { attempt, attempt->number };
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
	attempt->gate = gate_start(request->script->transfers, &out, attempt_on_change,
		attempt);
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
	{ "answer", attempt_l_answer },
	{ "accept", l_accept },
	{ "event", attempt_l_event },
	{ "bytes", attempt_l_bytes },
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
	api_new_type(L, type_name, methods, NULL);
	/* host.attempt: as host.request. */
	luaL_getmetatable(L, type_name);
	lua_getfield(L, -1, "__index");
	lua_setfield(L, -3, "attempt");
	lua_pop(L, 1);
	lua_pushcfunction(L, l_start_attempt);
	lua_setfield(L, -2, "start");
}
