/* What a request's body says, for Lua: its members, without decoding it. */
#include <string.h>

#include "json/scan.h"
#include "json/text.h"
#include "http/spool.h"
#include "script/api.h"
#include "script/api_look.h"
#include "script/request.h"

/* member(name) -> raw text | nil, kind, size. The text is nil where it is longer
 * than the scan keeps. */
int api_body_member(lua_State *L)
{
	struct request *request = request_check(L, 1);
	const char *name = luaL_checkstring(L, 2);
	const struct scan_member *member = request->scan && request->is_received
		? scan_find(request->scan, name)
		: NULL;

	if (!member)
		return 0;
	lua_pushstring(L, member->value);
	lua_pushstring(L, api_json_kinds[member->kind]);
	lua_pushnumber(L, (lua_Number)member->size);
	return 3;
}

/* look(look) -> answer, …: of the members whose text the scan keeps */
int api_body_look(lua_State *L)
{
	struct request *request = request_check(L, 1);
	struct look_box *box = look_check(L, 2);
	struct look_answer answers[LOOK_QUESTIONS_MAX];

	if (request->scan && request->is_received)
		look_read_scan(look_of(box), request->scan, answers);
	else
		memset(answers, 0, sizeof(answers));
	return look_push(L, box, answers);
}

/* What a part says: a text without its quotes, its first bytes where it is longer than most;
 * anything else as it is. Raw, both. */
static void push_part(lua_State *L, const struct scan_slice *part, size_t most)
{
	const char *data = part->data;
	size_t size = part->size;

	if (part->kind == JSON_STRING) {
		data++;
		size -= 2;
		lua_pushlstring(L, data, text_cut(data, size, most));
	} else {
		lua_pushlstring(L, data ? data : "", size);
	}
	lua_pushstring(L, api_json_kinds[part->kind]);
	lua_pushnumber(L, (lua_Number)size);
}

/* last(name, member, text, part, most, head) -> raw, kind, size, raw, kind, size | nil: of
 * the body's member name, a list, the last element that is an object whose member is that
 * text, and the one before it of that kind: what each has as part. A text comes without its
 * quotes, and cut to head bytes. Nothing where the list has more than most bytes or lies in
 * a file. */
int api_body_last(lua_State *L)
{
	struct request *request = request_check(L, 1);
	const char *name = luaL_checkstring(L, 2);
	const struct scan_wanted wanted = { luaL_checkstring(L, 3),
		luaL_checkstring(L, 4), luaL_checkstring(L, 5) };
	double most = luaL_checknumber(L, 6), head = luaL_checknumber(L, 7);
	struct spool *spool = exchange_body(request->exchange);
	const char *body = spool ? spool_memory(spool) : NULL;
	const struct scan_member *list = body && request->scan && request->is_received
		? scan_find(request->scan, name)
		: NULL;
	struct scan_slice found[2];
	size_t count;

	luaL_argcheck(L, head >= 0 && head < 1e9, 7, "no number of bytes");
	if (!list || list->kind != JSON_ARRAY || (double)list->size > most)
		return 0;
	count = scan_last(body + list->offset, (size_t)list->size, &wanted, found,
		COUNT_OF(found));
	for (size_t i = 0; i < count; i++)
		push_part(L, &found[i], (size_t)head);
	return (int)count * 3;
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
