/* The client's side for Lua: the handle of a request. */
#include <math.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/piece.h"
#include "http/spool.h"
#include "json/scan.h"
#include "json/splice.h"
#include "script/answer_fields.h"
#include "script/api.h"
#include "script/api_look.h"
#include "script/attempt.h"
#include "script/credential.h"
#include "script/filter.h"
#include "script/generation.h"
#include "script/kept_bodies.h"
#include "script/plan.h"
#include "script/request.h"
#include "script/route.h"
#include "script/said.h"
#include "storage/health.h"
#include "upstream/gate.h"
#include "upstream/relay.h"

#define EDITS_MAX 64

/* -- the request -------------------------------------------------------------------- */

/* line() -> method, path, query */
static int l_line(lua_State *L)
{
	struct exchange *exchange = request_check(L, 1)->exchange;

	lua_pushstring(L, exchange_method(exchange));
	lua_pushstring(L, exchange_path(exchange));
	lua_pushstring(L, exchange_query(exchange));
	return 3;
}

static int l_header(lua_State *L)
{
	struct request *request = request_check(L, 1);

	lua_pushstring(L, exchange_header(request->exchange, luaL_checkstring(L, 2)));
	return 1;
}

/* headers() -> { name, value, … } as they came */
static int l_headers(lua_State *L)
{
	struct request *request = request_check(L, 1);
	size_t count;
	const struct field *fields = exchange_fields(request->exchange, &count);

	lua_createtable(L, (int)count * 2, 0);
	for (size_t i = 0; i < count; i++) {
		lua_pushstring(L, fields[i].name);
		lua_rawseti(L, -2, (int)i * 2 + 1);
		lua_pushstring(L, fields[i].value);
		lua_rawseti(L, -2, (int)i * 2 + 2);
	}
	return 1;
}

/* peer() -> address, is_loopback */
static int l_peer(lua_State *L)
{
	struct exchange *exchange = request_check(L, 1)->exchange;

	lua_pushstring(L, exchange_peer(exchange));
	lua_pushboolean(L, exchange_is_peer_loopback(exchange));
	return 2;
}

/* token_digest() -> 32 bytes | nil: see credential.h */
static int l_token_digest(lua_State *L)
{
	struct request *request = request_check(L, 1);
	unsigned char digest[CREDENTIAL_DIGEST];

	if (!credential_read(request->exchange, digest))
		return 0;
	lua_pushlstring(L, (const char *)digest, sizeof(digest));
	return 1;
}

static void cancel_receive(void *arg)
{
	struct request *request = arg;

	request->receive_ticket = 0;
}

/* receive() -> size, kind | nil, status, message; waits until the body is complete, or can
 * never be */
static int l_receive(lua_State *L)
{
	struct request *request = request_check(L, 1);

	if (request->is_received || request->fault_status)
		return api_body_push_received(L, request);
	fiber_check(L);
	if (!request->is_receiving) {
		request->is_receiving = true;
		arrival_await_client(request, clock_us());
		exchange_receive(request->exchange);
	}
	request->receive_ticket = fiber_wait(L, cancel_receive, request);
	return lua_yield(L, 0);
}

static struct spool *get_spool(const struct request *request)
{
	return exchange_body(request->exchange);
}

/* size() -> bytes of the body */
static int l_size(lua_State *L)
{
	struct spool *spool = get_spool(request_check(L, 1));

	lua_pushnumber(L, spool ? (lua_Number)spool_size(spool) : 0);
	return 1;
}

/* body(most) -> the whole text, or nil where it is longer than most or lies in a file */
static int l_body(lua_State *L)
{
	struct request *request = request_check(L, 1);
	double most = luaL_checknumber(L, 2);
	struct spool *spool = get_spool(request);

	if (!spool || !spool_memory(spool) || (double)spool_size(spool) > most)
		return 0;
	lua_pushlstring(L, spool_memory(spool), (size_t)spool_size(spool));
	return 1;
}

static int l_on_disconnect(lua_State *L)
{
	static const char *const names[] = { "cancel", "drain", "detach", NULL };
	struct request *request = request_check(L, 1);

	request->leave = (enum leave)luaL_checkoption(L, 2, "cancel", names);
	return 0;
}

/* set_record(record): what the request's end, by whatever way, will be told with */
static int l_set_record(lua_State *L)
{
	request_set_record(L, 1, 2);
	return 0;
}

