/* The memory that all workers share (shared.h), and the state of targets
 * and keys (health.h). */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "script/api.h"
#include "script/process.h"
#include "script/script.h"
#include "storage/health.h"
#include "storage/shared.h"

static const char health_type[] = "neap.health";

static struct shared *get_shared(lua_State *L)
{
	return api_script(L)->process->shared;
}

static struct shared_value check_value(lua_State *L, int index)
{
	struct shared_value value = { SHARED_NONE, 0, NULL, 0 };

	switch (lua_type(L, index)) {
	case LUA_TNUMBER:
		value.kind = SHARED_NUMBER;
		value.number = lua_tonumber(L, index);
		break;
	case LUA_TBOOLEAN:
		value.kind = SHARED_BOOLEAN;
		value.number = lua_toboolean(L, index);
		break;
	case LUA_TSTRING:
		value.kind = SHARED_TEXT;
		value.text = lua_tolstring(L, index, &value.text_size);
		break;
	case LUA_TNIL:
	case LUA_TNONE:
		break;
	default:
		luaL_argerror(L, index,
			"a number, boolean, string or nil is shared, nothing else");
	}
	return value;
}

static int64_t check_ttl(lua_State *L, int index)
{
	double seconds = luaL_optnumber(L, index, 0);

	luaL_argcheck(L, seconds >= 0 && seconds < 1e9, index, "no time to live");
	return seconds > 0 && seconds < 0.001 ? 1 : (int64_t)(seconds * 1000);
}

static int push_error(lua_State *L, int rc)
{
	const char *text = "over the limit";

	if (rc == -ENOSPC)
		text = "the shared memory is full";
	else if (rc == -EMSGSIZE)
		text = "key or value is too long";
	else if (rc == -EINVAL)
		text = "there is no number to add to";
	lua_pushnil(L);
	lua_pushstring(L, text);
	return 2;
}

/* shared_get(key) -> value | nil */
static int l_get(lua_State *L)
{
	size_t size;
	const char *key = luaL_checklstring(L, 1, &size);
	struct shared_value value = shared_get(get_shared(L), key, size);

	switch (value.kind) {
	case SHARED_NONE:
		lua_pushnil(L);
		break;
	case SHARED_NUMBER:
		lua_pushnumber(L, value.number);
		break;
	case SHARED_BOOLEAN:
		lua_pushboolean(L, value.number != 0);
		break;
	case SHARED_TEXT:
		/* A push that runs out of memory would leak this one copy:
		 * bounded and rare. */
		lua_pushlstring(L, value.text, value.text_size);
		free((char *)value.text);
		break;
	}
	return 1;
}

/* shared_set(key, value, ttl?) -> true | nil, message */
static int l_set(lua_State *L)
{
	size_t size;
	const char *key = luaL_checklstring(L, 1, &size);
	struct shared_value value = check_value(L, 2);
	int64_t ttl_ms = check_ttl(L, 3);
	int rc = shared_set(get_shared(L), key, size, &value, ttl_ms);

	if (rc != 0)
		return push_error(L, rc);
	lua_pushboolean(L, 1);
	return 1;
}

/* shared_add(key, step, ttl?, limit?) -> sum | nil, message */
static int l_add(lua_State *L)
{
	size_t size;
	const char *key = luaL_checklstring(L, 1, &size);
	double step = luaL_checknumber(L, 2);
	int64_t ttl_ms = check_ttl(L, 3);
	double limit = luaL_optnumber(L, 4, NAN), sum;
	int rc = shared_add(get_shared(L), key, size, step, ttl_ms, limit, &sum);

	if (rc != 0)
		return push_error(L, rc);
	lua_pushnumber(L, sum);
	return 1;
}

/* shared_swap(key, old, new, ttl?) -> boolean | nil, message */
static int l_swap(lua_State *L)
{
	size_t size;
	const char *key = luaL_checklstring(L, 1, &size);
	struct shared_value old = check_value(L, 2), fresh = check_value(L, 3);
	int64_t ttl_ms = check_ttl(L, 4);
	int rc = shared_swap(get_shared(L), key, size, &old, &fresh, ttl_ms);

	if (rc < 0)
		return push_error(L, rc);
	lua_pushboolean(L, rc);
	return 1;
}

/* -- health ------------------------------------------------------------------------ */

struct health *api_check_health(lua_State *L, int index)
{
	return *(struct health **)api_check_type(L, index, health_type);
}

/* health(name) -> handle of the process's one entry of that name */
static int l_health(lua_State *L)
{
	size_t size;
	const char *name = luaL_checklstring(L, 1, &size);
	struct health **box = api_new_handle(L, sizeof(struct health *), health_type);

	*box = health_of(name, size);
	return 1;
}

static int l_is_ready(lua_State *L)
{
	lua_pushboolean(L, health_is_ready(api_check_health(L, 1), clock_ms()));
	return 1;
}

static int l_in_flight(lua_State *L)
{
	lua_pushinteger(L, health_in_flight(api_check_health(L, 1)));
	return 1;
}

/* view() -> { state, remaining, since, why, in_flight, uses, latency, rests, balance,
 * balance_at }; seconds */
