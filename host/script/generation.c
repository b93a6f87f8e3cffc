#include "script/generation.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <event2/event.h>
#include <lauxlib.h>

#include "script/api.h"
#include "script/known_secrets.h"
#include "script/modules.h"
#include "script/said.h"
#include "script/sandbox.h"
#include "script/script.h"
#include "script/sources.h"
#include "storage/redaction.h"

#define SELF "neap.generation" /* registry: the generation, a light userdata */

struct generation {
	struct state *state;
	struct generation_settings settings;
	enum generation_side side;
	uint64_t id;
	int refs;
	int router_ref;            /* the module of the side */
	int call_refs[CALL_COUNT]; /* its functions */
	struct redaction *redaction;
	struct said_places said;
	struct event *collector; /* active: a step of a collection is due, */
	bool has_garbage;        /* and it has come around once */
	struct script *script;
};

/* Texts are anchored by the settings table, which stays in the registry. */
static const char *get_text(lua_State *L, const char *name)
{
	const char *text;

	lua_getfield(L, -1, name);
	text = lua_tostring(L, -1);
	lua_pop(L, 1);
	return text;
}

static double get_number(lua_State *L, const char *name)
{
	double number;

	lua_getfield(L, -1, name);
	number = lua_tonumber(L, -1);
	lua_pop(L, 1);
	return number;
}

static bool get_boolean(lua_State *L, const char *name)
{
	bool is_true;

	lua_getfield(L, -1, name);
	is_true = lua_toboolean(L, -1);
	lua_pop(L, 1);
	return is_true;
}

static void read_settings(lua_State *L, struct generation_settings *out)
{
	*out = (struct generation_settings) {
		.listen = get_text(L, "listen"),
		.admin_listen = get_text(L, "admin_listen"),
		.storage = get_text(L, "storage"),
		.certificate = get_text(L, "certificate"),
		.key = get_text(L, "key"),
		.log_format = get_text(L, "log_format"),
		.log_level = get_text(L, "log_level"),
		.worker_count = (int)get_number(L, "workers"),
		.drain_ms = api_ms(get_number(L, "drain_timeout")),
		.spool_max = (uint64_t)get_number(L, "spool"),
		.body_max = (uint64_t)get_number(L, "body_max"),
		.retention = {
			.record_age_s = (int64_t)get_number(L, "record_age"),
			.record_bytes = (uint64_t)get_number(L, "record_bytes"),
			.body_age_s = (int64_t)get_number(L, "body_age"),
			.body_bytes = (uint64_t)get_number(L, "body_bytes"),
		},
		.has_tokens = get_boolean(L, "has_tokens"),
		.has_journal = get_boolean(L, "journal"),
		.is_watched = get_boolean(L, "watch"),
		.stored_problems = get_text(L, "stored_problems"),
		.greeting = get_text(L, "greeting"),
		.sample_group = get_text(L, "sample_group"),
	};
}

/* settings.secrets is a list of texts, or nil. */
static struct redaction *read_secrets(lua_State *L)
{
	struct redaction *redaction = NULL;

	lua_getfield(L, -1, "secrets");
	if (lua_istable(L, -1))
		redaction = known_secrets_read(L, lua_gettop(L));
	lua_pop(L, 1);
	return redaction;
}

static void push_function(const struct generation *generation, const char *name)
{
	lua_State *L = state_lua(generation->state);

	lua_rawgeti(L, LUA_REGISTRYINDEX, generation->router_ref);
	lua_getfield(L, -1, name);
	lua_remove(L, -2);
}

/* Each request calls some: they are looked up once. */
static void find_calls(struct generation *generation)
{
	static const char *const names[CALL_COUNT] = {
		[CALL_SERVE] = "serve",
		[CALL_FAULT] = "fault",
		[CALL_GONE] = "gone",
		[CALL_FAILED] = "failed",
		[CALL_FINISH] = "finish",
		[CALL_FINISH_PACKED] = "finish_packed",
		[CALL_PACK] = "pack",
	};

	for (int call = 0; call < CALL_COUNT; call++) {
		push_function(generation, names[call]);
		generation->call_refs[call] = luaL_ref(state_lua(generation->state),
			LUA_REGISTRYINDEX);
	}
}

/* open(path) or peek(path) of the side's module -> settings | nil, messages */
static int open_router(struct generation *generation, const char *function,
	const char *path, struct buf *errors)
{
	lua_State *L = state_lua(generation->state);
	struct err err;
	int top = lua_gettop(L);

	push_function(generation, function);
	lua_pushstring(L, path);
	if (state_call(generation->state, 1, 2, 0, &err) != 0) {
		buf_append_text(errors, err.text);
		buf_append_text(errors, "\n");
		return -EINVAL;
	}
	if (lua_istable(L, top + 1)) {
		lua_pop(L, 1);
		read_settings(L, &generation->settings);
		generation->redaction = read_secrets(L);
		luaL_ref(L, LUA_REGISTRYINDEX);
		return 0;
	}
	buf_append_text(errors,
		lua_isstring(L, top + 2) ? lua_tostring(L, top + 2) : "?");
	buf_append_text(errors, "\n");
	lua_settop(L, top);
	return -EINVAL;
}

