/* What a request's body says, for Lua: its members, without decoding it. */
#include <string.h>

#include "json/scan.h"
#include "http/spool.h"
#include "script/api.h"
#include "script/api_look.h"
#include "script/process.h"
#include "script/request.h"
#include "storage/conversation.h"

#define MESSAGES_MAX (256 * 1024) /* bytes; in a longer list nothing is looked for */
#define SAID_TEXTS 256            /* bytes of a dialect's names for them */

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

int api_body_push_received(lua_State *L, const struct request *request)
{
	struct spool *spool = exchange_body(request->exchange);

	if (request->fault_status) {
		lua_pushnil(L);
		lua_pushinteger(L, request->fault_status);
		lua_pushstring(L, request->fault_text);
		return 3;
	}
	lua_pushnumber(L, spool ? (lua_Number)spool_size(spool) : 0);
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

static const char said_type[] = "neap.said";

/* Where a body has what its user said: all of it in the handle's own memory. */
struct said_place {
	const char *list; /* the member with the messages */
	struct scan_wanted wanted;
	const char *inner; /* what the parts of a message say */
	char texts[SAID_TEXTS];
};

/* said { list = …, member = …, text = …, part = …, inner = … } -> handle */
static int l_said(lua_State *L)
{
	static const char *const names[] = { "list", "member", "text", "part", "inner" };
	struct said_place *place;
	const char **texts[COUNT_OF(names)];
	size_t used = 0;

	luaL_checktype(L, 1, LUA_TTABLE);
	place = api_new_handle(L, sizeof(*place), said_type);
	texts[0] = &place->list;
	texts[1] = &place->wanted.name;
	texts[2] = &place->wanted.text;
	texts[3] = &place->wanted.part;
	texts[4] = &place->inner;
	for (size_t i = 0; i < COUNT_OF(names); i++) {
		const char *text;
		size_t size;

		lua_getfield(L, 1, names[i]);
		text = luaL_checklstring(L, -1, &size);
		luaL_argcheck(L, size < sizeof(place->texts) - used, 1, "too long names");
		*texts[i] = memcpy(place->texts + used, text, size + 1);
		used += size + 1;
		lua_pop(L, 1);
	}
	return 1;
}

void api_body_register(lua_State *L)
{
	api_new_type(L, said_type, NULL, NULL);
	lua_pushcfunction(L, l_said);
	lua_setfield(L, -2, "said");
}

/* guess(said, scope, fresh, seconds) -> id | nil: the conversation of what the user said
 * last and before it. nil where nothing was said, or the list is too long or lies in a
 * file. */
int api_body_guess(lua_State *L)
{
	struct request *request = request_check(L, 1);
	struct spool *spool = exchange_body(request->exchange);
	const char *body = spool ? spool_memory(spool) : NULL;
	const struct said_place *place = api_check_type(L, 2, said_type);
	const struct scan_member *list;
	struct scan_slice found[2];
	struct gist last, before;
	struct said said = { .last = &last };
	char id[RECENT_TEXT_MAX];
	size_t count, fresh_size;
	const char *fresh;
	double seconds;

	said.scope = luaL_checklstring(L, 3, &said.scope_size);
	fresh = luaL_checklstring(L, 4, &fresh_size);
	luaL_argcheck(L, fresh_size <= sizeof(id), 4, "too long to be kept");
	seconds = luaL_checknumber(L, 5);
	if (!body || !request->scan || !request->is_received)
		return 0;
	list = scan_find(request->scan, place->list);
	if (!list || list->kind != JSON_ARRAY || list->size > MESSAGES_MAX)
		return 0;
	count = scan_last(body + list->offset, (size_t)list->size, &place->wanted, found,
		COUNT_OF(found));
	if (!count)
		return 0;
	gist_of_value(&last, &found[0], place->inner);
	if (!last.size)
		return 0;
	if (count > 1) {
		gist_of_value(&before, &found[1], place->inner);
		said.before = &before;
	}
	lua_pushlstring(L, id,
		conversation_guess(request->script->process->recent, &said, fresh,
			fresh_size, (int64_t)(seconds * 1000), id));
	return 1;
}
