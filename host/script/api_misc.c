/* Clocks, chance, hashes, log lines and the figures of the process. */
#include "script/api.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <event2/event.h>
#include <sodium.h>

#include "base/clock.h"
#include "base/fold.h"
#include "base/log.h"
#include "http/exchange.h"
#include "http/spool.h"
#include "script/attempt.h"
#include "script/credential.h"
#include "script/fiber.h"
#include "script/generation.h"
#include "script/process.h"
#include "script/request.h"
#include "script/script.h"
#include "script/state.h"
#include "storage/record_id.h"

#define SECONDS_MAX 2000000.0 /* 24 days: what fits into an int of milliseconds */

/* What a handle's memory begins with: the name of its type, compared by its address. Each
 * userdata that Lua has begins with a pointer, see api_new_bare(). */
struct handle {
	const char *type;
	_Alignas(max_align_t) char content[];
};

struct timeval api_timeval(double seconds)
{
	if (!(seconds > 0))
		seconds = 0;
	if (seconds > SECONDS_MAX)
		seconds = SECONDS_MAX;
	return (struct timeval) {
		.tv_sec = (time_t)seconds,
		.tv_usec = (suseconds_t)((seconds - (double)(time_t)seconds) * 1e6),
	};
}

int api_ms(double seconds)
{
	if (!(seconds > 0))
		return 0;
	if (seconds > SECONDS_MAX)
		seconds = SECONDS_MAX;
	return seconds < 0.001 ? 1 : (int)(seconds * 1000);
}

void api_new_type(lua_State *L, const char *name, const luaL_Reg *methods,
	lua_CFunction collect)
{
	luaL_newmetatable(L, name);
	if (methods) {
		lua_newtable(L);
		luaL_register(L, NULL, methods);
		lua_setfield(L, -2, "__index");
	}
	if (collect) {
		lua_pushcfunction(L, collect);
		lua_setfield(L, -2, "__gc");
	}
	lua_pushboolean(L, 0);
	lua_setfield(L, -2, "__metatable");
	lua_pushlightuserdata(L, (void *)(uintptr_t)name);
	lua_insert(L, -2);
	lua_rawset(L, LUA_REGISTRYINDEX);
}

void *api_new_handle(lua_State *L, size_t size, const char *name)
{
	struct handle *handle = lua_newuserdata(L, sizeof(*handle) + size);

	memset(handle, 0, sizeof(*handle) + size);
	handle->type = name;
	/* By the name's place: a text would be interned anew for each handle. */
	lua_pushlightuserdata(L, (void *)(uintptr_t)name);
	lua_rawget(L, LUA_REGISTRYINDEX);
	lua_setmetatable(L, -2);
	return handle->content;
}

void api_new_bare(lua_State *L)
{
	const char **type = lua_newuserdata(L, sizeof(*type));

	*type = NULL;
}

void *api_to_type(lua_State *L, int index, const char *name)
{
	struct handle *handle = lua_touserdata(L, index);

#ifdef NEAP_SANITIZE
	/* Else this is asked too often. */
	assert(!handle || lua_objlen(L, index) >= sizeof(handle->type));
#endif
	return handle && handle->type == name ? handle->content : NULL;
}

void *api_check_type(lua_State *L, int index, const char *name)
{
	void *content = api_to_type(L, index, name);

	if (!content)
		luaL_typerror(L, index, name);
	return content;
}

void api_set_number(lua_State *L, const char *name, double number)
{
	lua_pushnumber(L, number);
	lua_setfield(L, -2, name);
}

struct script *api_script(lua_State *L)
{
	struct script *script = state_data(state_of(L));

	if (!script)
		luaL_error(L, "this works in a running neap only, not while it loads");
	return script;
}

/* now() -> seconds of a clock that never jumps */
static int l_now(lua_State *L)
{
	lua_pushnumber(L, (double)clock_us() / 1e6);
	return 1;
}

/* wall() -> seconds since 1970 */
static int l_wall(lua_State *L)
{
	lua_pushnumber(L, (double)clock_wall_us() / 1e6);
	return 1;
}

/* time_text(wall) -> "2026-11-21T08:00:00.123Z" */
static int l_time_text(lua_State *L)
{
	double wall = luaL_checknumber(L, 1);
	time_t seconds = (time_t)wall;
	char text[40], whole[80];
	struct tm utc;

	gmtime_r(&seconds, &utc);
	strftime(text, sizeof(text), "-%m-%dT%H:%M:%S", &utc);
	snprintf(whole, sizeof(whole), "%04d%s.%03dZ", utc.tm_year + 1900, text,
		(int)((wall - (double)seconds) * 1000));
	lua_pushstring(L, whole);
	return 1;
}

/* Random bytes out of a pool that is filled by one system call for many. */
static void random_bytes(void *out, size_t size)
{
	static __thread unsigned char pool[1024];
	static __thread size_t left;

	if (left < size) {
		randombytes_buf(pool, sizeof(pool));
		left = sizeof(pool);
	}
	left -= size;
	memcpy(out, pool + left, size);
}

/* random() -> number in [0, 1) */
static int l_random(lua_State *L)
{
	uint64_t bits;

	random_bytes(&bits, sizeof(bits));
	lua_pushnumber(L, (double)(bits >> 11) / 9007199254740992.0);
	return 1;
}