static int build(struct generation **out, struct sources *sources,
	enum generation_side side, const char *function, const char *path, uint64_t id,
	struct buf *errors)
{
	static const char *const modules[] = { "neap.router", "admin.api.init" };
	struct generation *generation = xcalloc(1, sizeof(*generation));
	struct buf unread = { 0 };
	struct err err;
	lua_State *L;
	int rc;

	generation->state = state_new(&state_default_limits);
	generation->side = side;
	generation->id = id;
	generation->refs = 1;
	L = state_lua(generation->state);
	errors = errors ? errors : &unread;
	sandbox_open(L);
	lua_pushlightuserdata(L, generation);
	lua_setfield(L, LUA_REGISTRYINDEX, SELF);
	lua_pushcfunction(L, api_l_open);
	lua_pushlightuserdata(L, sources);
	lua_pushstring(L, modules[side]);
	rc = state_call(generation->state, 2, 1, 0, &err);
	if (rc != 0) {
		buf_append_text(errors, err.text);
		buf_append_text(errors, "\n");
	} else {
		generation->router_ref = luaL_ref(L, LUA_REGISTRYINDEX);
		find_calls(generation);
		rc = open_router(generation, function, path, errors);
	}
	modules_close(L);
	buf_clear(&unread);
	if (rc != 0) {
		generation_unref(generation);
		return rc;
	}
	lua_gc(L, LUA_GCCOLLECT, 0);
	*out = generation;
	return 0;
}

int generation_build(struct generation **out, struct sources *sources,
	enum generation_side side, const char *path, uint64_t id, struct buf *errors)
{
	return build(out, sources, side, "open", path, id, errors);
}

int generation_peek(struct generation **out, struct sources *sources, const char *path,
	struct buf *errors)
{
	return build(out, sources, GENERATION_CLIENTS, "peek", path, 0, errors);
}

enum generation_side generation_side(const struct generation *generation)
{
	return generation->side;
}

uint64_t generation_id(const struct generation *generation)
{
	return generation->id;
}

const struct generation_settings *generation_settings(const struct generation *generation)
{
	return &generation->settings;
}

struct state *generation_state(const struct generation *generation)
{
	return generation->state;
}

struct redaction *generation_redaction(const struct generation *generation)
{
	return generation->redaction;
}

struct said_places *generation_said(struct generation *generation)
{
	return &generation->said;
}

struct generation *generation_of(lua_State *L)
{
	struct generation *generation;

	lua_getfield(L, LUA_REGISTRYINDEX, SELF);
	generation = lua_touserdata(L, -1);
	lua_pop(L, 1);
	return generation;
}

static void on_collector(evutil_socket_t fd, short what, void *arg)
{
	struct generation *generation = arg;

	(void)fd;
	(void)what;
	generation->has_garbage = !generation->has_garbage;
	if (generation->has_garbage)
		event_active(generation->collector, EV_TIMEOUT, 0);
	else
		state_collect(generation->state);
}

/* Twice around the loop's active events: the first time the runs of this turn may not all
 * have ended, the second time is behind what they send. */
static void on_garbage(void *arg)
{
	struct generation *generation = arg;

	if (!generation->has_garbage)
		event_active(generation->collector, EV_TIMEOUT, 0);
}

void generation_set_script(struct generation *generation, struct script *script)
{
	generation->script = script;
	state_set_data(generation->state, script);
	generation->collector = event_new(script->base, -1, 0, on_collector, generation);
	state_on_garbage(generation->state, on_garbage, generation);
}

int generation_begin(struct generation *generation, struct err *err)
{
	if (generation->side != GENERATION_ADMIN)
		return 0;
	push_function(generation, "start");
	return state_call(generation->state, 0, 0, 0, err);
}

void generation_push(const struct generation *generation, enum generation_call call)
{
	lua_rawgeti(state_lua(generation->state), LUA_REGISTRYINDEX,
		generation->call_refs[call]);
}

void generation_ref(struct generation *generation)
{
	generation->refs++;
}

void generation_unref(struct generation *generation)
{
	if (--generation->refs)
		return;
	/* The last one out may be a fiber of this very state, which is
	 * still on the stack. */
	if (generation->script)
		script_bury(generation->script, generation);
	else
		generation_free(generation);
}

void generation_free(struct generation *generation)
{
	if (generation->collector)
		event_free(generation->collector);
	state_free(generation->state);
	redaction_unref(generation->redaction);
	said_clear(&generation->said);
	free(generation);
}
