/* json_table.h - how a JSON document lies in Lua, for the files that build and write it.
 *
 * Objects and arrays are plain tables. What a plain table cannot say stands in its
 * metatable, which Lua code never sees:
 *
 *	[1..n]               the names of an object's members in the document's order; a
 *	                     name that the document has twice is there twice
 *	[json_table_kind]    JSON_ARRAY or JSON_OBJECT
 *	[json_table_texts]   texts of numbers that are not the canonical ones, by name
 *	                     or index
 *	[json_table_shadows] the values that a later member of the same name has hidden: a
 *	                     list for each such name
 *	__metatable          hides the metatable from Lua
 *
 * The keys are addresses, so nobody else can have made them. */
#pragma once

#include <lua.h>

#include "base/buf.h"
#include "json/scan.h"

/* What all C functions of neap.json have as upvalues, in this order. */
enum json_upvalue {
	JSON_BOX = 1, /* userdata: struct json_box */
	JSON_NULL_VALUE,
	JSON_ARRAY_META,  /* of arrays that have nothing to remember */
	JSON_OBJECT_META, /* of objects that have nothing to remember */
	JSON_RAW_META,    /* of userdata that hold a text to be written as it is */
	JSON_HIDE_NAME,   /* "__metatable" */
	JSON_UPVALUE_COUNT = JSON_HIDE_NAME
};

/* C memory that is in use during a call. It belongs to a userdata, so that a Lua error
 * that leaves by longjmp leaks nothing; the next call finds it and starts over. */
struct json_box {
	struct buf text;
	struct scan *scan;
};

extern const char json_table_kind[], json_table_texts[], json_table_shadows[];

/* The box with its buffer empty. */
struct json_box *json_box_take(lua_State *L);
/* Gives back what a large document has used. */
void json_box_trim(struct json_box *box);
/* Pushes a new metatable for a table of that kind, with room for count names. */
void json_table_push_meta(lua_State *L, enum json_kind kind, int count);
/* JSON_ARRAY or JSON_OBJECT of a marked table, else JSON_NONE. */
enum json_kind json_table_kind_of(lua_State *L, int index);
/* Pushes a userdata that json.encode() writes as it is. */
void json_raw_push(lua_State *L, const char *text, size_t size);
/* The text of such a userdata, or NULL. */
const char *json_raw_text(lua_State *L, int index, size_t *size);

int json_decode(lua_State *L);
int json_decode_some(lua_State *L);
int json_read(lua_State *L);
int json_encode(lua_State *L);
