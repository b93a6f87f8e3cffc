/* request.h - one client request on its way through Lua.
 *
 * It joins an exchange (the client's side), a fiber in router.lua, the attempts that the
 * fiber makes and at last perhaps a relay, and decides what happens when one of them ends
 * or the client leaves. Its handle in Lua is the only thing that Lua holds of it; the
 * handle is emptied when the request is freed, so that late use raises.
 *
 * Phases: reading or running (a fiber), then relaying (no Lua), then the end (a fiber
 * of router.finish). */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <lua.h>

#include "base/arena.h"
#include "base/list.h"
#include "base/turn.h"
#include "script/arrival.h"
#include "script/fiber.h"
#include "script/script.h"

struct generation;
struct kept_bodies;
struct relay;
struct relay_result;
struct plan;
struct scan;

enum leave { LEAVE_CANCEL, LEAVE_DRAIN, LEAVE_DETACH }; /* on_disconnect */

struct request {
	struct list link; /* in script->requests */
	struct script *script;
	struct generation *generation; /* referenced; NULL once a relay let go of it */
	struct exchange *exchange;     /* referenced */
	struct request **handle;       /* in Lua, kept by its registry; NULL: none */
	struct scan *scan;             /* of the body; NULL without one */
	struct turn_task start;        /* waits until its fiber may begin */
	struct fiber *fiber;
	struct list attempts; /* struct attempt, open or not; they die with the request */
	struct list legs;     /* struct legs: of races that are on */
	int leg_count;        /* of these, those that run */
	struct arena arena;
	struct arrival arrival;

	bool is_received; /* the body is complete */
	bool is_receiving;
	int fault_status;        /* what is wrong with the body, or 0 */
	char *fault_text;        /* in the arena */
	uint64_t receive_ticket; /* the fiber waits for the body */

	int answer_status; /* of an answer that was begun: nothing but its rest can follow; or 0 */
	bool is_ended;    /* the answer has ended (or the client is gone for good) */
	bool is_gone;     /* the client left first */
	bool is_failing;  /* router.failed runs already */
	bool is_recorded; /* its record was written */
	enum leave leave;
	struct event *leave_timer; /* the end of a drain */
	uint64_t write_ticket;     /* the fiber waits for the client to read on */

	struct relay *relay;
	struct plan *plan;              /* referenced, for the relay */
	struct health *relay_health[2]; /* in flight until the relay's end */
	bool has_record;                /* as the environment of its handle */
	char *record_text; /* the record, packed, once the generation is let go */
	size_t record_size;
	int64_t first_us;         /* of the first byte of the answer's body */
	struct kept_bodies *kept; /* NULL: the journal gets no bodies */
};

/* The request of a handle at index; raises if there is none any more. */
struct request *request_check(lua_State *L, int index);
/* The type of its handle in Lua, for api_new_type(). */
extern const char request_type_name[];
/* The fiber's owner, where it is a request's. */
struct request *request_of(lua_State *L);
/* What the request's end, by whatever way, will be told with: the table at index record becomes
 * the record of the handle's request. */
void request_set_record(lua_State *L, int handle, int record);
/* Pushes the record that Lua gave to the request, or nil. */
void request_push_record(lua_State *L, struct request *request);
/* Hands a started answer to a relay (called by the binding); the fiber
 * ends right after. */
void request_relay(struct request *request, struct relay *relay);
void request_on_relay_end(const struct relay_result *result, void *arg);
/* Packs the record and lets go of the generation, where a relay runs without Lua. */
void request_let_go(struct request *request);
/* Ends the request without Lua: at the process's end. */
void request_free(struct request *request);
/* neap stops: a stream breaks off, and who waits for an answer hears why there is none. The
 * request may be gone when this returns. */
void request_stop(struct request *request);
