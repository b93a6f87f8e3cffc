/* generation.h - one loaded set of router.lua, policies and library, in a
 * state of one worker.
 *
 * The loader builds a generation for itself (which checks everything) and then one for
 * each worker out of the same sources, and hands them over; a worker never compiles.
 * Requests hold a reference from their arrival to their end, or to the commit where the
 * host relays natively; the last one out frees the state.
 *
 * Built on the loader's thread; after the hand-over only the worker's
 * thread touches it. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "script/state.h"
#include "storage/retention.h"

/* Whom a generation's state serves: it is the module that the host calls. */
enum generation_side {
	GENERATION_CLIENTS, /* neap.router */
	GENERATION_ADMIN,   /* admin.api.init, which has the same functions */
};

/* What requests call of the side's module, by its function's name in lower case. */
enum generation_call {
	CALL_SERVE,
	CALL_FAULT,
	CALL_GONE,
	CALL_FAILED,
	CALL_FINISH,
	CALL_FINISH_PACKED,
	CALL_PACK,
	CALL_COUNT
};

struct generation;
struct redaction;
struct said_places;
struct script;
struct sources;

/* What the host itself needs to know of router.lua. Texts belong to the generation. */
struct generation_settings {
	const char *listen;
	const char *admin_listen; /* NULL: there is no admin side */
	const char *storage;      /* absolute path */
	const char *certificate;  /* NULL: plain */
	const char *key;
	const char *log_format; /* "auto", "text", "json" */
	const char *log_level;
	int worker_count; /* 0: as many as there are cores */
	int drain_ms;
	uint64_t spool_max;         /* bytes */
	uint64_t body_max;          /* bytes */
	struct retention retention; /* of the journal */
	bool has_tokens;
	bool has_journal; /* else requests leave no records */
	bool is_watched;
	const char *stored_problems; /* of stored configuration; a line each, or NULL */
	const char *greeting;        /* what serve prints behind the address, or NULL */
	const char *sample_group; /* of its example; letters, digits and _.:/-; or NULL */
};

/* path: of router.lua. On failure errors (may be NULL) gets every message, one per line,
 * each "file:line: text"; returns -EINVAL. */
MUST_CHECK
int generation_build(struct generation **out, struct sources *sources,
	enum generation_side side, const char *path, uint64_t id, struct buf *errors);
/* Reads and checks router.lua alone: no more than settings can be asked of it. */
MUST_CHECK
int generation_peek(struct generation **out, struct sources *sources, const char *path,
	struct buf *errors);
enum generation_side generation_side(const struct generation *generation);
uint64_t generation_id(const struct generation *generation);
const struct generation_settings *generation_settings(
	const struct generation *generation);
struct state *generation_state(const struct generation *generation);
/* The secrets that its configuration knows, for bodies that are kept; borrowed. NULL: it keeps
 * none. */
struct redaction *generation_redaction(const struct generation *generation);
/* Where bodies have what their users say, as its dialects told at load. */
struct said_places *generation_said(struct generation *generation);
/* The generation whose state this is; NULL for a state that is none's (tests). */
struct generation *generation_of(lua_State *L);
/* What the state's bindings work on; NULL while it is being built. */
void generation_set_script(struct generation *generation, struct script *script);
/* Tells the admin side's module that it is in force: start(), which begins jobs. */
MUST_CHECK
int generation_begin(struct generation *generation, struct err *err);
/* Pushes a function of the side's module on the main stack. */
void generation_push(const struct generation *generation, enum generation_call call);
void generation_ref(struct generation *generation);
/* The last one hands a worker's generation to script_bury(). */
void generation_unref(struct generation *generation);
/* For script.c: frees it, whoever refers to it. */
void generation_free(struct generation *generation);
