/* What a run asks of the loop and of its limits: to sleep, to give way, to go on. */
#include <stdbool.h>

#include <event2/event.h>
#include <lauxlib.h>

#include "http/exchange.h"
#include "http/spool.h"
#include "script/api.h"
#include "script/attempt.h"
#include "script/fiber.h"
#include "script/request.h"
#include "script/script.h"
#include "script/state.h"

/* -- sleep ------------------------------------------------------------------------- */

/* In a userdata that the registry keeps until the wait is over. */
struct nap {
	struct fiber *fiber;
	struct event *timer;
	uint64_t ticket;
	int ref;
};

static void end_nap(struct nap *nap)
{
	lua_State *L = fiber_lua(nap->fiber);

	event_free(nap->timer);
	luaL_unref(L, LUA_REGISTRYINDEX, nap->ref);
}

static void on_nap_end(evutil_socket_t fd, short what, void *arg)
{
	struct nap *nap = arg;
	struct fiber *fiber = nap->fiber;
	uint64_t ticket = nap->ticket;

	(void)fd;
	(void)what;
	end_nap(nap);
	fiber_resume(fiber, ticket, 0);
}

static void cancel_nap(void *arg)
{
	end_nap(arg);
}

/* sleep(seconds). Waits. */
static int l_sleep(lua_State *L)
{
	struct timeval after = api_timeval(luaL_checknumber(L, 1));
	struct script *script = api_script(L);
	struct fiber *fiber = fiber_check(L);
	struct nap *nap = lua_newuserdata(L, sizeof(*nap));

	nap->ref = luaL_ref(L, LUA_REGISTRYINDEX);
	nap->fiber = fiber;
	nap->timer = evtimer_new(script->base, on_nap_end, nap);
	evtimer_add(nap->timer, &after);
	nap->ticket = fiber_wait(L, cancel_nap, nap);
	return lua_yield(L, 0);
}

/* -- turns of the loop -------------------------------------------------------------- */

/* Whether it brings more along than should wait. */
static bool is_heavy(const struct request *request)
{
	const struct spool *body = exchange_body(request->exchange);

	return (body && spool_size(body) > TURN_BYTES_MAX) ||
		attempts_held(request) > TURN_BYTES_MAX;
}

/* give_way.STAGE(): others of the same turn of the loop may go first, and this in that
 * stage. A leg of a race does not wait, nor what runs without a request. */
static int l_give_way(lua_State *L)
{
	const struct request *request = request_of(L);

	if (!request || !turn_is_crowded(request->script->turn) || is_heavy(request))
		return 0;
	return fiber_give_way(L, request->script->turn,
		(enum turn_stage)lua_tointeger(L, lua_upvalueindex(1)));
}

/* Sets give_way in the table at the top of the stack: a function for each stage, which a request
 * calls without naming it each time. */
static void set_give_way(lua_State *L)
{
	static const struct {
		const char *name;
		enum turn_stage stage;
	} stages[] = {
		{ "replies", TURN_REPLIES },
		{ "records", TURN_RECORDS },
		{ "routes", TURN_ROUTES },
		{ "starts", TURN_STARTS },
	};

	lua_createtable(L, 0, (int)COUNT_OF(stages));
	for (size_t i = 0; i < COUNT_OF(stages); i++) {
		lua_pushinteger(L, stages[i].stage);
		lua_pushcclosure(L, l_give_way, 1);
		lua_setfield(L, -2, stages[i].name);
	}
	lua_setfield(L, -2, "give_way");
}

/* -- limits of a run ----------------------------------------------------------------- */

static int l_set_boundary(lua_State *L)
{
	luaL_checktype(L, 1, LUA_TFUNCTION);
	lua_settop(L, 1);
	state_set_boundary(L);
	return 0;
}

/* relax() -> whether the run had overrun its limits; it may go on a little */
static int l_relax(lua_State *L)
{
	bool was_overrun = state_is_overrun(L);

	state_relax(L);
	lua_pushboolean(L, was_overrun);
	return 1;
}

/* limit_cpu(ms) -> whether the run, which had no limit, has this one now; 0 ends it */
static int l_limit_cpu(lua_State *L)
{
	lua_pushboolean(L, state_limit_cpu(L, (int)luaL_checkinteger(L, 1)));
	return 1;
}

static const luaL_Reg functions[] = {
	{ "sleep", l_sleep },
	{ "set_boundary", l_set_boundary },
	{ "relax", l_relax },
	{ "limit_cpu", l_limit_cpu },
	{ NULL, NULL },
};

void api_run_register(lua_State *L)
{
	luaL_register(L, NULL, functions);
	set_give_way(L);
}
