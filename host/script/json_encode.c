/* json_encode.c - writes Lua values as JSON.
 *
 * Tables are read raw: no metamethod of a script runs in here, so nothing can change what
 * is being written. What JSON cannot hold raises an error that names its place, as in
 * "messages[2].content: a function". */
#include <errno.h>
#include <lauxlib.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "json/value.h"
#include "script/json_table.h"
#include "script/state.h"

/* Bytes: a table that contains another one twice, and so on for 64 levels, never ends. */
#define ENCODE_MAX (64 * 1024 * 1024)
#define VALUE_WORK 50 /* nanoseconds that a value takes, for state_charge() */
#define PLACE_MAX 256 /* bytes of the text that names a place */
#define SMALL_MAX 16  /* names that are sorted without memory from Lua */

struct encoder {
	lua_State *L;
	struct buf *buf;
	int depth;
	/* The way to the value at hand: a name, or an index where that is NULL. */
	struct {
		const char *name;
		int index;
	} path[VALUE_DEPTH + 1];
};

struct name {
	const char *text;
	size_t size;
};

/* What keys a table has. */
struct survey {
	int names;
	int indices;
	double largest;
};

static void write_value(struct encoder *encoder, int texts);

static void fail(struct encoder *encoder, const char *what)
{
	char place[PLACE_MAX] = "";
	size_t used = 0;
	int i;

	for (i = 1; i <= encoder->depth && used < sizeof(place); i++) {
		const char *name = encoder->path[i].name;
		int more;

		if (name)
			more = snprintf(place + used, sizeof(place) - used, "%s%s",
				used ? "." : "", name);
		else
			more = snprintf(place + used, sizeof(place) - used, "[%d]",
				encoder->path[i].index);
		used += (size_t)more;
	}
	luaL_error(encoder->L, "%s%s%s cannot be JSON", place, used ? ": " : "", what);
}

/* Pushes the metatable's table under key and returns its index, or 0 without a push. */
static int push_part(lua_State *L, int meta, const char *key)
{
	lua_pushlightuserdata(L, (void *)key);
	lua_rawget(L, meta);
	if (lua_istable(L, -1))
		return lua_gettop(L);
	lua_pop(L, 1);
	return 0;
}

static struct survey take_survey(struct encoder *encoder, int table)
{
	struct survey survey = { 0 };
	lua_State *L = encoder->L;

	lua_pushnil(L);
	while (lua_next(L, table)) {
		int type = lua_type(L, -2);
		double index;

		lua_pop(L, 1);
		if (type == LUA_TSTRING) {
			survey.names++;
			continue;
		}
		if (type != LUA_TNUMBER)
			fail(encoder, "a table with a key that is no name and no index");
		index = lua_tonumber(L, -1);
		if (index < 1 || index != floor(index))
			fail(encoder, "an array with a key that is no index");
		survey.indices++;
		if (index > survey.largest)
			survey.largest = index;
	}
	return survey;
}

/* The text that the document had for the number, if it still is that number. */
static bool write_number_text(struct encoder *encoder, double number, int texts)
{
	lua_State *L = encoder->L;
	const char *text;
	size_t size;
	double known;
	bool is_known;

	if (!texts)
		return false;
	if (encoder->path[encoder->depth].name)
		lua_pushvalue(L, -2);
	else
		lua_pushinteger(L, encoder->path[encoder->depth].index);
	lua_rawget(L, texts);
	text = lua_tolstring(L, -1, &size);
	if (text) {
		known = value_number(text, size);
		is_known = known == number && !signbit(known) == !signbit(number);
	} else {
		is_known = false;
	}
	if (is_known)
		buf_append(encoder->buf, text, size);
	lua_pop(L, 1);
	return is_known;
}

static void write_number(struct encoder *encoder, int texts)
{
	double number = lua_tonumber(encoder->L, -1);

	if (write_number_text(encoder, number, texts))
		return;
	if (isnan(number))
		fail(encoder, "not a number");
	if (isinf(number))
		fail(encoder, "an infinite number");
	value_write_number(encoder->buf, number);
}

