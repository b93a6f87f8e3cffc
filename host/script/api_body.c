/* What a request's body says, for Lua: its members, without decoding it. */
#include "json/scan.h"
#include "http/spool.h"
#include "script/api.h"
#include "script/request.h"

/* member(name) -> raw text | nil, kind, size. The text is nil where it is longer
 * than the scan keeps. */
int api_body_member(lua_State *L)
{
	static const char *const kinds[] = { NULL, "null", "boolean", "boolean", "number",
		"string", "array", "object" };
	struct request *request = request_check(L, 1);
	const char *name = luaL_checkstring(L, 2);
	const struct scan_member *member = request->scan && request->is_received
		? scan_find(request->scan, name)
		: NULL;

	if (!member)
		return 0;
	lua_pushstring(L, member->value);
	lua_pushstring(L, kinds[member->kind]);
	lua_pushnumber(L, (lua_Number)member->size);
	return 3;
}

/* last(name, member, text, most) -> raw | nil, raw | nil: of the body's member name, a list,
 * the last element that is an object whose member is that text, and the one before it of
 * that kind. Nothing where the list has more than most bytes or lies in a file. */
int api_body_last(lua_State *L)
{
	struct request *request = request_check(L, 1);
	const char *name = luaL_checkstring(L, 2), *member = luaL_checkstring(L, 3);
	const char *text = luaL_checkstring(L, 4);
	double most = luaL_checknumber(L, 5);
	struct spool *spool = exchange_body(request->exchange);
	const char *body = spool ? spool_memory(spool) : NULL;
	const struct scan_member *list = body && request->scan && request->is_received
		? scan_find(request->scan, name)
		: NULL;
	struct scan_slice found[2];
	size_t count;

	if (!list || list->kind != JSON_ARRAY || (double)list->size > most)
		return 0;
	count = scan_last(body + list->offset, (size_t)list->size, member, text, found,
		COUNT_OF(found));
	for (size_t i = 0; i < count; i++)
		lua_pushlstring(L, found[i].data, found[i].size);
	return (int)count;
}

/* kind() -> "object" | … | nil: what the body is */
int api_body_kind(lua_State *L)
{
	struct request *request = request_check(L, 1);

	if (!request->scan)
		lua_pushnil(L);
	else
		lua_pushstring(L,
			scan_kind(request->scan) == JSON_OBJECT ? "object" : "other");
	return 1;
}
