/* plan.h - a relay's plan, compiled once from the table that a dialect gives.
 *
 * Counted by references: a relay outlives the generation whose dialect made the
 * plan. The count is not atomic: a plan stays on its worker's thread once the
 * generation was handed over. */
#pragma once

#include <stddef.h>

#include <lua.h>

struct plan;
struct relay_plan;

/* plan(table) -> handle; see lua/neap/host.lua. Raises on what is wrong with the
 * table. */
int plan_l_new(lua_State *L);
/* The plan of the handle at index, borrowed; NULL for nil. */
struct plan *plan_check(lua_State *L, int index);
const struct relay_plan *plan_relay(const struct plan *plan);
size_t plan_rule_count(const struct plan *plan); /* NULL: 0 */
void plan_ref(struct plan *plan);
void plan_unref(struct plan *plan); /* NULL is fine */
void plan_register(lua_State *L);