static void write_array(struct encoder *encoder, int table, int texts, int count)
{
	int i;

	buf_append(encoder->buf, "[", 1);
	encoder->path[encoder->depth].name = NULL;
	for (i = 1; i <= count; i++) {
		if (i > 1)
			buf_append(encoder->buf, ",", 1);
		encoder->path[encoder->depth].index = i;
		lua_rawgeti(encoder->L, table, i);
		write_value(encoder, texts);
		lua_pop(encoder->L, 1);
	}
	buf_append(encoder->buf, "]", 1);
}

/* Name and value are on top of the stack. */
static void write_member(struct encoder *encoder, int texts)
{
	struct buf *buf = encoder->buf;
	size_t size;
	const char *name = lua_tolstring(encoder->L, -2, &size);

	if (buf_data(buf)[buf_size(buf) - 1] != '{')
		buf_append(buf, ",", 1);
	encoder->path[encoder->depth].name = name;
	value_write_string(buf, name, size);
	buf_append(buf, ":", 1);
	write_value(encoder, texts);
}

static int compare_names(const void *left, const void *right)
{
	const struct name *a = left, *b = right;
	size_t size = a->size < b->size ? a->size : b->size;
	int order = memcmp(a->text, b->text, size);

	return order ? order : (a->size > b->size) - (a->size < b->size);
}

/* Writes the members that are not in the table known (0: all), in the order of their
 * names. count: as many as there are at most. */
static void write_sorted(struct encoder *encoder, int table, int texts, int known,
	int count)
{
	struct name small[SMALL_MAX], *names = small;
	lua_State *L = encoder->L;
	int top = lua_gettop(L);
	size_t found = 0, i;

	if (count > SMALL_MAX)
		names = lua_newuserdata(L, (size_t)count * sizeof(*names));
	lua_pushnil(L);
	while (lua_next(L, table)) {
		bool is_known = false;

		lua_pop(L, 1);
		if (known) {
			lua_pushvalue(L, -1);
			lua_rawget(L, known);
			is_known = lua_toboolean(L, -1);
			lua_pop(L, 1);
		}
		if (!is_known) {
			names[found].text = lua_tolstring(L, -1, &names[found].size);
			found++;
		}
	}
	qsort(names, found, sizeof(*names), compare_names);
	for (i = 0; i < found; i++) {
		lua_pushlstring(L, names[i].text, names[i].size);
		lua_pushvalue(L, -1);
		lua_rawget(L, table);
		write_member(encoder, texts);
		lua_pop(L, 2);
	}
	lua_settop(L, top);
}

/* The name on top of the stack may stand for a hidden value instead of the one in the
 * table; seen counts how many of these were written. Pushes what is to be written. */
static void push_member_value(lua_State *L, int table, int shadows, int seen)
{
	int name = lua_gettop(L);
	int written, list;

	lua_pushvalue(L, name);
	lua_rawget(L, table);
	if (!shadows || lua_isnil(L, -1))
		return;
	lua_pushvalue(L, name);
	lua_rawget(L, shadows);
	list = lua_gettop(L);
	if (lua_istable(L, list)) {
		lua_pushvalue(L, name);
		lua_rawget(L, seen);
		written = (int)lua_tointeger(L, -1);
		lua_rawgeti(L, list, written + 1);
		if (!lua_isnil(L, -1)) {
			lua_replace(L, name + 1);
			lua_pushvalue(L, name);
			lua_pushinteger(L, written + 1);
			lua_rawset(L, seen);
		}
	}
	lua_settop(L, name + 1);
}

/* Writes the members that the document had, in its order. Returns how many of the table's
 * members that were, or -1 where hidden values make the count useless. */
static int write_ordered(struct encoder *encoder, int table, int meta, int texts)
{
	lua_State *L = encoder->L;
	int top = lua_gettop(L);
	int shadows = push_part(L, meta, json_table_shadows);
	int seen = 0, i, written = 0;
	int count = (int)lua_objlen(L, meta);

	if (shadows) {
		lua_newtable(L);
		seen = lua_gettop(L);
	}
	for (i = 1; i <= count; i++) {
		int base = lua_gettop(L);

		lua_rawgeti(L, meta, i);
		push_member_value(L, table, shadows, seen);
		if (!lua_isnil(L, -1)) {
			write_member(encoder, texts);
			written++;
		}
		lua_settop(L, base);
	}
	lua_settop(L, top);
	return shadows ? -1 : written;
}

