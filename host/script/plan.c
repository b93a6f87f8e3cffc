#include "script/plan.h"

#include <stdlib.h>
#include <string.h>

#include <lauxlib.h>

#include "base/arena.h"
#include "script/api.h"
#include "upstream/relay.h"

static const char type_name[] = "neap.plan";

struct plan {
	struct arena arena;
	struct relay_plan relay;
	int refs;
};

void plan_ref(struct plan *plan)
{
	plan->refs++;
}

void plan_unref(struct plan *plan)
{
	if (!plan || --plan->refs)
		return;
	arena_clear(&plan->arena);
	free(plan);
}

const struct relay_plan *plan_relay(const struct plan *plan)
{
	return plan ? &plan->relay : NULL;
}

size_t plan_rule_count(const struct plan *plan)
{
	return plan ? plan->relay.rule_count : 0;
}

struct plan *plan_check(lua_State *L, int index)
{
	if (lua_isnoneornil(L, index))
		return NULL;
	return *(struct plan **)api_check_type(L, index, type_name);
}

static const char *get_text(lua_State *L, struct plan *plan, const char *name)
{
	const char *text;
	size_t size;

	lua_getfield(L, -1, name);
	text = lua_tolstring(L, -1, &size);
	text = text ? arena_strdup(&plan->arena, text, size) : NULL;
	lua_pop(L, 1);
	return text;
}

static enum json_kind get_kind(lua_State *L)
{
	static const char *const names[] = { "", "null", "false", "true", "number",
		"string", "array", "object" };
	const char *name;

	lua_getfield(L, -1, "kind");
	name = lua_tostring(L, -1);
	for (size_t i = 0; name && i < COUNT_OF(names); i++) {
		if (strcmp(names[i], name) == 0) {
			lua_pop(L, 1);
			return (enum json_kind)i;
		}
	}
	if (name)
		luaL_error(L, "a rule's kind is not \"%s\"", name);
	lua_pop(L, 1);
	return JSON_NONE;
}

/* The table of one condition is on top. { event = … } | { type = … } | { data = … } |
 * { member = …, is = … | kind = … } | { text = … } */
static void read_condition(lua_State *L, struct plan *plan, struct relay_condition *out)
{
	const char *type;

	luaL_checktype(L, -1, LUA_TTABLE);
	out->event_name = get_text(L, plan, "event");
	out->data = get_text(L, plan, "data");
	out->member = get_text(L, plan, "member");
	out->is = get_text(L, plan, "is");
	out->kind = get_kind(L);
	out->text = get_text(L, plan, "text");
	type = get_text(L, plan, "type");
	if (type) {
		out->member = "type";
		out->is = arena_printf(&plan->arena, "\"%s\"", type);
	}
	if (!out->event_name + !out->data + !out->member + !out->text != 3)
		luaL_error(L,
			"a rule's condition is one of event, type, data, member and text");
}

static enum relay_action get_action(lua_State *L)
{
	static const char *const names[] = { "keep_first", "keep_last", "drop", "end",
		"error", "finish" };
	const char *name;

	lua_getfield(L, -1, "do");
	name = lua_tostring(L, -1);
	for (size_t i = 0; name && i < COUNT_OF(names); i++) {
		if (strcmp(names[i], name) == 0) {
			lua_pop(L, 1);
			return (enum relay_action)i;
		}
	}
	return (enum relay_action)luaL_error(L, "a rule does not \"%s\"",
		name ? name : "nil");
}

/* The rule's table is on top. */
static void read_rule(lua_State *L, struct plan *plan, struct relay_rule *out)
{
	struct relay_condition *conditions;
	size_t count;

	luaL_checktype(L, -1, LUA_TTABLE);
	out->action = get_action(L);
	lua_getfield(L, -1, "when");
	luaL_checktype(L, -1, LUA_TTABLE);
	count = lua_objlen(L, -1);
	conditions = arena_calloc(&plan->arena,
		(count ? count : 1) * sizeof(*conditions));
	for (size_t i = 0; i < count; i++) {
		lua_rawgeti(L, -1, (int)i + 1);
		read_condition(L, plan, &conditions[i]);
		lua_pop(L, 1);
	}
	if (!count)
		read_condition(L, plan, &conditions[0]);
	out->conditions = conditions;
	out->condition_count = count ? count : 1;
	lua_pop(L, 1);
}

int plan_l_new(lua_State *L)
{
	struct plan **box;
	struct relay_rule *rules;
	size_t count;

	luaL_checktype(L, 1, LUA_TTABLE);
	lua_settop(L, 1);
	box = api_new_handle(L, sizeof(struct plan *), type_name);
	*box = xcalloc(1, sizeof(struct plan));
	(*box)->refs = 1;
	count = lua_objlen(L, 1);
	rules = arena_calloc(&(*box)->arena, (count ? count : 1) * sizeof(*rules));
	lua_pushvalue(L, 1);
	for (size_t i = 0; i < count; i++) {
		lua_rawgeti(L, -1, (int)i + 1);
		read_rule(L, *box, &rules[i]);
		if (rules[i].action == RELAY_FINISH)
			(*box)->relay.must_finish = true;
		lua_pop(L, 1);
	}
	(*box)->relay.rules = rules;
	(*box)->relay.rule_count = count;
	(*box)->relay.broken = get_text(L, *box, "broken");
	(*box)->relay.late = get_text(L, *box, "late");
	lua_pop(L, 1);
	return 1;
}

static int l_collect(lua_State *L)
{
	struct plan **box = api_check_type(L, 1, type_name);

	plan_unref(*box);
	*box = NULL;
	return 0;
}

void plan_register(lua_State *L)
{
	api_new_type(L, type_name, NULL, l_collect);
	lua_pushcfunction(L, plan_l_new);
	lua_setfield(L, -2, "plan");
}
