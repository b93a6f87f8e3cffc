#include "script/api_json.h"
#include "script/api.h"

#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>

#include "script/json_table.h"

#define BOX_KEEP (256 * 1024) /* bytes of the buffer that stay for the next call */
#define PATH_MAX_STEPS 32
#define INDEX_ROOM 12 /* bytes of an index in digits */

const char json_table_kind[] = "kind";
const char json_table_texts[] = "texts";
const char json_table_shadows[] = "shadows";

struct json_box *json_box_take(lua_State *L)
{
	struct json_box *box = lua_touserdata(L, lua_upvalueindex(JSON_BOX));

	buf_reset(&box->text);
	json_box_trim(box);
	scan_free(box->scan);
	box->scan = NULL;
	return box;
}

void json_box_trim(struct json_box *box)
{
	if (box->text.capacity > BOX_KEEP)
		buf_clear(&box->text);
}

static int collect_box(lua_State *L)
{
	struct json_box *box = lua_touserdata(L, 1);

	buf_clear(&box->text);
	scan_free(box->scan);
	box->scan = NULL;
	return 0;
}

/* meta: index of the metatable; hide: index of the text "__metatable". */
static void fill_meta(lua_State *L, enum json_kind kind, int hide)
{
	lua_pushvalue(L, hide);
	lua_pushboolean(L, false);
	lua_rawset(L, -3);
	lua_pushlightuserdata(L, (void *)json_table_kind);
	lua_pushinteger(L, kind);
	lua_rawset(L, -3);
}

void json_table_push_meta(lua_State *L, enum json_kind kind, int count)
{
	lua_createtable(L, count, 2);
	fill_meta(L, kind, lua_upvalueindex(JSON_HIDE_NAME));
}

enum json_kind json_table_kind_of(lua_State *L, int index)
{
	enum json_kind kind;

	if (!lua_istable(L, index) || !lua_getmetatable(L, index))
		return JSON_NONE;
	lua_pushlightuserdata(L, (void *)json_table_kind);
	lua_rawget(L, -2);
	kind = (enum json_kind)lua_tointeger(L, -1);
	lua_pop(L, 2);
	return kind;
}

void json_raw_push(lua_State *L, const char *text, size_t size)
{
	memcpy(lua_newuserdata(L, size), text, size);
	lua_pushvalue(L, lua_upvalueindex(JSON_RAW_META));
	lua_setmetatable(L, -2);
}

const char *json_raw_text(lua_State *L, int index, size_t *size)
{
	bool is_raw;

	if (!lua_getmetatable(L, index))
		return NULL;
	is_raw = lua_rawequal(L, -1, lua_upvalueindex(JSON_RAW_META));
	lua_pop(L, 1);
	*size = is_raw ? lua_objlen(L, index) : 0;
	return is_raw ? lua_touserdata(L, index) : NULL;
}

static int json_raw(lua_State *L)
{
	size_t size;
	const char *text = luaL_checklstring(L, 1, &size);

	luaL_argcheck(L, size > 0, 1, "an empty text is no JSON");
	json_raw_push(L, text, size);
	return 1;
}

static int raw_tostring(lua_State *L)
{
	lua_pushlstring(L, lua_touserdata(L, 1), lua_objlen(L, 1));
	return 1;
}

static int null_tostring(lua_State *L)
{
	lua_pushliteral(L, "null");
	return 1;
}

/* json.array() and json.object(): marks the given table, or a new one. */
static int mark(lua_State *L, enum json_kind kind, int meta)
{
	enum json_kind had;

	lua_settop(L, 1);
	if (lua_isnil(L, 1)) {
		lua_newtable(L);
		lua_replace(L, 1);
	}
	luaL_checktype(L, 1, LUA_TTABLE);
	had = json_table_kind_of(L, 1);
	if (had == kind)
		return 1;
	luaL_argcheck(L, had != JSON_NONE || !lua_getmetatable(L, 1), 1,
		"the table has a metatable of its own");
	lua_pushvalue(L, lua_upvalueindex(meta));
	lua_setmetatable(L, 1);
	return 1;
}

static int json_array(lua_State *L)
{
	return mark(L, JSON_ARRAY, JSON_ARRAY_META);
}

static int json_object(lua_State *L)
{
	return mark(L, JSON_OBJECT, JSON_OBJECT_META);
}

static int json_is_array(lua_State *L)
{
	lua_pushboolean(L, json_table_kind_of(L, 1) == JSON_ARRAY);
	return 1;
}

static int json_is_object(lua_State *L)
{
	lua_pushboolean(L, json_table_kind_of(L, 1) == JSON_OBJECT);
	return 1;
}

const char *const api_json_kinds[] = { NULL, "null", "boolean", "boolean", "number",
	"string", "array", "object" };

/* The digits of a number at the end of room. */
static const char *write_index(unsigned index, char room[INDEX_ROOM])
{
	char *at = room + INDEX_ROOM - 1;

	for (*at = '\0'; index > 9; index /= 10)
		*--at = (char)('0' + index % 10);
	*--at = (char)('0' + index);
	return at;
}