static int l_record(lua_State *L)
{
	struct request *request = request_check(L, 1);

	if (!request->has_record)
		return 0;
	lua_getfenv(L, 1);
	return 1;
}

/* running_record() -> the record of the request whose fiber runs | nil. A leg of a race is a
 * fiber of its own, and no request's. */
static int l_running_record(lua_State *L)
{
	struct request *request = request_of(L);

	if (!request)
		return 0;
	request_push_record(L, request);
	return 1;
}

/* -- the answer ------------------------------------------------------------------- */

static struct request *check_unanswered(lua_State *L)
{
	struct request *request = request_check(L, 1);

	if (request->answer_status)
		luaL_error(L, "the request is answered already");
	return request;
}

/* reply(status, fields, body) */
static int l_reply(lua_State *L)
{
	struct request *request = check_unanswered(L);
	int status = (int)luaL_checkinteger(L, 2);
	size_t count, size;
	const char *body = luaL_checklstring(L, 4, &size);
	struct field *fields = answer_fields(L, 3, request, &count);

	request->answer_status = status;
	request->is_ended = true;
	exchange_reply(request->exchange, status, fields, count, body, size);
	return 0;
}

/* reply_held(attempt, status, filter, conversation, provider, attempts, more) -> as
 * elapsed(): the attempt's body, which has ended, as the whole answer; the attempt is
 * closed */
static int l_reply_held(lua_State *L)
{
	struct request *request = check_unanswered(L);
	struct gate *gate = attempt_gate(L, 2);
	int status = (int)luaL_checkinteger(L, AT_STATUS);
	size_t count;
	struct field *fields = answer_passed_fields(L, request, gate_transfer(gate),
		&count);

	luaL_argcheck(L, gate_is_ended(gate), 2, "its body has not ended");
	request->answer_status = status;
	request->is_ended = true;
	exchange_reply(request->exchange, status, fields, count, gate_data(gate),
		gate_size(gate));
	attempt_end(L, 2);
	return arrival_push_elapsed(L, request);
}

/* start(status, fields, length): length -1 where it is not known */
static int l_start(lua_State *L)
{
	struct request *request = check_unanswered(L);
	int status = (int)luaL_checkinteger(L, 2);
	int64_t length = (int64_t)luaL_optnumber(L, 4, -1);
	size_t count;
	struct field *fields = answer_fields(L, 3, request, &count);

	request->answer_status = status;
	exchange_start(request->exchange, status, fields, count, length);
	return 0;
}

static struct sink *check_sink(lua_State *L, struct request *request)
{
	if (!request->answer_status || request->is_ended)
		luaL_error(L, "there is no answer to write to");
	return exchange_sink(request->exchange);
}

static void on_drained(void *arg)
{
	struct request *request = arg;
	uint64_t ticket = request->write_ticket;

	request->write_ticket = 0;
	if (ticket)
		fiber_resume(request->fiber, ticket, 0);
}

static void cancel_write(void *arg)
{
	struct request *request = arg;

	request->write_ticket = 0;
	if (!request->is_ended && !request->is_gone) {
		struct sink *sink = exchange_sink(request->exchange);

		sink->ops->when_drained(sink, NULL, NULL);
	}
}

/* write(text). Waits while the client reads too slowly. */
static int l_write(lua_State *L)
{
	struct request *request = request_check(L, 1);
	struct sink *sink = check_sink(L, request);
	size_t size;
	const char *text = luaL_checklstring(L, 2, &size);

	fiber_check(L);
	if (sink->ops->write(sink, text, size) < SINK_HIGH || request->is_gone)
		return 0;
	sink->ops->when_drained(sink, on_drained, request);
	request->write_ticket = fiber_wait(L, cancel_write, request);
	return lua_yield(L, 0);
}

static int l_finish(lua_State *L)
{
	struct request *request = request_check(L, 1);
	struct sink *sink = check_sink(L, request);

	request->is_ended = true;
	sink->ops->end(sink);
	return 0;
}

static int l_cut(lua_State *L)
{
	struct request *request = request_check(L, 1);
	struct sink *sink = check_sink(L, request);

	request->is_ended = true;
	sink->ops->cut(sink);
	return 0;
}

/* relay(attempt, status, filter, conversation, provider, attempts, more, length, plan): the last
 * thing that the fiber does */
