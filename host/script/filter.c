#include "script/filter.h"

#include <string.h>
#include <strings.h>

#include <lauxlib.h>

#include "http/exchange.h"
#include "script/api.h"
#include "upstream/transfer.h"

static const char type_name[] = "neap.filter";
#define NAMES_MAX 64
#define NAME_MAX_SIZE 64

struct name {
	char text[NAME_MAX_SIZE]; /* lower case */
	size_t size;
	int is_prefix;
};

struct filter {
	size_t count;
	struct name names[];
};

const struct filter *filter_check(lua_State *L, int index)
{
	return api_check_type(L, index, type_name);
}

/* filter { "content-type", "x-ratelimit-*", … } -> handle */
static int l_filter(lua_State *L)
{
	struct filter *filter;
	size_t count;

	luaL_checktype(L, 1, LUA_TTABLE);
	count = lua_objlen(L, 1);
	luaL_argcheck(L, count <= NAMES_MAX, 1, "too many names");
	filter = api_new_handle(L, sizeof(*filter) + count * sizeof(struct name),
		type_name);
	filter->count = count;
	for (size_t i = 0; i < count; i++) {
		struct name *name = &filter->names[i];
		const char *text;

		lua_rawgeti(L, 1, (int)i + 1);
		text = luaL_checklstring(L, -1, &name->size);
		luaL_argcheck(L, name->size > 0 && name->size < NAME_MAX_SIZE, 1,
			"a name's size");
		name->is_prefix = text[name->size - 1] == '*';
		name->size -= (size_t)name->is_prefix;
		memcpy(name->text, text, name->size);
		lua_pop(L, 1);
	}
	return 1;
}

static int passes(const struct filter *filter, const char *name)
{
	for (size_t i = 0; i < filter->count; i++) {
		const struct name *allowed = &filter->names[i];

		/* Nearly all names differ in their first letter; a lone "*" has none. */
		if (allowed->size && (*name | 0x20) != (*allowed->text | 0x20))
			continue;
		if (strncasecmp(name, allowed->text, allowed->size) == 0 &&
			(allowed->is_prefix || !name[allowed->size]))
			return 1;
	}
	return 0;
}

size_t filter_fields(const struct filter *filter, const struct transfer *transfer,
	struct field *out)
{
	size_t total = transfer_header_count(transfer), count = 0;
	const char *name, *value;

	for (size_t i = 0; i < total; i++) {
		transfer_header_at(transfer, i, &name, &value);
		if (passes(filter, name))
			out[count++] = (struct field) { name, value };
		else if (strcasecmp(name, "x-request-id") == 0 ||
			strcasecmp(name, "request-id") == 0)
			out[count++] = (struct field) { "x-neap-upstream-request-id",
				value };
	}
	return count;
}

void filter_register(lua_State *L)
{
	api_new_type(L, type_name, NULL, NULL);
	lua_pushcfunction(L, l_filter);
	lua_setfield(L, -2, "filter");
}
