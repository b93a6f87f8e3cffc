/* answer_fields.h - the fields of an answer, as Lua gives them.
 *
 * An answer of neap's own has those of a list. One that a provider gave has the same of its own each
 * time, so that these come as values; what else somebody wants is in a list. What neap itself took
 * (x-neap-overhead-ms) is told with both. */
#pragma once

#include <stddef.h>

#include <lua.h>

struct field;
struct request;
struct transfer;

/* Where the methods that pass a provider's answer on take what its fields are made of. */
enum {
	AT_STATUS = 3,
	AT_FILTER,
	AT_CONVERSATION,
	AT_PROVIDER,
	AT_ATTEMPTS,
	AT_MORE,
	AT_LENGTH,
	AT_PLAN,
};

/* The fields of the flat list { name, value, … } at index; raises for anything else. Good until
 * the caller returns: the texts of numbers stay on the stack. */
struct field *answer_fields(lua_State *L, int index, struct request *request,
	size_t *count);
/* Those of an answer that a provider gave, from the values at these places: neap's own, those of
 * the list `more`, and what the filter lets pass of the transfer's. As good as these. */
struct field *answer_passed_fields(lua_State *L, struct request *request,
	const struct transfer *transfer, size_t *count);
