/* api.h - what the files of the private module neap.host share.
 *
 * Each api_*_register() adds its functions to the table at the top of the stack. The
 * functions are described for Lua in lua/neap/host.lua. */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/time.h>

#include <lauxlib.h>
#include <lua.h>

struct change_op;
struct err;
struct health;
struct request;
struct scan_marks;
struct sources;
struct state;
struct transfer_request;

/* A lua_CFunction for a new state: (sources as a light userdata, name of a module) -> the
 * module, with all of neap.host and require in place. */
int api_l_open(lua_State *L);

/* A state for a command that serves nobody (explain, test, …), with the module of that name
 * open at the top of its stack; it may grow as far as memory goes. NULL where it does not
 * open, and err says why. The caller frees it. */
struct state *api_command_state(struct sources *sources, const char *module,
	struct err *err);

/* A new UUIDv7 (RFC 9562, section 5.7). */
void api_make_id(unsigned char id[16], int64_t wall_us);

void api_misc_register(lua_State *L);
void api_run_register(lua_State *L);
void api_shared_register(lua_State *L);
void api_journal_register(lua_State *L);
void api_recost_register(lua_State *L);
void api_record_register(lua_State *L);
void api_object_register(lua_State *L);
void api_request_register(lua_State *L);
void api_secret_register(lua_State *L);
void api_storage_register(lua_State *L);
/* In usage.c and rates.c: what an answer took, and what that costs. */
void usage_register(lua_State *L);
void rates_register(lua_State *L);
void attempt_register(lua_State *L);
void legs_register(lua_State *L);
/* In api_body.c: methods of a request's handle. */
int api_body_member(lua_State *L);
int api_body_look(lua_State *L);
int api_body_guess(lua_State *L);
int api_body_kind(lua_State *L);
/* What receive() gives, once the body is complete or never can be; how many values. */
int api_body_push_received(lua_State *L, struct request *request);
/* In fetch.c: host.fetch. */
void fetch_register(lua_State *L);

/* The type of a handle, with its methods as __index and collect as __gc, where there are
 * any; nothing else of it can be reached from Lua. name: its address is what tells the type
 * from others. */
void api_new_type(lua_State *L, const char *name, const luaL_Reg *methods,
	lua_CFunction collect);
/* Pushes a new handle of a type and returns its memory: size bytes, zeroed. */
void *api_new_handle(lua_State *L, size_t size, const char *name);
/* Pushes a new userdata that is no handle and has no memory. All that Lua has begin with a
 * pointer: that is looked at where a handle is expected. */
void api_new_bare(lua_State *L);
/* The memory of the handle at index; raises for anything else. Handles belong to the library,
 * so that this finds mistakes: policies cannot get at them. */
void *api_check_type(lua_State *L, int index, const char *name);
/* The same; NULL for anything else. */
void *api_to_type(lua_State *L, int index, const char *name);
/* Sets a number of the table at the top of the stack. */
void api_set_number(lua_State *L, const char *name, double number);
/* Seconds from Lua; negative counts as 0, more than 24 days as that. */
struct timeval api_timeval(double seconds);
int api_ms(double seconds);
/* The worker's script side; raises at load time, when there is none. */
struct script *api_script(lua_State *L);
/* In api_json.c: what Lua calls a value's kind, by enum json_kind; NULL of JSON_NONE. */
extern const char *const api_json_kinds[];
/* In api_json.c: scan_path() with the arguments from first on; marks may be NULL. */
int api_find(lua_State *L, const struct scan_marks *marks, const char *data, size_t size,
	int first);
/* The same, giving kind and size instead of the text. */
int api_measure(lua_State *L, const struct scan_marks *marks, const char *data,
	size_t size, int first);
/* In api_storage.c: the list of ops at index, as host.store_write takes it, and how many bytes
 * they have; the memory is a userdata that is left on the stack, the texts are the list's.
 * Raises where it is no such list. */
struct change_op *api_check_ops(lua_State *L, int index, size_t *count, size_t *size);
/* In api_shared.c. */
struct health *api_check_health(lua_State *L, int index);
/* In api_request.c: the body at index: a text, or edits of the request's own, or nil. */
void api_get_body(lua_State *L, int index, struct request *request,
	struct transfer_request *out);
