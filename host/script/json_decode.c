/* json_decode.c - builds Lua tables out of a JSON text, with all that is needed to write
 * the same document again (see json_table.h).
 *
 * The handlers call Lua and may leave by longjmp through value_read(): neither of them
 * holds anything. On the Lua stack each open object has three slots (table, metatable,
 * name of the member to come), each open array two (table, metatable). The metatable is
 * nil as long as there is nothing to remember. */
#include <errno.h>
#include <math.h>

#include <lauxlib.h>

#include "json/value.h"
#include "script/json_table.h"
#include "script/state.h"

#define BYTE_WORK 5 /* nanoseconds that a byte takes, for state_charge() */

struct builder {
	lua_State *L;
	bool is_for_reading; /* what only encoding needs is not kept */
	double left;         /* values that it may hold yet */
	int depth;
	struct {
		int count; /* of names or elements */
		bool is_object;
	} open[VALUE_DEPTH + 1]; /* the first one stands for the document itself */
};

/* Puts a metatable where nil stands for it. */
static void need_meta(struct builder *builder, int index)
{
	lua_State *L = builder->L;
	bool is_object = builder->open[builder->depth].is_object;

	if (!lua_isnil(L, index))
		return;
	json_table_push_meta(L, is_object ? JSON_OBJECT : JSON_ARRAY, 4);
	lua_replace(L, index - 1);
}

/* Pushes the metatable's table under key, made if it is missing. */
static void push_part(lua_State *L, int meta, const char *key)
{
	lua_pushlightuserdata(L, (void *)key);
	lua_rawget(L, meta);
	if (!lua_isnil(L, -1))
		return;
	lua_pop(L, 1);
	lua_newtable(L);
	lua_pushlightuserdata(L, (void *)key);
	lua_pushvalue(L, -2);
	lua_rawset(L, meta);
}

/* A value is complete and on top of the stack: puts it where it belongs. */
static int place(struct builder *builder)
{
	lua_State *L = builder->L;
	int depth = builder->depth;

	if (builder->left-- <= 0)
		return -E2BIG;
	if (depth == 0)
		return 0;
	if (builder->open[depth].is_object)
		lua_rawset(L, -4);
	else
		lua_rawseti(L, -3, ++builder->open[depth].count);
	return 0;
}

static int on_null(void *arg)
{
	struct builder *builder = arg;

	lua_pushvalue(builder->L, lua_upvalueindex(JSON_NULL_VALUE));
	return place(builder);
}

static int on_boolean(bool value, void *arg)
{
	struct builder *builder = arg;

	lua_pushboolean(builder->L, value);
	return place(builder);
}

static int on_string(const char *text, size_t size, void *arg)
{
	struct builder *builder = arg;

	lua_pushlstring(builder->L, text, size);
	return place(builder);
}

/* Remembers the text of the number that comes next. */
static void keep_text(struct builder *builder, const char *text, size_t size)
{
	lua_State *L = builder->L;
	bool is_object = builder->open[builder->depth].is_object;

	need_meta(builder, is_object ? -2 : -1);
	push_part(L, lua_gettop(L) - is_object, json_table_texts);
	if (is_object)
		lua_pushvalue(L, -2);
	else
		lua_pushinteger(L, builder->open[builder->depth].count + 1);
	lua_pushlstring(L, text, size);
	lua_rawset(L, -3);
	lua_pop(L, 1);
}

static int on_number(const char *text, size_t size, void *arg)
{
	struct builder *builder = arg;
	double number = value_number(text, size);

	/* A number that is the whole document has no table to remember its text. */
	if (builder->depth > 0 && !builder->is_for_reading &&
		!value_is_canonical(text, size, number))
		keep_text(builder, text, size);
	lua_pushnumber(builder->L, number);
	return place(builder);
}

/* The value on top of the stack is about to be hidden by a later member of the name below
 * it: keeps it, with its text if it is a number. Pops it. */
