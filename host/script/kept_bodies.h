/* kept_bodies.h - the bodies of one request, kept for the journal where its group or token wants
 * that.
 *
 * The library says so before there is an answer (handle:keep_bodies). From then on the beginning
 * of the answer is copied; the client's body lies in its spool anyway. At the request's end both
 * are handed to the journal, which takes out secrets and compresses them in its own thread. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include <lua.h>

#include "http/answer_copy.h"

#define KEPT_BODIES_ROOM \
	(64 * 1024 * 1024) /* bytes of answers that a worker copies at once */

struct body;
struct record;
struct redaction;
struct request;

struct kept_bodies {
	struct answer_copy answer;
	struct redaction *redaction; /* a reference */
	size_t size_max;
	bool failures_only;
};

/* handle:keep_bodies(size_max, failures_only): at most once, before the answer. */
int kept_bodies_l_keep(lua_State *L);
/* What the journal shall have of the request's bodies, a list for journal_push(); NULL where
 * nothing is kept. */
struct body *kept_bodies_take(struct request *request, const struct record *record);
/* NULL is fine. The exchange must not add to it any more. */
void kept_bodies_free(struct kept_bodies *kept);
