/* The log line of a finished request, written from its record (neap.record) without
 * building another table: JSON, or text on a terminal. */
#include <math.h>
#include <string.h>

#include "base/buf.h"
#include "base/log.h"
#include "json/value.h"
#include "script/api.h"
#include "script/script.h"

/* The record is at index 1, the list of attempts at 2. The buffer is the worker's own and
 * used again, so that an error in between leaks nothing. */
static void add_name(struct buf *line, const char *name)
{
	buf_append_text(line,
		buf_size(line) > 1 && buf_data(line)[buf_size(line) - 1] != '{' ? ",\""
										: "\"");
	buf_append_text(line, name);
	buf_append(line, "\":", 2);
}

static void add_value(struct buf *line, lua_State *L, int index)
{
	const char *text;
	size_t size;

	switch (lua_type(L, index)) {
	case LUA_TBOOLEAN:
		buf_append_text(line, lua_toboolean(L, index) ? "true" : "false");
		break;
	case LUA_TNUMBER:
		value_write_number(line, lua_tonumber(L, index));
		break;
	case LUA_TSTRING:
		text = lua_tolstring(L, index, &size);
		value_write_string(line, text, size);
		break;
	default:
		buf_append_text(line, "null");
	}
}

static void add_as(struct buf *line, lua_State *L, int index, const char *field,
	const char *name)
{
	lua_getfield(L, index, field);
	add_name(line, name);
	add_value(line, L, -1);
	lua_pop(L, 1);
}

static void add_field(struct buf *line, lua_State *L, int index, const char *name)
{
	add_as(line, L, index, name, name);
}

static void add_if_any(struct buf *line, lua_State *L, int index, const char *name)
{
	lua_getfield(L, index, name);
	if (!lua_isnil(L, -1)) {
		add_name(line, name);
		add_value(line, L, -1);
	}
	lua_pop(L, 1);
}

/* A time in seconds as whole milliseconds. */
static void add_ms(struct buf *line, lua_State *L, int index, const char *field,
	const char *name)
{
	lua_getfield(L, index, field);
	add_name(line, name);
	if (lua_isnumber(L, -1))
		value_write_number(line, floor(lua_tonumber(L, -1) * 1000 + 0.5));
	else
		buf_append_text(line, "null");
	lua_pop(L, 1);
}

static void add_attempts(struct buf *line, lua_State *L)
{
	size_t count = lua_objlen(L, 2);

	add_name(line, "attempts");
	buf_append(line, "[", 1);
	for (size_t i = 1; i <= count; i++) {
		lua_rawgeti(L, 2, (int)i);
		buf_append_text(line, i > 1 ? ",{" : "{");
		add_as(line, L, 3, "target_name", "target");
		add_as(line, L, 3, "key_id", "key");
		add_if_any(line, L, 3, "status");
		add_if_any(line, L, 3, "failure");
		add_if_any(line, L, 3, "why");
		add_ms(line, L, 3, "seconds", "ms");
		buf_append(line, "}", 1);
		lua_pop(L, 1);
	}
	buf_append(line, "]", 1);
}

static double get_count(lua_State *L, int index, const char *name)
{
	double count;

	lua_getfield(L, index, name);
	count = lua_tonumber(L, -1);
	lua_pop(L, 1);
	return count;
}

static void add_count(struct buf *line, const char *name, double count)
{
	add_name(line, name);
	value_write_number(line, count);
}

/* The canonical usage (neap.usage) at index: its sums, and those of its parts that there
 * are. */
static void add_counts(struct buf *line, lua_State *L, int index)
{
	static const char *const prompts[] = { "in_fresh", "cache_read", "cache_write_5m",
		"cache_write_1h", "in_audio" };
	static const char *const parts[] = { "cache_read", "cache_write_5m",
		"cache_write_1h", "in_audio", "out_audio", "reasoning", "seconds",
		"images" };
	double prompt = 0, completion = get_count(L, index, "out_total");

	for (size_t i = 0; i < COUNT_OF(prompts); i++)
		prompt += get_count(L, index, prompts[i]);
	add_count(line, "prompt", prompt);
	add_count(line, "completion", completion);
	add_count(line, "total", prompt + completion);
	for (size_t i = 0; i < COUNT_OF(parts); i++) {
		double count = get_count(L, index, parts[i]);

		if (count > 0)
			add_count(line, parts[i], count);
	}
	lua_getfield(L, index, "is_estimate");
	if (lua_toboolean(L, -1))
		buf_append_text(line, ",\"is_estimate\":true");
	lua_pop(L, 1);
}

static void add_usage(struct buf *line, lua_State *L)
{
	lua_getfield(L, 1, "usage");
	add_name(line, "usage");
	if (lua_istable(L, -1)) {
		buf_append(line, "{", 1);
		add_counts(line, L, lua_gettop(L));
		buf_append(line, "}", 1);
	} else {
		buf_append_text(line, "null");
	}
	lua_pop(L, 1);
}

/* log_record(record, attempts) */
int record_l_line(lua_State *L)
{
	static const char *const heads[] = { "id", "client", "path", "token", "group",
		"model", "provider", "target_model" };
	static const char *const tails[] = { "outcome", "stream", "generation" };
	struct buf *line = &api_script(L)->line;

	luaL_checktype(L, 1, LUA_TTABLE);
	luaL_checktype(L, 2, LUA_TTABLE);
	lua_settop(L, 2);
	if (!log_covers(LOG_INFO))
		return 0;
	buf_reset(line);
	buf_append(line, "{", 1);
	add_field(line, L, 1, "time");
	buf_append_text(line, ",\"level\":\"info\",\"area\":\"request\"");
	for (size_t i = 0; i < COUNT_OF(heads); i++)
		add_field(line, L, 1, heads[i]);
	add_field(line, L, 1, "key");
	add_attempts(line, L);
	add_field(line, L, 1, "status");
	add_ms(line, L, 1, "seconds", "ms");
	add_ms(line, L, 1, "first_event_seconds", "first_event_ms");
	add_usage(line, L);
	add_if_any(line, L, 1, "cost");
	add_if_any(line, L, 1, "conversation");
	for (size_t i = 0; i < COUNT_OF(tails); i++)
		add_field(line, L, 1, tails[i]);
	add_if_any(line, L, 1, "error");
	add_if_any(line, L, 1, "policy");
	buf_append(line, "}", 1);
	log_line(buf_data(line), buf_size(line));
	return 0;
}