/* hash(text) -> whole number below 2^53; the same for the same text in every process */
static int l_hash(lua_State *L)
{
	static const unsigned char key[crypto_shorthash_KEYBYTES] = "neap.policy";
	size_t size;
	const char *text = luaL_checklstring(L, 1, &size);
	uint64_t bits;

	crypto_shorthash((unsigned char *)&bits, (const unsigned char *)text, size, key);
	lua_pushnumber(L, (double)(bits >> 11));
	return 1;
}

/* fold(text) -> the text in lower case, in every script that has one */
static int l_fold(lua_State *L)
{
	size_t size;
	const char *text = luaL_checklstring(L, 1, &size);
	char *room;

	state_charge(L, size * 16);
	room = lua_newuserdata(L, fold_room(size));
	lua_pushlstring(L, room, fold(room, text, size));
	return 1;
}

/* digest(text) -> 32 bytes; see credential.h */
static int l_digest(lua_State *L)
{
	unsigned char digest[CREDENTIAL_DIGEST];
	size_t size;
	const char *text = luaL_checklstring(L, 1, &size);

	credential_digest(digest, text, size);
	lua_pushlstring(L, (const char *)digest, sizeof(digest));
	return 1;
}

void api_make_id(unsigned char id[16], int64_t wall_us)
{
	uint64_t ms = (uint64_t)(wall_us / 1000);

	random_bytes(id, 16);
	for (int i = 0; i < 6; i++)
		id[i] = (unsigned char)(ms >> (40 - 8 * i));
	id[6] = (unsigned char)(0x70 | (id[6] & 0x0f));
	id[8] = (unsigned char)(0x80 | (id[8] & 0x3f));
}

/* id() -> a UUIDv7 */
static int l_id(lua_State *L)
{
	unsigned char id[16];
	char text[RECORD_ID_TEXT];

	api_make_id(id, clock_wall_us());
	record_id_write(id, text);
	lua_pushlstring(L, text, sizeof(text));
	return 1;
}

/* log(level, area, text) */
static int l_log(lua_State *L)
{
	static const char *const names[] = { "debug", "info", "warn", "error", NULL };
	int level = luaL_checkoption(L, 1, "info", names);
	const char *area = luaL_checkstring(L, 2);

	log_message((enum log_level)level, area, "%s", luaL_checkstring(L, 3));
	return 0;
}

/* log_line(text): a finished line of level info */
static int l_log_line(lua_State *L)
{
	size_t size;
	const char *text = luaL_checklstring(L, 1, &size);

	if (log_covers(LOG_INFO))
		log_line(text, size);
	return 0;
}

/* figures() -> what health shows of the process */
static int l_figures(lua_State *L)
{
	struct script *script = api_script(L);
	struct process *process = script->process;
	int connections = 0;

	for (int i = 0; i < process->worker_count; i++)
		connections += process->connection_counts[i];
	lua_createtable(L, 0, 16);
	api_set_number(L, "uptime", (double)(clock_us() - process->start_us) / 1e6);
	api_set_number(L, "workers", process->worker_count);
	api_set_number(L, "generation", (double)process->generation);
	api_set_number(L, "reloads", (double)process->reload_count);
	api_set_number(L, "reload_errors", (double)process->reload_errors);
	api_set_number(L, "connections", connections);
	api_set_number(L, "admin_connections",
		process->connection_counts[process->worker_count]);
	api_set_number(L, "requests", process->request_count);
	api_set_number(L, "attempts", process->attempt_count);
	api_set_number(L, "log_dropped", (double)log_dropped());
	api_set_number(L, "late", (double)process->late_count);
	api_set_number(L, "done_skipped", (double)process->tallies[TALLY_DONE_SKIPPED]);
	api_set_number(L, "overhead_count", (double)process->overhead_count);
	api_set_number(L, "overhead", (double)process->overhead_us / 1e6);
	api_set_number(L, "overhead_routing", (double)process->overhead_routing_us / 1e6);
	lua_pushboolean(L, process->is_draining);
	lua_setfield(L, -2, "draining");
	return 1;
}

/* tally(name, step) -> the sum, for all workers; step 0 only reads it */
static int l_tally(lua_State *L)
{
	static const char *const names[] = { "faults", "done_skipped", NULL };
	int place = luaL_checkoption(L, 1, NULL, names);
	lua_Integer step = luaL_checkinteger(L, 2);
	_Atomic uint64_t *sum = &api_script(L)->process->tallies[place];

	luaL_argcheck(L, step >= 0, 2, "a tally only grows");
	if (step > 0)
		atomic_fetch_add(sum, (uint64_t)step);
	lua_pushnumber(L, (double)atomic_load(sum));
	return 1;
}

static int l_generation(lua_State *L)
{
	const struct generation *generation = generation_of(L);

	if (!generation)
		return luaL_error(L, "there is no generation here");
	lua_pushnumber(L, (double)generation_id(generation));
	return 1;
}

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
	{ "now", l_now },
	{ "wall", l_wall },
	{ "time_text", l_time_text },
	{ "random", l_random },
	{ "hash", l_hash },
	{ "fold", l_fold },
	{ "digest", l_digest },
	{ "id", l_id },
	{ "log", l_log },
	{ "log_line", l_log_line },
	{ "figures", l_figures },
	{ "generation", l_generation },
	{ "tally", l_tally },
	{ "sleep", l_sleep },
	{ "set_boundary", l_set_boundary },
	{ "relax", l_relax },
	{ "limit_cpu", l_limit_cpu },
	{ NULL, NULL },
};

void api_misc_register(lua_State *L)
{
	luaL_register(L, NULL, functions);
	set_give_way(L);
}
