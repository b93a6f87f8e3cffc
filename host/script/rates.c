/* rates.c - a model's prices as lua/neap/price.lua has made them ready, and what a usage
 * costs by them. Each rate is whole micros and whole millionths of one, so that both sums
 * are exact: see there. */
#include <math.h>

#include <lauxlib.h>

#include "script/api.h"
#include "script/usage.h"

#define KINDS 8 /* of tokens that are paid for one by one */
#define MILLION 1000000.0

static const char type_name[] = "neap.rates";

/* In micros, and millionths of one. */
struct sum {
	double micros;
	double rest;
};

struct row {
	double above; /* tokens of the prompt */
	struct sum rates[KINDS];
};

struct rates {
	struct sum call, image, ms;
	size_t row_count; /* 1 at least, the lowest first */
	struct row rows[];
};

/* -- made at load ----------------------------------------------------------------- */

static double field(lua_State *L, int index, const char *name)
{
	double value;

	lua_getfield(L, index, name);
	value = luaL_checknumber(L, -1);
	lua_pop(L, 1);
	return value;
}

static struct sum split(double rate)
{
	double micros = floor(rate / MILLION);

	return (struct sum) { micros, rate - micros * MILLION };
}

/* The row is on top. */
static void read_row(lua_State *L, struct row *row)
{
	int index = lua_gettop(L);

	luaL_checktype(L, index, LUA_TTABLE);
	row->above = field(L, index, "above");
	lua_getfield(L, index, "micros");
	lua_getfield(L, index, "rest");
	luaL_checktype(L, index + 1, LUA_TTABLE);
	luaL_checktype(L, index + 2, LUA_TTABLE);
	for (int i = 0; i < KINDS; i++) {
		lua_rawgeti(L, index + 1, i + 1);
		lua_rawgeti(L, index + 2, i + 1);
		row->rates[i] = (struct sum) { luaL_checknumber(L, -2),
			luaL_checknumber(L, -1) };
		lua_pop(L, 2);
	}
	lua_settop(L, index - 1);
}

/* rates(prices) -> handle */
static int l_rates(lua_State *L)
{
	struct rates *rates;
	size_t count;

	luaL_checktype(L, 1, LUA_TTABLE);
	lua_settop(L, 1);
	lua_getfield(L, 1, "rows");
	luaL_checktype(L, 2, LUA_TTABLE);
	count = lua_objlen(L, 2);
	luaL_argcheck(L, count > 0, 1, "prices have a row");
	rates = api_new_handle(L, sizeof(*rates) + count * sizeof(struct row), type_name);
	rates->call = split(field(L, 1, "call"));
	rates->image = split(field(L, 1, "image"));
	rates->ms = split(field(L, 1, "ms"));
	rates->row_count = count;
	for (size_t i = 0; i < count; i++) {
		lua_rawgeti(L, 2, (int)i + 1);
		read_row(L, &rates->rows[i]);
	}
	return 1;
}

/* -- a cost ----------------------------------------------------------------------- */

static void add(struct sum *cost, double count, struct sum rate)
{
	cost->micros += count * rate.micros;
	cost->rest += count * rate.rest;
}

static const struct row *row_for(const struct rates *rates,
	const struct record_usage *counted)
{
	double prompt = (double)(counted->in_fresh + counted->cache_read +
		counted->cache_write_5m + counted->cache_write_1h + counted->in_audio);
	size_t i = rates->row_count - 1;

	while (i > 0 && prompt <= rates->rows[i].above)
		i--;
	return &rates->rows[i];
}

static double cost_of(const struct rates *rates, const struct usage *usage)
{
	const struct record_usage *counted = &usage->counted;
	const struct row *row = row_for(rates, counted);
	/* The only kind that is no count of its own. */
	double text = (double)counted->out_total - (double)counted->reasoning -
		(double)usage->out_audio;
	const double counts[KINDS] = { (double)counted->in_fresh,
		(double)counted->cache_read, (double)counted->cache_write_5m,
		(double)counted->cache_write_1h, (double)counted->in_audio,
		text > 0 ? text : 0, (double)counted->reasoning,
		(double)usage->out_audio };
	struct sum cost = { 0, MILLION / 2 };

	for (size_t i = 0; i < KINDS; i++)
		add(&cost, counts[i], row->rates[i]);
	add(&cost, (double)counted->requests, rates->call);
	add(&cost, (double)counted->images, rates->image);
	add(&cost, (double)counted->audio_ms, rates->ms);
	return cost.micros + floor(cost.rest / MILLION);
}

/* cost(rates, usage) -> micros */
static int l_cost(lua_State *L)
{
	const struct rates *rates = api_check_type(L, 1, type_name);
	const struct usage *usage = usage_at(L, 2);

	luaL_argcheck(L, usage != NULL, 2, "a usage expected");
	lua_pushnumber(L, cost_of(rates, usage));
	return 1;
}

void rates_register(lua_State *L)
{
	static const luaL_Reg functions[] = { { "rates", l_rates }, { "cost", l_cost },
		{ NULL, NULL } };

	api_new_type(L, type_name, NULL, NULL);
	luaL_register(L, NULL, functions);
}