static void keep_shadow(lua_State *L)
{
	int value = lua_gettop(L);
	int name = value - 1;
	int meta = value - 2;

	push_part(L, meta, json_table_texts);
	lua_pushvalue(L, name);
	lua_rawget(L, -2);
	if (lua_isstring(L, -1)) {
		size_t size;
		const char *text = lua_tolstring(L, -1, &size);

		json_raw_push(L, text, size);
		lua_replace(L, value);
		lua_pushvalue(L, name);
		lua_pushnil(L);
		lua_rawset(L, -4);
	}
	lua_settop(L, value);

	push_part(L, meta, json_table_shadows);
	lua_pushvalue(L, name);
	lua_rawget(L, -2);
	if (lua_isnil(L, -1)) {
		lua_pop(L, 1);
		lua_newtable(L);
		lua_pushvalue(L, name);
		lua_pushvalue(L, -2);
		lua_rawset(L, -4);
	}
	lua_pushvalue(L, value);
	lua_rawseti(L, -2, (int)lua_objlen(L, -2) + 1);
	lua_settop(L, name);
}

static int on_name(const char *text, size_t size, void *arg)
{
	struct builder *builder = arg;
	lua_State *L = builder->L;

	if (builder->is_for_reading) {
		lua_pushlstring(L, text, size);
		return 0;
	}
	need_meta(builder, -1);
	lua_pushlstring(L, text, size);
	lua_pushvalue(L, -1);
	lua_rawseti(L, -3, ++builder->open[builder->depth].count);
	lua_pushvalue(L, -1);
	lua_rawget(L, -4);
	if (lua_isnil(L, -1))
		lua_pop(L, 1);
	else
		keep_shadow(L);
	return 0;
}

static int on_bracket(struct builder *builder, bool is_object, bool is_end)
{
	lua_State *L = builder->L;

	if (!is_end) {
		builder->depth++;
		builder->open[builder->depth].count = 0;
		builder->open[builder->depth].is_object = is_object;
		lua_createtable(L, is_object ? 0 : 4, is_object ? 4 : 0);
		lua_pushnil(L);
		return 0;
	}
	if (lua_isnil(L, -1)) {
		int meta = is_object ? JSON_OBJECT_META : JSON_ARRAY_META;

		lua_pop(L, 1);
		lua_pushvalue(L, lua_upvalueindex(meta));
	}
	lua_setmetatable(L, -2);
	builder->depth--;
	return place(builder);
}

static int on_array(bool is_end, void *arg)
{
	return on_bracket(arg, false, is_end);
}

static int on_object(bool is_end, void *arg)
{
	return on_bracket(arg, true, is_end);
}

static int decode(lua_State *L, bool is_for_reading, double most)
{
	static const struct value_handler handler = {
		.on_null = on_null,
		.on_boolean = on_boolean,
		.on_number = on_number,
		.on_string = on_string,
		.on_name = on_name,
		.on_array = on_array,
		.on_object = on_object,
	};
	struct builder builder;
	struct json_box *box = json_box_take(L);
	struct err err;
	size_t size;
	const char *text = luaL_checklstring(L, 1, &size);
	int rc;

	luaL_checkstack(L, 3 * VALUE_DEPTH + LUA_MINSTACK, "to decode JSON");
	state_charge(L, size * BYTE_WORK);
	builder.L = L;
	builder.is_for_reading = is_for_reading;
	builder.left = most;
	builder.depth = 0;
	rc = value_read(text, size, &handler, &builder, &box->text, &err);
	json_box_trim(box);
	if (rc == 0)
		return 1;
	lua_pushnil(L);
	lua_pushstring(L, rc == -E2BIG ? "it holds too many values" : err.text);
	if (rc != -E2BIG)
		return 2;
	lua_pushboolean(L, 1);
	return 3;
}

int json_decode(lua_State *L)
{
	return decode(L, false, HUGE_VAL);
}

int json_decode_some(lua_State *L)
{
	return decode(L, false, luaL_checknumber(L, 2));
}

int json_read(lua_State *L)
{
	return decode(L, true, HUGE_VAL);
}
