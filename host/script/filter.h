/* filter.h - which of a provider's headers a client gets: a dialect's
 * allow-list, compiled once. */
#pragma once

#include <stddef.h>

#include <lua.h>

struct field;
struct filter;
struct transfer;

/* The filter of the handle at index; raises for anything else. */
const struct filter *filter_check(lua_State *L, int index);
/* Writes the fields of the transfer's answer that pass to out, which has room for all;
 * values are the transfer's own. The provider's request id passes as
 * x-neap-upstream-request-id. Returns how many. */
size_t filter_fields(const struct filter *filter, const struct transfer *transfer,
	struct field *out);
/* Adds host.filter. */
void filter_register(lua_State *L);
