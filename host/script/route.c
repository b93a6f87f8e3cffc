#include "script/route.h"

#include <stdlib.h>
#include <string.h>

#include <lauxlib.h>

#include "base/arena.h"
#include "http/exchange.h"
#include "script/api.h"
#include "upstream/outline.h"

static const char type_name[] = "neap.route";
#define HEADERS_MAX 200

const struct route *route_check(lua_State *L, int index)
{
	return api_check_type(L, index, type_name);
}

/* -- making ----------------------------------------------------------------------- */

static const char *get_text(lua_State *L, const char *name, struct arena *arena)
{
	const char *text;
	size_t size;

	lua_getfield(L, 1, name);
	text = lua_tolstring(L, -1, &size);
	text = text ? arena_strdup(arena, text, size) : NULL;
	lua_pop(L, 1);
	return text;
}

static int get_ms(lua_State *L, const char *name)
{
	double seconds;

	lua_getfield(L, 1, name);
	seconds = lua_tonumber(L, -1);
	lua_pop(L, 1);
	return api_ms(seconds);
}

/* The list of texts at field name, ended by NULL. */
static const char **get_list(lua_State *L, const char *name, struct arena *arena,
	size_t *count)
{
	const char **list;

	lua_getfield(L, 1, name);
	luaL_checktype(L, -1, LUA_TTABLE);
	*count = lua_objlen(L, -1);
	luaL_argcheck(L, *count <= HEADERS_MAX, 1, "too many headers");
	list = arena_alloc(arena, (*count + 1) * sizeof(*list));
	for (size_t i = 0; i < *count; i++) {
		const char *text;
		size_t size;

		lua_rawgeti(L, -1, (int)i + 1);
		text = luaL_checklstring(L, -1, &size);
		if (strlen(text) != size || strpbrk(text, "\r\n"))
			luaL_error(L, "a header holds a line end or a NUL");
		list[i] = arena_strdup(arena, text, size);
		lua_pop(L, 1);
	}
	list[*count] = NULL;
	lua_pop(L, 1);
	return list;
}

static void get_health(lua_State *L, struct route *route)
{
	lua_getfield(L, 1, "health");
	for (int i = 0; i < 2 && lua_istable(L, -1); i++) {
		lua_rawgeti(L, -1, i + 1);
		if (!lua_isnil(L, -1))
			route->health[i] = api_check_health(L, -1);
		lua_pop(L, 1);
	}
	lua_pop(L, 1);
}

/* route { url, method?, headers, forward, connect?, first_byte?, first_event?, idle?,
 * total?, proxy?, private, health? } -> handle. Times in seconds. */
static int l_route(lua_State *L)
{
	struct route *route;
	size_t count;

	luaL_checktype(L, 1, LUA_TTABLE);
	lua_settop(L, 1);
	route = api_new_handle(L, sizeof(*route), type_name);
	route->arena = xcalloc(1, sizeof(*route->arena));
	route->request.url = get_text(L, "url", route->arena);
	luaL_argcheck(L, route->request.url != NULL, 1, "no url");
	route->request.method = get_text(L, "method", route->arena);
	if (!route->request.method)
		route->request.method = "POST";
	route->request.proxy = get_text(L, "proxy", route->arena);
	route->request.headers = get_list(L, "headers", route->arena, &count);
	route->request.header_count = count;
	route->forward = get_list(L, "forward", route->arena, &count);
	route->request.timeouts = (struct transfer_timeouts) {
		.connect = get_ms(L, "connect"),
		.first_byte = get_ms(L, "first_byte"),
		.idle = get_ms(L, "idle"),
		.total = get_ms(L, "total"),
	};
	lua_getfield(L, 1, "first_event");
	route->first_event = lua_tonumber(L, -1);
	lua_getfield(L, 1, "stream");
	route->request.is_streamed = lua_toboolean(L, -1);
	lua_pop(L, 1);
	lua_getfield(L, 1, "private");
	route->request.is_private_allowed = lua_toboolean(L, -1);
	lua_pop(L, 2);
	get_health(L, route);
	route->request.outline = arena_alloc(route->arena, sizeof(struct outline));
	outline_init(route->request.outline, &route->request);
	return 1;
}

static int l_collect(lua_State *L)
{
	struct route *route = api_check_type(L, 1, type_name);

	if (route->request.outline)
		outline_clear(route->request.outline);
	route->request.outline = NULL;
	if (route->arena) {
		arena_clear(route->arena);
		free(route->arena);
		route->arena = NULL;
	}
	return 0;
}

void route_register(lua_State *L)
{
	api_new_type(L, type_name, NULL, l_collect);
	lua_pushcfunction(L, l_route);
	lua_setfield(L, -2, "route");
}

/* -- using ------------------------------------------------------------------------ */

/* "name: value", without printf: each request has some. */
static const char *join(struct arena *arena, const char *name, const char *value)
{
	size_t name_size = strlen(name), value_size = strlen(value);
	char *text = arena_alloc(arena, name_size + value_size + 3);

	memcpy(text, name, name_size);
	memcpy(text + name_size, ": ", 2);
	memcpy(text + name_size + 2, value, value_size + 1);
	return text;
}

void route_headers(const struct route *route, const struct exchange *exchange,
	struct arena *arena, struct transfer_request *out)
{
	size_t count = 0, field_count;
	const char **headers;

	exchange_fields(exchange, &field_count);
	headers = arena_alloc(arena, (field_count + 1) * sizeof(*headers));
	for (const char **name = route->forward; *name; name++) {
		const char *value = exchange_header(exchange, *name);
		bool is_type = strcmp(*name, "content-type") == 0;
		size_t place = 0;

		if (is_type)
			headers[count++] = value ? join(arena, *name, value)
						 : "content-type: application/json";
		else if (value) /* a list may be told in several fields */
			while ((value = exchange_next_header(exchange, *name, &place)))
				headers[count++] = join(arena, *name, value);
	}
	out->own_headers = headers;
	out->own_header_count = count;
}
