/* Clocks, chance, hashes, log lines and the figures of the process. */
#include "script/api.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <sodium.h>

#include "base/clock.h"
#include "base/fold.h"
#include "base/log.h"
#include "script/credential.h"
#include "script/generation.h"
#include "script/process.h"
#include "script/script.h"
#include "script/state.h"
#include "storage/record_id.h"

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
	{ NULL, NULL },
};

void api_misc_register(lua_State *L)
{
	luaL_register(L, NULL, functions);
}
