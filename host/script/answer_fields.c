/* answer_fields.c - see answer_fields.h. */
#include "script/answer_fields.h"

#include <string.h>

#include <lauxlib.h>

#include "base/number.h"
#include "http/exchange.h"
#include "script/filter.h"
#include "script/request.h"
#include "upstream/transfer.h"

#define FIELDS_MAX 100
#define OWN_FIELDS 5 /* of an answer that a provider gave */

/* The text of a field at a place of the stack; index: of the argument that it belongs to. */
static const char *check_field_text(lua_State *L, int at, int index)
{
	size_t size;
	const char *text = luaL_checklstring(L, at, &size);

	if (strlen(text) != size)
		luaL_argerror(L, index, "a field holds a NUL");
	return text;
}

/* How many fields the flat list { name, value, … } at index has. */
static size_t count_fields(lua_State *L, int index)
{
	size_t count;

	luaL_checktype(L, index, LUA_TTABLE);
	count = lua_objlen(L, index) / 2;
	luaL_argcheck(L, count <= FIELDS_MAX, index, "too many fields");
	luaL_checkstack(L, (int)count * 2, "too many fields");
	return count;
}

/* Reads them. Their texts stay on the stack, where a number of the list has become one. */
static void read_fields(lua_State *L, int index, struct field *fields, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		lua_rawgeti(L, index, (int)i * 2 + 1);
		fields[i].name = check_field_text(L, -1, index);
		lua_rawgeti(L, index, (int)i * 2 + 2);
		fields[i].value = check_field_text(L, -1, index);
	}
}

static struct field overhead(struct request *request)
{
	char *room = arena_alloc(&request->arena, OVERHEAD_ROOM);

	arrival_write_overhead(request, room);
	return (struct field) { "x-neap-overhead-ms", room };
}

struct field *answer_fields(lua_State *L, int index, struct request *request,
	size_t *count)
{
	struct field *fields;

	*count = count_fields(L, index);
	fields = arena_alloc(&request->arena, (*count + 1) * sizeof(*fields));
	read_fields(L, index, fields, *count);
	if (request->arrival.is_routed)
		fields[(*count)++] = overhead(request);
	return fields;
}

static const char *write_count(lua_State *L, int index, struct arena *arena)
{
	char *digits = arena_alloc(arena, NUMBER_ROOM + 1);

	digits[number_write(digits, (uint64_t)luaL_checkinteger(L, index))] = '\0';
	return digits;
}

struct field *answer_passed_fields(lua_State *L, struct request *request,
	const struct transfer *transfer, size_t *count)
{
	const struct filter *filter = filter_check(L, AT_FILTER);
	size_t more = lua_istable(L, AT_MORE) ? count_fields(L, AT_MORE) : 0;
	size_t room = OWN_FIELDS + more + transfer_header_count(transfer);
	struct field *fields = arena_alloc(&request->arena, room * sizeof(*fields));
	struct field *at = fields;

	*at++ = (struct field) { "x-request-id", request->arrival.request_id };
	if (!lua_isnoneornil(L, AT_CONVERSATION))
		*at++ = (struct field) { "x-conversation-id",
			check_field_text(L, AT_CONVERSATION, AT_CONVERSATION) };
	*at++ = (struct field) { "x-neap-provider",
		check_field_text(L, AT_PROVIDER, AT_PROVIDER) };
	*at++ = (struct field) { "x-neap-attempts",
		write_count(L, AT_ATTEMPTS, &request->arena) };
	*at++ = overhead(request);
	read_fields(L, AT_MORE, at, more);
	at += more;
	at += filter_fields(filter, transfer, at);
	*count = (size_t)(at - fields);
	return fields;
}
