#include "script/arrival.h"

#include <string.h>

#include "base/clock.h"
#include "http/exchange.h"
#include "script/api.h"
#include "script/generation.h"
#include "script/process.h"
#include "script/record_read.h"
#include "script/request.h"

#define REQUEST_ID_MAX 128 /* bytes of a client's X-Request-Id */

/* A client's X-Request-Id that may stand in a log and a header as it is. */
static bool is_sound_id(const char *id)
{
	static const char letters[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
		"0123456789-_.:";
	size_t size = id ? strlen(id) : 0;

	return size > 0 && size <= REQUEST_ID_MAX && strspn(id, letters) == size;
}

void arrival_begin(struct request *request)
{
	struct arrival *arrival = &request->arrival;
	const char *given = exchange_header(request->exchange, "x-request-id");

	if (arrival->request_id)
		return;
	arrival->start_us = clock_us();
	own_time_start(&arrival->own, arrival->start_us);
	arrival->own_routing_us = -1;
	arrival->wall_us = clock_wall_us();
	arrival->generation = generation_id(request->generation);
	api_make_id(arrival->id, arrival->wall_us);
	record_id_write(arrival->id, arrival->uuid);
	arrival->request_id = is_sound_id(given) ? given : arrival->uuid;
}

/* arrive(record) -> method, path */
int arrival_l_arrive(lua_State *L)
{
	struct request *request = request_check(L, 1);
	struct exchange *exchange = request->exchange;

	request_set_record(L, 1, 2);
	arrival_begin(request);
	request->arrival.is_routed = true;
	lua_pushstring(L, exchange_method(exchange));
	lua_pushstring(L, exchange_path(exchange));
	return 2;
}

/* id() -> text */
int arrival_l_id(lua_State *L)
{
	lua_pushstring(L, request_check(L, 1)->arrival.request_id);
	return 1;
}

/* uuid() -> text */
int arrival_l_uuid(lua_State *L)
{
	lua_pushstring(L, request_check(L, 1)->arrival.uuid);
	return 1;
}

int arrival_push_elapsed(lua_State *L, const struct request *request)
{
	lua_pushnumber(L, (double)(clock_us() - request->arrival.start_us) / 1e6);
	lua_pushboolean(L, request->is_gone);
	return 2;
}

/* elapsed() -> seconds, is_gone */
int arrival_l_elapsed(lua_State *L)
{
	return arrival_push_elapsed(L, request_check(L, 1));
}

/* -- neap's own time --------------------------------------------------------------- */

void arrival_await_client(struct request *request, int64_t now_us)
{
	request->arrival.is_client_awaited = true;
	own_time_stop(&request->arrival.own, now_us);
}

void arrival_client_came(struct request *request)
{
	if (!request->arrival.is_client_awaited)
		return;
	request->arrival.is_client_awaited = false;
	own_time_go_on(&request->arrival.own, clock_us());
}

void arrival_await_provider(struct request *request)
{
	struct arrival *arrival = &request->arrival;

	own_time_stop(&arrival->own, clock_us());
	if (arrival->own_routing_us < 0)
		arrival->own_routing_us = arrival->own.sum_us;
}

void arrival_provider_came(struct request *request, int64_t came_us)
{
	own_time_go_on(&request->arrival.own, came_us);
}

void arrival_write_overhead(struct request *request, char room[OVERHEAD_ROOM])
{
	const struct arrival *arrival = &request->arrival;
	struct process *process = request->script->process;
	uint64_t us = (uint64_t)own_time_us(&arrival->own, clock_us());
	size_t size = number_write(room, us / 1000);

	room[size] = '.';
	for (unsigned place = 3, rest = (unsigned)(us % 1000); place > 0; place--) {
		room[size + place] = (char)('0' + rest % 10);
		rest /= 10;
	}
	room[size + 4] = '\0';
	if (arrival->own_routing_us < 0)
		return;
	process->overhead_count++;
	process->overhead_routing_us += (uint64_t)arrival->own_routing_us;
	process->overhead_us += us;
}

static struct bytes text_of(const char *text)
{
	return (struct bytes) { text, text ? strlen(text) : 0 };
}

void arrival_tell(const struct request *request, struct record_reading *reading)
{
	const struct arrival *arrival = &request->arrival;
	struct record *record = &reading->record;

	memcpy(record->id, arrival->id, sizeof(record->id));
	record->start_us = arrival->wall_us;
	record->request_id = text_of(arrival->request_id);
	record->client = text_of(exchange_peer(request->exchange));
	record->generation = arrival->generation;
	record->bytes_in = arrival->body_size;
	reading->path = text_of(exchange_path(request->exchange));
}