static int l_view(lua_State *L)
{
	static const char *const states[] = { "ready", "resting", "disabled" };
	struct health_view view = health_look(api_check_health(L, 1));
	double remaining = (double)(view.until_ms - clock_ms()) / 1000;

	lua_createtable(L, 0, 10);
	lua_pushstring(L, states[view.state]);
	lua_setfield(L, -2, "state");
	if (view.state != HEALTH_READY && view.until_ms) {
		lua_pushnumber(L, remaining > 0 ? remaining : 0);
		lua_setfield(L, -2, "remaining");
	}
	lua_pushnumber(L, (double)view.since_wall_us / 1e6);
	lua_setfield(L, -2, "since");
	lua_pushstring(L, view.why);
	lua_setfield(L, -2, "why");
	lua_pushinteger(L, view.in_flight);
	lua_setfield(L, -2, "in_flight");
	lua_pushnumber(L, (double)view.uses);
	lua_setfield(L, -2, "uses");
	lua_pushnumber(L, view.latency_ms / 1000);
	lua_setfield(L, -2, "latency");
	lua_pushinteger(L, (lua_Integer)view.rests);
	lua_setfield(L, -2, "rests");
	if (!isnan(view.balance)) {
		lua_pushnumber(L, view.balance);
		lua_setfield(L, -2, "balance");
		lua_pushnumber(L, (double)view.balance_wall_us / 1e6);
		lua_setfield(L, -2, "balance_at");
	}
	return 1;
}

/* state(other?) -> "ready" | "resting" | "disabled": the other's where this one is ready;
 * rests() -> how often in a row */
static int l_state(lua_State *L)
{
	struct health *health = api_check_health(L, 1);
	int64_t now_ms = clock_ms();

	if (!lua_isnoneornil(L, 2) && health_is_ready(health, now_ms))
		health = api_check_health(L, 2);
	if (health_is_ready(health, now_ms))
		lua_pushliteral(L, "ready");
	else
		lua_pushstring(L,
			health_look(health).state == HEALTH_DISABLED ? "disabled"
								     : "resting");
	return 1;
}

static int l_rests(lua_State *L)
{
	lua_pushinteger(L, (lua_Integer)health_rests(api_check_health(L, 1)));
	return 1;
}

static int l_rest(lua_State *L)
{
	struct health *health = api_check_health(L, 1);
	double seconds = luaL_checknumber(L, 2);

	luaL_argcheck(L, seconds >= 0 && seconds < 1e9, 2, "no time to rest");
	health_rest(health, (int64_t)(seconds * 1000), luaL_optstring(L, 3, ""));
	return 0;
}

static int l_disable(lua_State *L)
{
	struct health *health = api_check_health(L, 1);
	const char *why = luaL_checkstring(L, 2);

	health_disable(health, (int64_t)(luaL_optnumber(L, 3, 0) * 1000), why);
	return 0;
}

/* A moment of now()'s clock, at most a century away. */
static int64_t check_moment_us(lua_State *L, int index)
{
	double seconds = luaL_checknumber(L, index);

	luaL_argcheck(L, fabs(seconds) < 1e10, index, "no time of now()");
	return (int64_t)(seconds * 1e6 + 0.5);
}

/* well(at?) */
static int l_well(lua_State *L)
{
	struct health *health = api_check_health(L, 1);

	health_well(health, lua_isnoneornil(L, 2) ? clock_us() : check_moment_us(L, 2));
	return 0;
}

/* is_well() -> boolean */
static int l_is_well(lua_State *L)
{
	lua_pushboolean(L, health_is_well(api_check_health(L, 1)));
	return 1;
}

/* fail(at, seconds) -> how often since the last success */
static int l_fail(lua_State *L)
{
	struct health *health = api_check_health(L, 1);
	int64_t at_us = check_moment_us(L, 2);
	double window = luaL_checknumber(L, 3);

	luaL_argcheck(L, window >= 0 && window < 1e9, 3, "no time to count");
	lua_pushinteger(L,
		(lua_Integer)health_fail(health, at_us, (int64_t)(window * 1000)));
	return 1;
}

static int l_probe(lua_State *L)
{
	lua_pushboolean(L, health_probe(api_check_health(L, 1)));
	return 1;
}

/* balance() -> number | nil, where nobody knows */
static int l_balance(lua_State *L)
{
	double balance = health_balance(api_check_health(L, 1));

	if (isnan(balance))
		return 0;
	lua_pushnumber(L, balance);
	return 1;
}

/* set_balance(number | nil) */
static int l_set_balance(lua_State *L)
{
	struct health *health = api_check_health(L, 1);
	double balance = luaL_optnumber(L, 2, (double)NAN);

	luaL_argcheck(L, lua_isnoneornil(L, 2) || isfinite(balance), 2,
		"a balance is a number");
	health_set_balance(health, balance);
	return 0;
}

static const luaL_Reg health_methods[] = {
	{ "is_ready", l_is_ready },
	{ "in_flight", l_in_flight },
	{ "view", l_view },
	{ "state", l_state },
	{ "rests", l_rests },
	{ "rest", l_rest },
	{ "disable", l_disable },
	{ "well", l_well },
	{ "is_well", l_is_well },
	{ "fail", l_fail },
	{ "probe", l_probe },
	{ "balance", l_balance },
	{ "set_balance", l_set_balance },
	{ NULL, NULL },
};

static const luaL_Reg functions[] = {
	{ "shared_get", l_get },
	{ "shared_set", l_set },
	{ "shared_add", l_add },
	{ "shared_swap", l_swap },
	{ "health", l_health },
	{ NULL, NULL },
};

void api_shared_register(lua_State *L)
{
	api_new_type(L, health_type, health_methods, NULL);
	luaL_register(L, NULL, functions);
}
