#include "script/legs.h"

#include <stdlib.h>

#include <event2/event.h>
#include <lauxlib.h>

#include "base/mem.h"
#include "script/api.h"
#include "script/fiber.h"
#include "script/request.h"
#include "script/script.h"
#include "script/state.h"

static const char type_name[] = "neap.legs";
#define LEGS_MAX 16    /* of one race */
#define RUNNING_MAX 64 /* of one request, in races inside of races */

struct leg {
	struct fiber *fiber; /* NULL once it has ended */
	char *problem;       /* what it raised, until that is told */
	bool is_untold;      /* it has ended, and wait() has not said so */
};

struct legs {
	struct list link; /* in request->legs */
	struct request *request;
	struct legs **box; /* the handle, emptied at the end; NULL once collected */
	struct leg legs[LEGS_MAX];
	int count;

	struct fiber *waiter; /* whoever began them, while ticket is not 0 */
	uint64_t ticket;
	struct event *timer; /* the end of a wait with a time, made at first use */
	bool is_late;
};

/* -- ends ------------------------------------------------------------------------- */

static void stop_timer(struct legs *legs)
{
	if (legs->timer)
		evtimer_del(legs->timer);
}

/* Those that still run. A leg that waits for legs of its own takes these along. */
static void cancel_all(struct legs *legs)
{
	for (int i = 0; i < legs->count; i++) {
		struct fiber *fiber = legs->legs[i].fiber;

		if (!fiber)
			continue;
		legs->legs[i].fiber = NULL;
		legs->request->leg_count--;
		fiber_cancel(fiber);
	}
}

static void legs_free(struct legs *legs)
{
	cancel_all(legs);
	for (int i = 0; i < legs->count; i++)
		free(legs->legs[i].problem);
	if (legs->timer)
		event_free(legs->timer);
	if (legs->box)
		*legs->box = NULL;
	list_remove(&legs->link);
	free(legs);
}

void legs_close(struct request *request)
{
	for (struct list *at = request->legs.next; at != &request->legs; at = at->next)
		cancel_all(CONTAINER_OF(at, struct legs, link));
	while (!list_is_empty(&request->legs))
		/* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): list_remove() unlinks it */
		legs_free(CONTAINER_OF(request->legs.next, struct legs, link));
}

static struct legs *check_legs(lua_State *L, int index)
{
	struct legs **box = api_check_type(L, index, type_name);

	if (!*box)
		luaL_error(L, "the race is over");
	return *box;
}

/* -- waiting ------------------------------------------------------------------------ */

static struct leg *find_untold(struct legs *legs)
{
	for (int i = 0; i < legs->count; i++)
		if (legs->legs[i].is_untold)
			return &legs->legs[i];
	return NULL;
}

/* Pushes what wait() gives and returns how much that is; 0: nothing yet. */
static int push_end(lua_State *L, struct legs *legs)
{
	struct leg *leg = find_untold(legs);

	if (!leg) {
		if (legs->is_late)
			lua_pushnil(L);
		return legs->is_late ? 1 : 0;
	}
	lua_pushinteger(L, leg - legs->legs + 1);
	lua_pushstring(L, leg->problem); /* nil without one */
	leg->is_untold = false;
	free(leg->problem);
	leg->problem = NULL;
	return 2;
}

static void wake(struct legs *legs)
{
	uint64_t ticket = legs->ticket;
	int count;

	if (!ticket)
		return;
	count = push_end(fiber_lua(legs->waiter), legs);
	if (!count)
		return;
	legs->ticket = 0;
	stop_timer(legs);
	fiber_resume(legs->waiter, ticket, count); /* may free the legs */
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct legs *legs = arg;

	(void)fd;
	(void)what;
	legs->is_late = true;
	wake(legs);
}

static struct leg *find_leg(struct request *request, const struct fiber *fiber,
	struct legs **of)
{
	for (struct list *at = request->legs.next; at != &request->legs; at = at->next) {
		*of = CONTAINER_OF(at, struct legs, link);
		for (int i = 0; i < (*of)->count; i++)
			if ((*of)->legs[i].fiber == fiber)
				return &(*of)->legs[i];
	}
	return NULL;
}