static void write_object(struct encoder *encoder, int table, int meta, int texts,
	int count)
{
	lua_State *L = encoder->L;
	bool is_ordered = meta && lua_objlen(L, meta) > 0;
	int i, known = 0;

	buf_append(encoder->buf, "{", 1);
	if (!is_ordered || write_ordered(encoder, table, meta, texts) != count) {
		if (is_ordered) {
			lua_newtable(L);
			known = lua_gettop(L);
			for (i = (int)lua_objlen(L, meta); i > 0; i--) {
				lua_rawgeti(L, meta, i);
				lua_pushboolean(L, true);
				lua_rawset(L, known);
			}
		}
		write_sorted(encoder, table, texts, known, count);
	}
	buf_append(encoder->buf, "}", 1);
}

static void write_table(struct encoder *encoder)
{
	lua_State *L = encoder->L;
	int table = lua_gettop(L);
	int meta = 0, texts = 0;
	enum json_kind kind = json_table_kind_of(L, table);
	struct survey survey;

	if (lua_getmetatable(L, table))
		meta = lua_gettop(L);
	if (meta && kind == JSON_NONE)
		fail(encoder, "a table with a metatable");
	if (encoder->depth == VALUE_DEPTH)
		fail(encoder, "what is nested too deeply or contains itself");
	luaL_checkstack(L, LUA_MINSTACK, "to encode JSON");
	survey = take_survey(encoder, table);
	if (kind == JSON_NONE)
		kind = survey.indices ? JSON_ARRAY : JSON_OBJECT;
	if (kind == JSON_ARRAY ? survey.names : survey.indices)
		fail(encoder, "a table with both names and indices");
	if (survey.largest > survey.indices)
		fail(encoder, "an array with holes");
	if (meta)
		texts = push_part(L, meta, json_table_texts);
	encoder->depth++;
	if (kind == JSON_ARRAY)
		write_array(encoder, table, texts, survey.indices);
	else
		write_object(encoder, table, meta, texts, survey.names);
	encoder->depth--;
	lua_settop(L, table);
}

static void write_userdata(struct encoder *encoder)
{
	lua_State *L = encoder->L;
	size_t size;
	const char *text = json_raw_text(L, -1, &size);

	if (text)
		buf_append(encoder->buf, text, size);
	else if (lua_rawequal(L, -1, lua_upvalueindex(JSON_NULL_VALUE)))
		buf_append(encoder->buf, "null", 4);
	else
		fail(encoder, "a userdata");
}

/* The value is on top of the stack and stays there; below a member's value is its name.
 * texts: where the texts of the surrounding table's numbers are, or 0. */
static void write_value(struct encoder *encoder, int texts)
{
	lua_State *L = encoder->L;
	const char *text;
	size_t size;

	if (buf_size(encoder->buf) > ENCODE_MAX)
		luaL_error(L, "more than %d bytes of JSON", ENCODE_MAX);
	state_charge(L, VALUE_WORK);
	switch (lua_type(L, -1)) {
	case LUA_TBOOLEAN:
		buf_append_text(encoder->buf, lua_toboolean(L, -1) ? "true" : "false");
		break;
	case LUA_TNUMBER:
		write_number(encoder, texts);
		break;
	case LUA_TSTRING:
		text = lua_tolstring(L, -1, &size);
		state_charge(L, size);
		value_write_string(encoder->buf, text, size);
		break;
	case LUA_TTABLE:
		write_table(encoder);
		break;
	case LUA_TUSERDATA:
		write_userdata(encoder);
		break;
	default:
		fail(encoder, luaL_typename(L, -1));
	}
}

int json_encode(lua_State *L)
{
	struct encoder encoder;
	struct json_box *box = json_box_take(L);

	luaL_checkany(L, 1);
	lua_settop(L, 1);
	encoder.L = L;
	encoder.buf = &box->text;
	encoder.depth = 0;
	write_value(&encoder, 0);
	lua_pushlstring(L, buf_data(&box->text), buf_size(&box->text));
	json_box_trim(box);
	return 1;
}
