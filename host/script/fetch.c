/* host.fetch: one bounded HTTP request of neap's own, that a fiber waits for.
 *
 * It serves checks of keys, balances and lists of models: small answers, held whole. It
 * follows no redirect, keeps no cookie, and knows no provider. What it was given (URL,
 * headers, proxy, body) never stands in a message. */
#include <stdlib.h>
#include <string.h>

#include <lauxlib.h>

#include "base/arena.h"
#include "base/buf.h"
#include "script/api.h"
#include "script/fiber.h"
#include "script/script.h"
#include "upstream/transfer.h"

#define HEADERS_MAX 100
#define URL_MAX 8192
#define METHOD_MAX 16
#define TIMEOUT_DEFAULT 15.0 /* seconds, for all of it */
#define TIMEOUT_MAX 600.0
#define CONNECT_SECONDS 5.0
#define SIZE_DEFAULT (1024 * 1024) /* bytes of an answer's body, decoded */
#define SIZE_MAX_LARGEST (16 * 1024 * 1024)

struct fetch {
	struct transfer *transfer;
	struct fiber *fiber;
	uint64_t ticket;
	struct arena arena; /* what the transfer only borrows */
	struct piece body;
	struct buf answer;
	size_t size_max;
	bool is_too_large;
};

/* -- the end ---------------------------------------------------------------------- */

static void free_fetch(struct fetch *fetch)
{
	transfer_close(fetch->transfer);
	buf_clear(&fetch->answer);
	arena_clear(&fetch->arena);
	free(fetch);
}

static void cancel_fetch(void *arg)
{
	free_fetch(arg);
}

/* By name in lower case; of fields with one name the first counts. */
static void push_headers(lua_State *L, const struct transfer *transfer)
{
	size_t count = transfer_header_count(transfer);
	const char *name, *value;
	luaL_Buffer lower;

	lua_createtable(L, 0, (int)count);
	for (size_t i = count; i-- > 0;) {
		transfer_header_at(transfer, i, &name, &value);
		luaL_buffinit(L, &lower);
		for (; *name; name++)
			luaL_addchar(&lower,
				*name >= 'A' && *name <= 'Z' ? (char)(*name + 32)
							     : *name);
		luaL_pushresult(&lower);
		lua_pushstring(L, value);
		lua_rawset(L, -3);
	}
}

static int push_answer(lua_State *L, const struct fetch *fetch)
{
	size_t size = buf_size(&fetch->answer);

	lua_pushinteger(L, transfer_status(fetch->transfer));
	push_headers(L, fetch->transfer);
	lua_pushlstring(L, size ? buf_data(&fetch->answer) : "", size);
	return 3;
}

static int push_failure(lua_State *L, const struct fetch *fetch,
	enum transfer_result result)
{
	lua_pushnil(L);
	lua_pushstring(L, transfer_result_name(result));
	if (fetch->is_too_large)
		lua_pushfstring(L, "the answer is larger than %d bytes",
			(int)fetch->size_max);
	else
		lua_pushstring(L, transfer_error(fetch->transfer));
	return 3;
}

static void conclude(struct fetch *fetch, enum transfer_result result)
{
	struct fiber *fiber = fetch->fiber;
	uint64_t ticket = fetch->ticket;
	lua_State *L = fiber_lua(fiber);
	int count;

	lua_checkstack(L, 8);
	count = result == TRANSFER_OK ? push_answer(L, fetch)
				      : push_failure(L, fetch, result);
	free_fetch(fetch);
	fiber_resume(fiber, ticket, count);
}

static void on_data(struct transfer *transfer, const char *data, size_t size, void *arg)
{
	struct fetch *fetch = arg;

	(void)transfer;
	if (size <= fetch->size_max - buf_size(&fetch->answer)) {
		buf_append(&fetch->answer, data, size);
		return;
	}
	fetch->is_too_large = true;
	conclude(fetch, TRANSFER_PROTOCOL);
}

static void on_end(struct transfer *transfer, enum transfer_result result, void *arg)
{
	(void)transfer;
	conclude(arg, result);
}

static const struct transfer_handler handler = {
	.on_data = on_data,
	.on_end = on_end,
};

/* -- the start -------------------------------------------------------------------- */

/* The text at field name, as the table holds it, or NULL where there is none. */
static const char *get_text(lua_State *L, const char *name, size_t *size)
{
	const char *text = NULL;

	lua_getfield(L, 1, name);
	if (!lua_isnil(L, -1)) {
		/* A number would become a text that nothing keeps. */
		if (lua_type(L, -1) != LUA_TSTRING)
			luaL_error(L, "fetch: %s is no text", name);
		text = lua_tolstring(L, -1, size);
	}
	lua_pop(L, 1);
	return text;
}