static void note_end(struct leg *leg, enum fiber_status status, const char *message)
{
	leg->fiber = NULL;
	leg->is_untold = true;
	if (status == FIBER_FAILED)
		leg->problem = xstrdup(message ? message : "unknown error");
}

static void on_leg_end(struct fiber *fiber, enum fiber_status status, const char *message,
	void *arg)
{
	struct request *request = arg;
	struct legs *legs;
	struct leg *leg = find_leg(request, fiber, &legs);

	if (!leg)
		return;
	request->leg_count--;
	note_end(leg, status, message);
	wake(legs);
}

/* Whoever waits for the legs is cancelled: nobody would ever look at them. */
static void cancel_wait(void *arg)
{
	struct legs *legs = arg;

	legs->ticket = 0;
	stop_timer(legs);
	cancel_all(legs);
}

/* -- methods ---------------------------------------------------------------------- */

/* start(run) -> place, from 1 on. Runs the function up to its first wait. */
static int l_start(lua_State *L)
{
	struct legs *legs = check_legs(L, 1);
	struct state *state = state_of(L);
	struct leg *leg;
	struct err err;

	luaL_checktype(L, 2, LUA_TFUNCTION);
	if (legs->count == LEGS_MAX)
		luaL_error(L, "a race has at most %d legs", LEGS_MAX);
	if (legs->request->leg_count == RUNNING_MAX)
		luaL_error(L, "a request runs at most %d legs at once", RUNNING_MAX);
	lua_settop(L, 2);
	lua_xmove(L, state_lua(state), 1);
	leg = &legs->legs[legs->count++];
	enum fiber_status status = fiber_start(&leg->fiber, state, 0, on_leg_end,
		legs->request, &err);
	if (status == FIBER_WAITS)
		legs->request->leg_count++;
	else
		note_end(leg, status, err.text);
	lua_pushinteger(L, legs->count);
	return 1;
}

/* wait(seconds?) -> place, message | nil of a leg that has ended | nil: it is late. Waits
 * until a leg has ended that was not told of yet. */
static int l_wait(lua_State *L)
{
	struct legs *legs = check_legs(L, 1);
	double seconds = luaL_optnumber(L, 2, -1);
	int count;

	legs->is_late = false;
	count = push_end(L, legs);
	if (count)
		return count;
	legs->waiter = fiber_check(L);
	if (seconds >= 0) {
		struct timeval after = api_timeval(seconds);

		if (!legs->timer)
			legs->timer = evtimer_new(legs->request->script->base, on_timer,
				legs);
		evtimer_add(legs->timer, &after);
	}
	legs->ticket = fiber_wait(L, cancel_wait, legs);
	return lua_yield(L, 0);
}

/* close(): those that still run end now; nothing more of them is heard */
static int l_close(lua_State *L)
{
	struct legs **box = api_check_type(L, 1, type_name);

	if (*box)
		legs_free(*box);
	return 0;
}

/* Lua has dropped the handle; the legs live on until their request ends. */
static int l_collect(lua_State *L)
{
	struct legs **box = api_check_type(L, 1, type_name);

	if (*box)
		(*box)->box = NULL;
	*box = NULL;
	return 0;
}

/* legs(request) -> legs, none of which has started */
static int l_legs(lua_State *L)
{
	struct request *request = request_check(L, 1);
	struct legs **box = api_new_handle(L, sizeof(struct legs *), type_name);
	struct legs *legs = xcalloc(1, sizeof(*legs));

	legs->request = request;
	legs->box = box;
	list_append(&request->legs, &legs->link);
	*box = legs;
	return 1;
}

static const luaL_Reg methods[] = {
	{ "start", l_start },
	{ "wait", l_wait },
	{ "close", l_close },
	{ NULL, NULL },
};

void legs_register(lua_State *L)
{
	api_new_type(L, type_name, methods, l_collect);
	lua_pushcfunction(L, l_legs);
	lua_setfield(L, -2, "legs");
}