static int l_relay(lua_State *L)
{
	struct request *request = check_unanswered(L);
	int status = (int)luaL_checkinteger(L, AT_STATUS);
	int64_t length = (int64_t)luaL_optnumber(L, AT_LENGTH, -1);
	struct plan *plan = plan_check(L, AT_PLAN);
	size_t count;
	struct field *fields = answer_passed_fields(L, request,
		gate_transfer(attempt_gate(L, 2)), &count);
	struct gate *gate = attempt_take(L, 2, request->relay_health);

	request->answer_status = status;
	if (plan)
		plan_ref(plan);
	request->plan = plan;
	exchange_start(request->exchange, status, fields, count, length);
	request_relay(request,
		relay_start(gate, exchange_sink(request->exchange), plan_relay(plan),
			request_on_relay_end, request));
	return 0;
}

/* -- bodies for attempts ---------------------------------------------------------- */

/* edits: { name, raw text or false, … } */
static void splice_body(lua_State *L, int index, struct request *request,
	struct transfer_request *out)
{
	struct splice_edit edits[EDITS_MAX];
	struct spool *spool = get_spool(request);
	struct piece *pieces;
	size_t count = lua_objlen(L, index) / 2;
	struct err err;

	luaL_argcheck(L, count <= EDITS_MAX, index, "too many edits");
	luaL_checkstack(L, (int)count * 2, "too many edits");
	for (size_t i = 0; i < count; i++) {
		edits[i] = (struct splice_edit) { 0 };
		lua_rawgeti(L, index, (int)i * 2 + 1);
		edits[i].name = luaL_checkstring(L, -1);
		lua_rawgeti(L, index, (int)i * 2 + 2);
		if (lua_toboolean(L, -1))
			edits[i].value = luaL_checklstring(L, -1, &edits[i].value_size);
	}
	if (splice(&pieces, &out->piece_count, &request->arena, request->scan,
		    spool_memory(spool), spool_source(spool), spool_size(spool), edits,
		    count, &err) != 0)
		luaL_error(L, "%s", err.text);
	lua_pop(L, (int)count * 2);
	out->pieces = pieces;
}

void api_get_body(lua_State *L, int index, struct request *request,
	struct transfer_request *out)
{
	struct piece *piece;
	size_t size;

	if (lua_type(L, index) == LUA_TSTRING) {
		/* The pieces must outlive the state: a relay may still be sending
		 * them. */
		piece = arena_calloc(&request->arena, sizeof(*piece));
		piece->data = lua_tolstring(L, index, &size);
		piece->data = arena_strdup(&request->arena, piece->data, size);
		piece->size = size;
		out->pieces = piece;
		out->piece_count = 1;
	} else if (lua_istable(L, index)) {
		if (!request->scan || !get_spool(request))
			luaL_error(L, "the request has no body to send on");
		splice_body(L, index, request, out);
	}
}

static const luaL_Reg methods[] = {
	{ "line", l_line },
	{ "arrive", arrival_l_arrive },
	{ "id", arrival_l_id },
	{ "uuid", arrival_l_uuid },
	{ "elapsed", arrival_l_elapsed },
	{ "header", l_header },
	{ "headers", l_headers },
	{ "peer", l_peer },
	{ "token_digest", l_token_digest },
	{ "receive", l_receive },
	{ "size", l_size },
	{ "body", l_body },
	{ "member", api_body_member },
	{ "look", api_body_look },
	{ "guess", api_body_guess },
	{ "kind", api_body_kind },
	{ "on_disconnect", l_on_disconnect },
	{ "set_record", l_set_record },
	{ "record", l_record },
	{ "keep_bodies", kept_bodies_l_keep },
	{ "reply", l_reply },
	{ "reply_held", l_reply_held },
	{ "start", l_start },
	{ "write", l_write },
	{ "finish", l_finish },
	{ "cut", l_cut },
	{ "relay", l_relay },
	{ NULL, NULL },
};

void api_request_register(lua_State *L)
{
	api_new_type(L, request_type_name, methods, NULL);
	/* host.request: for who calls a method of each request without looking it up. */
	luaL_getmetatable(L, request_type_name);
	lua_getfield(L, -1, "__index");
	lua_setfield(L, -3, "request");
	lua_pop(L, 1);
	lua_pushcfunction(L, l_running_record);
	lua_setfield(L, -2, "running_record");
	plan_register(L);
	look_register(L);
	said_register(L);
	route_register(L);
	filter_register(L);
}