/* The same without line ends and NULs. */
static const char *get_line(lua_State *L, const char *name, size_t size_max)
{
	size_t size = 0;
	const char *text = get_text(L, name, &size);

	if (text && (strlen(text) != size || strpbrk(text, "\r\n")))
		luaL_error(L, "fetch: %s holds a line end or a NUL", name);
	if (size > size_max)
		luaL_error(L, "fetch: %s is too long", name);
	return text;
}

static double get_number(lua_State *L, const char *name, double otherwise, double most)
{
	double number = otherwise;

	lua_getfield(L, 1, name);
	if (!lua_isnil(L, -1)) {
		number = lua_type(L, -1) == LUA_TNUMBER ? lua_tonumber(L, -1) : -1;
		if (!(number > 0 && number <= most))
			luaL_error(L, "fetch: %s is out of range", name);
	}
	lua_pop(L, 1);
	return number;
}

/* Into headers, which the table goes on to hold. Returns how many. */
static size_t get_headers(lua_State *L, const char *headers[HEADERS_MAX])
{
	size_t count, size;

	lua_getfield(L, 1, "headers");
	if (lua_isnil(L, -1)) {
		lua_pop(L, 1);
		return 0;
	}
	if (!lua_istable(L, -1) || (count = lua_objlen(L, -1)) > HEADERS_MAX)
		return (size_t)luaL_error(L, "fetch: headers is no list, or too long");
	for (size_t i = 0; i < count; i++) {
		lua_rawgeti(L, -1, (int)i + 1);
		if (lua_type(L, -1) != LUA_TSTRING)
			luaL_error(L, "fetch: a header is no text");
		headers[i] = lua_tolstring(L, -1, &size);
		if (strlen(headers[i]) != size || strpbrk(headers[i], "\r\n"))
			luaL_error(L, "fetch: a header holds a line end or a NUL");
		lua_pop(L, 1);
	}
	lua_pop(L, 1);
	return count;
}

static const char *get_method(lua_State *L)
{
	static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
	const char *method = get_line(L, "method", METHOD_MAX);

	if (!method)
		return "GET";
	if (!*method || strspn(method, letters) != strlen(method))
		luaL_error(L, "fetch: method is none of HTTP");
	return method;
}

/* fetch { method?, url, headers?, body?, timeout?, proxy?, private?, size_max? } -> status,
 * headers, body | nil, failure, why. Waits. */
static int l_fetch(lua_State *L)
{
	struct script *script = api_script(L);
	struct fiber *fiber = fiber_check(L);
	const char *headers[HEADERS_MAX], *body;
	struct transfer_request request = { .headers = headers };
	size_t body_size = 0, size_max;
	struct fetch *fetch;
	double seconds;

	luaL_checktype(L, 1, LUA_TTABLE);
	lua_settop(L, 1);
	request.method = get_method(L);
	request.url = get_line(L, "url", URL_MAX);
	luaL_argcheck(L, request.url != NULL, 1, "no url");
	request.header_count = get_headers(L, headers);
	body = get_text(L, "body", &body_size);
	request.proxy = get_line(L, "proxy", URL_MAX);
	seconds = get_number(L, "timeout", TIMEOUT_DEFAULT, TIMEOUT_MAX);
	size_max = (size_t)get_number(L, "size_max", SIZE_DEFAULT, SIZE_MAX_LARGEST);
	lua_getfield(L, 1, "private");
	request.is_private_allowed = lua_toboolean(L, -1);

	fetch = xcalloc(1, sizeof(*fetch));
	fetch->fiber = fiber;
	fetch->size_max = size_max;
	request.decoded_max = size_max;
	request.timeouts.total = api_ms(seconds);
	request.timeouts.connect = api_ms(
		seconds < CONNECT_SECONDS ? seconds : CONNECT_SECONDS);
	if (body) {
		fetch->body.data = arena_strdup(&fetch->arena, body, body_size);
		fetch->body.size = body_size;
		request.pieces = &fetch->body;
		request.piece_count = 1;
	}
	fetch->transfer = transfer_start(script->transfers, &request, &handler, fetch);
	fetch->ticket = fiber_wait(L, cancel_fetch, fetch);
	return lua_yield(L, 0);
}

void fetch_register(lua_State *L)
{
	lua_pushcfunction(L, l_fetch);
	lua_setfield(L, -2, "fetch");
}
