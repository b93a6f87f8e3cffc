#include "script/said.h"

#include <string.h>

#include <lauxlib.h>

#include "script/api.h"
#include "script/generation.h"

static const char *take_name(lua_State *L, const char *name, struct arena *arena)
{
	const char *text;
	size_t size;

	lua_getfield(L, 1, name);
	text = luaL_checklstring(L, -1, &size);
	luaL_argcheck(L, size <= SCAN_NAME_MAX, 1, "too long a name");
	text = arena_strdup(arena, text, size);
	lua_pop(L, 1);
	return text;
}

static bool is_same(const struct scan_wanted *a, const struct scan_wanted *b)
{
	return strcmp(a->name, b->name) == 0 && strcmp(a->text, b->text) == 0 &&
		strcmp(a->part, b->part) == 0;
}

static const struct scan_wanted *find(const struct said_places *places, const char *list)
{
	for (size_t i = 0; i < places->count; i++)
		if (strcmp(places->lists[i].list, list) == 0)
			return &places->lists[i];
	return NULL;
}

/* said { list = …, member = …, text = …, part = …, inner = … }: at load */
static int l_said(lua_State *L)
{
	struct generation *generation = generation_of(L);
	const struct scan_wanted *known;
	struct said_places *places;
	struct scan_wanted wanted;
	const char *inner;

	luaL_checktype(L, 1, LUA_TTABLE);
	if (!generation)
		return 0; /* a state without clients */
	places = generation_said(generation);
	wanted = (struct scan_wanted) {
		.list = take_name(L, "list", &places->names),
		.name = take_name(L, "member", &places->names),
		.text = take_name(L, "text", &places->names),
		.part = take_name(L, "part", &places->names),
	};
	inner = take_name(L, "inner", &places->names);
	known = find(places, wanted.list);
	if (known && is_same(known, &wanted))
		return 0;
	luaL_argcheck(L, !known, 1, "another dialect has other names in this list");
	luaL_argcheck(L, places->count < SAID_PLACES_MAX, 1, "too many dialects");
	places->lists[places->count] = wanted;
	places->inner[places->count++] = inner;
	return 0;
}

void said_register(lua_State *L)
{
	lua_pushcfunction(L, l_said);
	lua_setfield(L, -2, "said");
}

void said_clear(struct said_places *places)
{
	arena_clear(&places->names);
	places->count = 0;
}
