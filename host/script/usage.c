#include "script/usage.h"

#include <string.h>

#include <lauxlib.h>

#include "base/mem.h"
#include "script/api.h"
#include "script/usage_said.h"

#define RAW_MAX 4096 /* bytes of the provider's text that are kept */
#define EXACT_MAX 9007199254740992.0

static const char type_name[] = "neap.usage";

/* Its members in Lua, in the order in which usage() takes them. */
enum member {
	IN_FRESH = 1,
	CACHE_READ,
	CACHE_WRITE_5M,
	CACHE_WRITE_1H,
	IN_AUDIO,
	OUT_TOTAL,
	OUT_AUDIO,
	REASONING,
	REQUESTS,
	SECONDS,
	IMAGES,
	IS_ESTIMATE,
	RAW,
	REPORTED_COST,
};

static const char *const member_names[] = {
	[IN_FRESH] = "in_fresh",
	[CACHE_READ] = "cache_read",
	[CACHE_WRITE_5M] = "cache_write_5m",
	[CACHE_WRITE_1H] = "cache_write_1h",
	[IN_AUDIO] = "in_audio",
	[OUT_TOTAL] = "out_total",
	[OUT_AUDIO] = "out_audio",
	[REASONING] = "reasoning",
	[REQUESTS] = "requests",
	[SECONDS] = "seconds",
	[IMAGES] = "images",
	[IS_ESTIMATE] = "is_estimate",
	[RAW] = "raw",
	[REPORTED_COST] = "reported_cost",
};

const struct usage *usage_at(lua_State *L, int index)
{
	return api_to_type(L, index, type_name);
}

static struct usage *push(lua_State *L, const char *raw, size_t size)
{
	struct usage *usage;

	size = size < RAW_MAX ? size : RAW_MAX;
	usage = api_new_handle(L, sizeof(*usage) + size, type_name);
	usage->raw_size = size;
	if (size)
		memcpy(usage->raw, raw, size);
	return usage;
}

void usage_push_said(lua_State *L, const struct look_answer *said)
{
	if (usage_said_holds(said))
		usage_said_read(said, push(L, said[SAID_RAW].text, said[SAID_RAW].size));
	else
		lua_pushnil(L);
}

/* What is no number, below 0 or not exact counts as not said. */
static double number(lua_State *L, int index)
{
	double number = lua_tonumber(L, index);

	return number >= 0 && number < EXACT_MAX ? number : 0;
}

static uint64_t count(lua_State *L, int index)
{
	return (uint64_t)number(L, index);
}

/* usage(in_fresh, …) -> handle */
static int l_usage(lua_State *L)
{
	size_t size = 0;
	const char *raw = luaL_optlstring(L, RAW, NULL, &size);
	struct usage *usage = push(L, raw, size);
	struct record_usage *counted = &usage->counted;

	counted->is_estimate = lua_toboolean(L, IS_ESTIMATE);
	counted->is_known = !counted->is_estimate;
	counted->in_fresh = count(L, IN_FRESH);
	counted->cache_read = count(L, CACHE_READ);
	counted->cache_write_5m = count(L, CACHE_WRITE_5M);
	counted->cache_write_1h = count(L, CACHE_WRITE_1H);
	counted->in_audio = count(L, IN_AUDIO);
	counted->out_total = count(L, OUT_TOTAL);
	counted->reasoning = count(L, REASONING);
	counted->requests = count(L, REQUESTS);
	counted->audio_ms = (uint64_t)(number(L, SECONDS) * 1000 + 0.5);
	counted->images = count(L, IMAGES);
	usage->out_audio = count(L, OUT_AUDIO);
	usage->reported_cost = lua_type(L, REPORTED_COST) == LUA_TNUMBER
		? number(L, REPORTED_COST)
		: -1;
	return 1;
}

static uint64_t counted(const struct usage *usage, enum member member)
{
	switch (member) {
	case IN_FRESH:
		return usage->counted.in_fresh;
	case CACHE_READ:
		return usage->counted.cache_read;
	case CACHE_WRITE_5M:
		return usage->counted.cache_write_5m;
	case CACHE_WRITE_1H:
		return usage->counted.cache_write_1h;
	case IN_AUDIO:
		return usage->counted.in_audio;
	case OUT_TOTAL:
		return usage->counted.out_total;
	case OUT_AUDIO:
		return usage->out_audio;
	case REASONING:
		return usage->counted.reasoning;
	case REQUESTS:
		return usage->counted.requests;
	default:
		return usage->counted.images;
	}
}

/* __index(usage, name); its upvalue has the members by their names. */
static int l_index(lua_State *L)
{
	const struct usage *usage = api_check_type(L, 1, type_name);
	int member;

	lua_settop(L, 2);
	lua_rawget(L, lua_upvalueindex(1));
	member = (int)lua_tointeger(L, -1);
	if (member == 0 || (member == RAW && !usage->raw_size) ||
		(member == REPORTED_COST && usage->reported_cost < 0))
		lua_pushnil(L);
	else if (member == RAW)
		lua_pushlstring(L, usage->raw, usage->raw_size);
	else if (member == REPORTED_COST)
		lua_pushnumber(L, usage->reported_cost);
	else if (member == IS_ESTIMATE)
		lua_pushboolean(L, usage->counted.is_estimate);
	else if (member == SECONDS)
		lua_pushnumber(L, (double)usage->counted.audio_ms / 1000);
	else
		lua_pushnumber(L, (double)counted(usage, (enum member)member));
	return 1;
}

void usage_register(lua_State *L)
{
	api_new_type(L, type_name, NULL, NULL);
	luaL_getmetatable(L, type_name);
	lua_newtable(L);
	for (int i = 1; i < (int)COUNT_OF(member_names); i++) {
		lua_pushinteger(L, i);
		lua_setfield(L, -2, member_names[i]);
	}
	lua_pushcclosure(L, l_index, 1);
	lua_setfield(L, -2, "__index");
	lua_pop(L, 1);
	lua_pushcfunction(L, l_usage);
	lua_setfield(L, -2, "usage");
}
