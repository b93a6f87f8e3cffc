/* What the admin side changes in the journal, from Lua: other costs for records, which waits on
 * the journal's writer, and a look for what is old. */
#include <errno.h>
#include <stdlib.h>

#include "script/api.h"
#include "script/errand.h"
#include "script/process.h"
#include "script/script.h"
#include "script/state.h"
#include "storage/journal.h"
#include "storage/recost.h"
#include "storage/record_id.h"
#include "storage/storage.h"

#define COST_MAX 9e15 /* micros: what a number holds to the unit */

struct question {
	struct store_errand at;
	struct recost recost;
	struct recost_change changes[];
};

static int run(struct txn *txn, void *job, struct err *err)
{
	struct question *question = store_errand_of(job);

	return recost(txn, &question->recost, err);
}

static int push(lua_State *L, struct errand *errand)
{
	struct question *question = (struct question *)errand;

	if (errand->job->rc == -EBUSY) {
		lua_pushnil(L);
		lua_pushliteral(L, "busy");
		lua_pushstring(L, errand->job->err.text);
		return 3;
	}
	if (errand->job->rc)
		return errand_push_failure(L, errand);
	lua_pushinteger(L, question->recost.changed);
	lua_pushinteger(L, question->recost.missing);
	return 2;
}

/* The change number at (from 0) of the flat list at index 1; raises where it is none. */
static void read_change(lua_State *L, size_t at, struct recost_change *change)
{
	double version;
	struct bytes id;

	for (int i = 1; i <= 3; i++)
		lua_rawgeti(L, 1, (int)at * 3 + i);
	id.data = luaL_checklstring(L, -3, &id.size);
	if (record_id_read(id, change->id) != 0)
		luaL_error(L, "change %d has no id of a record", (int)at + 1);
	change->has_cost = lua_isnumber(L, -2);
	if (change->has_cost) {
		double cost = lua_tonumber(L, -2);

		if (!(cost >= 0 && cost <= COST_MAX))
			luaL_error(L, "change %d has a cost that none can be",
				(int)at + 1);
		change->cost_micros = (int64_t)cost;
	}
	version = luaL_checknumber(L, -1);
	if (!(version >= 0 && version <= UINT32_MAX))
		luaL_error(L, "change %d has no version of a price", (int)at + 1);
	change->price_version = change->has_cost ? (uint32_t)version : 0;
	lua_pop(L, 3);
}

/* journal_recost { id, cost_micros | false, price_version, … } -> changed, missing; or nil, why,
 * text. Waits. */
static int l_recost(lua_State *L)
{
	struct script *script = api_script(L);
	struct question *question;
	size_t count;

	luaL_checktype(L, 1, LUA_TTABLE);
	lua_settop(L, 1);
	count = lua_objlen(L, 1) / 3;
	luaL_argcheck(L, count <= RECOST_MAX && lua_objlen(L, 1) % 3 == 0, 1,
		"three of each change");
	if (!script->is_admin || !script->process->storage)
		luaL_error(L, "only the admin side changes the journal");
	for (size_t i = 0; i < count; i++)
		read_change(L, i, &(struct recost_change) { 0 });
	question = store_errand_new(L,
		sizeof(*question) + count * sizeof(struct recost_change), run, push,
		NULL);
	/* Nothing raises any more: all of it was looked at. */
	for (size_t i = 0; i < count; i++)
		read_change(L, i, &question->changes[i]);
	question->recost.changes = question->changes;
	question->recost.count = count;
	return store_errand_start(L, &question->at,
		storage_journal_writer(script->process->storage));
}

/* journal_retain() -> number | nil where there is no journal */
static int l_retain(lua_State *L)
{
	struct script *script = api_script(L);

	if (!script->is_admin)
		luaL_error(L, "only the admin side changes the journal");
	if (script->process->journal)
		lua_pushnumber(L, (double)journal_retain(script->process->journal));
	else
		lua_pushnil(L);
	return 1;
}

void api_recost_register(lua_State *L)
{
	lua_pushcfunction(L, l_recost);
	lua_setfield(L, -2, "journal_recost");
	lua_pushcfunction(L, l_retain);
	lua_setfield(L, -2, "journal_retain");
}