static enum json_kind look(lua_State *L, const struct scan_marks *marks, const char *data,
	size_t size, int first, const char **value, size_t *value_size)
{
	const char *path[PATH_MAX_STEPS];
	char indices[PATH_MAX_STEPS][INDEX_ROOM];
	int i, count = lua_gettop(L) - first + 1;

	luaL_argcheck(L, count <= PATH_MAX_STEPS, first, "too long a path");
	for (i = 0; i < count; i++) {
		size_t name_size;

		if (lua_type(L, i + first) == LUA_TNUMBER) {
			double index = lua_tonumber(L, i + first);

			luaL_argcheck(L, index >= 1 && index < 1e9, i + first,
				"not an index");
			path[i] = write_index((unsigned)index - 1, indices[i]);
			continue;
		}
		path[i] = luaL_checklstring(L, i + first, &name_size);
		if (strlen(path[i]) != name_size)
			return JSON_NONE; /* in a document a NUL is an escape */
	}
	if (marks)
		return scan_marked_path(marks, data, size, path, (size_t)count, value,
			value_size);
	return scan_path(data, size, path, (size_t)count, value, value_size);
}

int api_find(lua_State *L, const struct scan_marks *marks, const char *data, size_t size,
	int first)
{
	const char *value;
	size_t value_size;
	enum json_kind kind = look(L, marks, data, size, first, &value, &value_size);

	if (kind == JSON_NONE) {
		lua_pushnil(L);
		return 1;
	}
	lua_pushlstring(L, value, value_size);
	lua_pushstring(L, api_json_kinds[kind]);
	return 2;
}

int api_measure(lua_State *L, const struct scan_marks *marks, const char *data,
	size_t size, int first)
{
	const char *value;
	size_t value_size;
	enum json_kind kind = look(L, marks, data, size, first, &value, &value_size);

	if (kind == JSON_NONE)
		return 0;
	lua_pushstring(L, api_json_kinds[kind]);
	lua_pushnumber(L, (lua_Number)value_size);
	return 2;
}

static int json_find(lua_State *L)
{
	size_t size;
	const char *text = luaL_checklstring(L, 1, &size);

	return api_find(L, NULL, text, size, 2);
}

static int json_members(lua_State *L)
{
	struct json_box *box = json_box_take(L);
	size_t i, count, size;
	const char *text = luaL_checklstring(L, 1, &size);
	struct err err;

	box->scan = scan_new(NULL);
	if (scan_feed(box->scan, text, size, &err) != 0 ||
		scan_end(box->scan, &err) != 0) {
		lua_pushnil(L);
		lua_pushstring(L, err.text);
		return 2;
	}
	if (scan_kind(box->scan) != JSON_OBJECT) {
		lua_pushnil(L);
		lua_pushliteral(L, "the document is no object");
		return 2;
	}
	count = scan_member_count(box->scan);
	lua_createtable(L, 0, (int)count);
	lua_createtable(L, (int)count, 0);
	for (i = 0; i < count; i++) {
		const struct scan_member *member = scan_member_at(box->scan, i);

		lua_pushstring(L, member->name);
		lua_pushvalue(L, -1);
		lua_rawseti(L, -3, (int)i + 1);
		lua_pushlstring(L, text + member->offset, member->size);
		lua_rawset(L, -4);
	}
	scan_free(box->scan);
	box->scan = NULL;
	return 2;
}

/* A metatable that only hides itself and says what tostring() gives. */
static void push_userdata_meta(lua_State *L, lua_CFunction to_string)
{
	lua_newtable(L);
	lua_pushboolean(L, false);
	lua_setfield(L, -2, "__metatable");
	lua_pushcfunction(L, to_string);
	lua_setfield(L, -2, "__tostring");
}

static void push_box(lua_State *L)
{
	struct json_box *box = lua_newuserdata(L, sizeof(*box));

	memset(box, 0, sizeof(*box));
	lua_newtable(L);
	lua_pushcfunction(L, collect_box);
	lua_setfield(L, -2, "__gc");
	lua_setmetatable(L, -2);
}

void api_json_register(lua_State *L)
{
	static const luaL_Reg functions[] = {
		{ "json_decode", json_decode },
		{ "json_decode_some", json_decode_some },
		{ "json_read", json_read },
		{ "json_encode", json_encode },
		{ "json_find", json_find },
		{ "json_members", json_members },
		{ "json_array", json_array },
		{ "json_object", json_object },
		{ "json_is_array", json_is_array },
		{ "json_is_object", json_is_object },
		{ "json_raw", json_raw },
		{ NULL, NULL },
	};
	int module = lua_gettop(L);

	/* In the order of enum json_upvalue. */
	push_box(L);
	api_new_bare(L);
	push_userdata_meta(L, null_tostring);
	lua_setmetatable(L, -2);
	lua_pushvalue(L, -1);
	lua_setfield(L, module, "json_null");
	lua_newtable(L);
	lua_newtable(L);
	push_userdata_meta(L, raw_tostring);
	lua_pushliteral(L, "__metatable");

	lua_pushvalue(L, module + JSON_ARRAY_META);
	fill_meta(L, JSON_ARRAY, module + JSON_HIDE_NAME);
	lua_pop(L, 1);
	lua_pushvalue(L, module + JSON_OBJECT_META);
	fill_meta(L, JSON_OBJECT, module + JSON_HIDE_NAME);
	lua_pop(L, 1);

	lua_pushvalue(L, module);
	lua_insert(L, module + 1);
	luaL_setfuncs(L, functions, JSON_UPVALUE_COUNT);
	lua_settop(L, module);
}
