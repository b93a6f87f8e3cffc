/* The way of an answer without Lua: relays, and records that outlive their generation. */
#include <stdlib.h>

#include <lauxlib.h>

#include "base/log.h"
#include "json/scan.h"
#include "script/attempt.h"
#include "script/generation.h"
#include "script/plan.h"
#include "script/request_inside.h"
#include "upstream/relay.h"

void request_relay(struct request *request, struct relay *relay)
{
	request->relay = relay;
	/* Nothing is sent again: what was known of the body can go. */
	scan_free(request->scan);
	request->scan = NULL;
	if (!attempts_are_open(request) && relay_is_free_of_pieces(relay))
		arena_clear(&request->arena);
	if (request->is_gone)
		relay_drain(relay,
			request->leave == LEAVE_DRAIN ? LEAVE_DRAIN_MS : LEAVE_DETACH_MS);
}

void request_let_go(struct request *request)
{
	struct state *state = generation_state(request->generation);
	lua_State *L = state_lua(state);
	struct err err;

	if (request->has_record) {
		generation_push(request->generation, CALL_PACK);
		request_push_record(L, request);
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
	request_drop_generation(request);
}

static void set_number(lua_State *L, const char *name, uint64_t number)
{
	lua_pushnumber(L, (lua_Number)number);
	lua_setfield(L, -2, name);
}

static void push_result(lua_State *L, const struct request *request,
	const struct relay_result *result)
{
	static const char *const outcomes[] = { "ok", "failed", "truncated" };

	lua_createtable(L, 0, 16);
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
	set_number(L, "size", result->size);
	set_number(L, "events", result->events);
	set_number(L, "event_bytes", result->event_bytes);
	if (result->tail) {
		lua_pushlstring(L, result->tail, result->tail_size);
		lua_setfield(L, -2, "tail");
	}
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
	request_end_health(request);
	if (is_packed) {
		request->generation = request->script->current;
		generation_ref(request->generation);
	}
	L = state_lua(generation_state(request->generation));
	request_push_call(request, is_packed ? CALL_FINISH_PACKED : CALL_FINISH);
	if (is_packed)
		lua_pushlstring(L, request->record_text ? request->record_text : "",
			request->record_size);
	else
		request_push_record(L, request);
	push_result(L, request, result);
	relay_close(cancelled);
	request_run(request, 3);
}
