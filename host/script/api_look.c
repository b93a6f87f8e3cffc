#include "script/api_look.h"

#include <errno.h>
#include <string.h>

#include <lauxlib.h>

#include "base/buf.h"
#include "json/text.h"
#include "json/value.h"
#include "script/api.h"
#include "script/usage.h"
#include "script/usage_said.h"

static const char type_name[] = "neap.look";

#define SCRATCH_KEEP 4096 /* bytes of it that stay for the next look */

/* What a question wants, by its name in Lua; of LOOK_VALUE, in which form. */
enum form { FORM_NONE, FORM_KIND, FORM_TEXT, FORM_RAW, FORM_TRUE };

struct look_box {
	struct look *look;
	enum look_take takes[LOOK_QUESTIONS_MAX];
	enum form forms[LOOK_QUESTIONS_MAX];
	size_t value_count;  /* questions whose answers are values */
	bool is_about_usage; /* the others' answers are one usage */
	struct buf scratch;  /* where texts with escapes are decoded */
};

static const struct take_name {
	const char *name;
	enum look_take take;
	enum form form;
} take_names[] = {
	{ "kind", LOOK_VALUE, FORM_KIND },
	{ "text", LOOK_VALUE, FORM_TEXT },
	{ "raw", LOOK_VALUE, FORM_RAW },
	{ "is_true", LOOK_VALUE, FORM_TRUE },
	{ "is_some", LOOK_SOME, FORM_NONE },
	{ "bytes", LOOK_BYTES, FORM_NONE },
	{ "number", LOOK_NUMBER, FORM_NONE },
	{ "count", LOOK_COUNT, FORM_NONE },
	{ "greatest", LOOK_GREATEST, FORM_NONE },
};

struct look_box *look_check(lua_State *L, int index)
{
	return api_check_type(L, index, type_name);
}

const struct look *look_of(const struct look_box *box)
{
	return box->look;
}

static const struct take_name *check_take(lua_State *L)
{
	const char *name;

	lua_getfield(L, -1, "take");
	name = lua_tostring(L, -1);
	lua_pop(L, 1);
	for (size_t i = 0; name && i < COUNT_OF(take_names); i++)
		if (strcmp(take_names[i].name, name) == 0)
			return &take_names[i];
	luaL_error(L, "a look does not take \"%s\"", name ? name : "nil");
	return NULL;
}

/* The question's table is on top. */
static void add_question(lua_State *L, struct look_box *box)
{
	const struct take_name *take;
	double max;
	int index;

	luaL_checktype(L, -1, LUA_TTABLE);
	take = check_take(L);
	lua_getfield(L, -1, "max");
	max = lua_tonumber(L, -1);
	lua_pop(L, 1);
	index = look_ask(box->look, take->take, max);
	if (index < 0)
		luaL_error(L, "a look has too many questions");
	box->takes[index] = take->take;
	box->forms[index] = take->form;
	for (int i = 1; i <= (int)lua_objlen(L, -1); i++) {
		const char *path;

		lua_rawgeti(L, -1, i);
		path = luaL_checkstring(L, -1);
		if (look_add_path(box->look, path) != 0)
			luaL_error(L, "a look's path is not \"%s\"", path);
		lua_pop(L, 1);
	}
}

/* Those of the list at index. */
static void add_questions(lua_State *L, int index, struct look_box *box)
{
	for (int i = 1; i <= (int)lua_objlen(L, index); i++) {
		lua_rawgeti(L, index, i);
		add_question(L, box);
		lua_pop(L, 1);
	}
}

/* look { { take = …, max = …, path, … }, …, usage = { question, … }? } -> handle */
static int l_look(lua_State *L)
{
	struct look_box *box;

	luaL_checktype(L, 1, LUA_TTABLE);
	lua_settop(L, 1);
	box = api_new_handle(L, sizeof(*box), type_name);
	box->look = look_new();
	add_questions(L, 1, box);
	box->value_count = look_question_count(box->look);
	lua_getfield(L, 1, "usage");
	box->is_about_usage = lua_istable(L, -1);
	if (box->is_about_usage) {
		add_questions(L, lua_gettop(L), box);
		if (look_question_count(box->look) - box->value_count != SAID_COUNT)
			luaL_error(L, "these questions do not ask for usage");
	}
	lua_pop(L, 1);
	return 1;
}

/* A string with its quotes, decoded; nil where it is no good one. */
static void push_text(lua_State *L, struct look_box *box, const char *text, size_t size)
{
	text++;
	size -= 2;
	if (text_clean(text, size) == size) {
		lua_pushlstring(L, text, size);
		return;
	}
	buf_reset(&box->scratch);
	if (value_decode(text, size, &box->scratch))
		lua_pushlstring(L, buf_data(&box->scratch), buf_size(&box->scratch));
	else
		lua_pushnil(L);
	if (box->scratch.capacity > SCRATCH_KEEP)
		buf_clear(&box->scratch);
}

static void push_value(lua_State *L, struct look_box *box, enum form form,
	const struct look_answer *answer)
{
	if (form == FORM_TRUE)
		lua_pushboolean(L, answer->kind == JSON_TRUE);
	else if (form == FORM_TEXT && answer->kind == JSON_STRING)
		push_text(L, box, answer->text, answer->size);
	else if (form == FORM_RAW && answer->kind != JSON_NONE)
		lua_pushlstring(L, answer->text, answer->size);
	else if (form == FORM_KIND && answer->kind != JSON_NONE)
		lua_pushstring(L, api_json_kinds[answer->kind]);
	else
		lua_pushnil(L);
}

int look_push(lua_State *L, struct look_box *box, const struct look_answer *answers)
{
	int count = (int)box->value_count;

	luaL_checkstack(L, count + 3, "too many answers"); /* a handle takes three */
	for (int i = 0; i < count; i++) {
		const struct look_answer *answer = &answers[i];
		bool is_found = answer->kind != JSON_NONE;

		if (box->takes[i] == LOOK_VALUE)
			push_value(L, box, box->forms[i], answer);
		else if (box->takes[i] == LOOK_SOME)
			lua_pushboolean(L, is_found);
		else if (is_found || box->takes[i] == LOOK_BYTES ||
			box->takes[i] == LOOK_GREATEST)
			lua_pushnumber(L, answer->number);
		else
			lua_pushnil(L);
	}
	if (!box->is_about_usage)
		return count;
	usage_push_said(L, answers + count);
	return count + 1;
}

/* of(text) -> answer, … */
static int l_of(lua_State *L)
{
	struct look_answer answers[LOOK_QUESTIONS_MAX];
	struct look_box *box = look_check(L, 1);
	size_t size;
	const char *text = luaL_checklstring(L, 2, &size);

	look_read(box->look, text, size, NULL, answers);
	return look_push(L, box, answers);
}

static int l_collect(lua_State *L)
{
	struct look_box *box = look_check(L, 1);

	look_free(box->look);
	box->look = NULL;
	buf_clear(&box->scratch);
	return 0;
}

void look_register(lua_State *L)
{
	static const luaL_Reg methods[] = { { "of", l_of }, { NULL, NULL } };

	api_new_type(L, type_name, methods, l_collect);
	lua_pushcfunction(L, l_look);
	lua_setfield(L, -2, "look");
}
