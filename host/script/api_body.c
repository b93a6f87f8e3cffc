/* What a request's body says, for Lua: its members, without decoding it. */
#include <string.h>

#include "json/scan.h"
#include "http/spool.h"
#include "script/api.h"
#include "script/api_look.h"
#include "script/generation.h"
#include "script/process.h"
#include "script/request.h"
#include "script/said.h"
#include "storage/conversation.h"

#define MESSAGES_MAX (256 * 1024) /* bytes; in a longer list nothing is looked for */

static const char *kind_of(const struct request *request)
{
	if (!request->scan)
		return NULL;
	return scan_kind(request->scan) == JSON_OBJECT ? "object" : "other";
}

/* kind() -> "object" | … | nil: what the body is */
int api_body_kind(lua_State *L)
{
	lua_pushstring(L, kind_of(request_check(L, 1)));
	return 1;
}

int api_body_push_received(lua_State *L, struct request *request)
{
	struct spool *spool = exchange_body(request->exchange);

	if (request->fault_status) {
		lua_pushnil(L);
		lua_pushinteger(L, request->fault_status);
		lua_pushstring(L, request->fault_text);
		return 3;
	}
	request->arrival.body_size = spool ? spool_size(spool) : 0;
	lua_pushnumber(L, (lua_Number)request->arrival.body_size);
	lua_pushstring(L, kind_of(request));
	return 2;
}

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

/* inner: of the parts that the value may have. */
static void find_gist(struct gist *gist, const char *body, const struct scan_place *place,
	const char *inner)
{
	struct scan_slice slice = { body + place->offset, (size_t)place->size,
		place->kind };

	gist_of_value(gist, &slice, inner);
}

/* guess(scope, seconds) -> id | nil: the conversation of what the user said last and before it,
 * else a new one with the request's uuid. nil where nothing was said, or the list is too long or
 * lies in a file. */
int api_body_guess(lua_State *L)
{
	struct request *request = request_check(L, 1);
	struct spool *spool = exchange_body(request->exchange);
	const char *body = spool ? spool_memory(spool) : NULL;
	const struct said_places *places = generation_said(request->generation);
	const struct scan_wanted *wanted;
	const struct scan_place *found;
	const char *fresh = request->arrival.uuid;
	const char *inner;
	struct gist last, before;
	struct said said = { .last = &last };
	char id[RECENT_TEXT_MAX];
	size_t count;
	double seconds;

	said.scope = luaL_checklstring(L, 2, &said.scope_size);
	seconds = luaL_checknumber(L, 3);
	if (!body || !request->scan || !request->is_received)
		return 0;
	count = scan_last(request->scan, &found, &wanted);
	if (!count || scan_find(request->scan, wanted->list)->size > MESSAGES_MAX)
		return 0;
	inner = places->inner[wanted - places->lists];
	find_gist(&last, body, &found[0], inner);
	if (!last.size)
		return 0;
	if (count > 1) {
		find_gist(&before, body, &found[1], inner);
		said.before = &before;
	}
	lua_pushlstring(L, id,
		conversation_guess(request->script->process->recent, &said, fresh,
			strlen(fresh), (int64_t)(seconds * 1000), id));
	return 1;
}
