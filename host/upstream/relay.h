/* relay.h - a response on its way to the client, byte for byte, without any Lua.
 *
 * The relay takes over a gate and writes its bytes, then the transfer's, into a sink,
 * with backpressure. Of a stream of events it knows only what the plan says: which
 * events to keep for the usage, which to drop, which one ends the stream. All other
 * bytes, comments and white space included, pass as they came. An event is written when
 * it is complete, or when RELAY_HOLD bytes of it are there (then it passes whole,
 * whatever the plan says).
 *
 * All on the worker's thread. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/sink.h"
#include "json/scan.h"
#include "upstream/gate.h"

#define RELAY_HOLD (64 * 1024)
#define RELAY_KEPT_MAX (64 * 1024) /* bytes of one kept event; a longer one is not kept */
#define RELAY_TAIL \
	4096 /* bytes at the end of what is no stream of events, that are kept */

struct relay;

enum relay_action {
	RELAY_KEEP_FIRST, /* keep the first event that the rule meets */
	RELAY_KEEP_LAST,  /* keep the last one */
	RELAY_DROP,       /* the client does not get it */
	/* The stream is complete with it; what follows within a second passes as it is,
	 * and no failure after it counts. */
	RELAY_END,
	/* The provider reports an error: the event passes, the stream ends behind
	 * it, kept as first. */
	RELAY_ERROR,
	RELAY_FINISH, /* what the provider had to say is said; more events may follow */
};

/* One condition on an event. Exactly one of event_name, data, member and text is set. A member
 * that is null counts as absent. */
struct relay_condition {
	const char *event_name; /* the SSE event field is this */
	const char *data;    /* the whole data is this text ("[DONE]"), but for blanks */
	const char *member;  /* a top-level member of the data, which … */
	const char *is;      /* … has this text, byte for byte, or NULL */
	enum json_kind kind; /* … is of this kind (JSON_NULL: or is absent), or
				   JSON_NONE: says something, is neither null nor
				   false nor empty */
	/* A member somewhere in the data, however deep, which is a text that is not empty. Of
	 * data with very many members that is taken for granted. */
	const char *text;
};

struct relay_rule {
	const struct relay_condition *conditions; /* all must hold */
	size_t condition_count;
	enum relay_action action;
};

/* Rules are tried in order and each one that holds acts: one may keep what the next
 * drops. */
struct relay_plan {
	const struct relay_rule *rules;
	size_t rule_count;
	/* What the client gets behind a stream that breaks off; NULL: the
	 * connection is cut instead. */
	const char *broken;
	const char *late; /* the same where a timer ended it; NULL: broken */
	/* A stream that ends, even properly, before RELAY_END or RELAY_FINISH, or in the middle of
	 * an event, was cut short. An event is whole without its blank line. */
	bool must_finish;
};

enum relay_outcome {
	RELAY_COMPLETE,
	RELAY_FAILED,    /* an event met RELAY_ERROR */
	RELAY_TRUNCATED, /* the transfer broke or timed out, or ended too early */
};

struct relay_result {
	enum relay_outcome outcome;
	enum transfer_result transfer; /* how the transfer ended */
	const char *error;             /* a text about it, or "" */
	uint64_t size;                 /* bytes of body written */
	int64_t first_us;              /* clock_us() of the first byte written, or 0 */
	/* Of a stream of events: how many passed that carry data, without those that end
	 * it or are dropped, and the bytes of their data. */
	uint64_t events, event_bytes;
	/* By rule: the data, NUL-terminated; NULL where that rule kept nothing. */
	const char *const *kept;
	const size_t *kept_size;
	/* Of anything else: its last bytes. */
	const char *tail;
	size_t tail_size;
};

/* From the event loop, exactly once unless the relay was closed first; sink and gate are
 * gone by then, the relay is freed after it. */
typedef void relay_fn(const struct relay_result *result, void *arg);

/* Takes the gate and ends or cuts the sink. plan NULL: no events, bytes only (a break
 * cuts the sink). The plan must live until on_end or relay_close(). */
struct relay *relay_start(struct gate *gate, struct sink *sink,
	const struct relay_plan *plan, relay_fn *on_end, void *arg);
/* Changes who is told of the end. */
void relay_set_handler(struct relay *relay, relay_fn *on_end, void *arg);
/* As transfer_is_free_of_pieces(). */
bool relay_is_free_of_pieces(const struct relay *relay);
/* The client is gone: reads on for the kept events for at most ms and writes nothing any
 * more; the sink is not touched again. on_end comes. */
void relay_drain(struct relay *relay, int ms);
/* Gives the transfer up and ends as where it breaks off: the reader is told in its own
 * protocol. why must live until on_end, which comes. */
void relay_break_off(struct relay *relay, const char *why);
/* What would be reported if it ended now; for a relay that is about to be closed. */
void relay_peek(const struct relay *relay, struct relay_result *result);
/* Stops at once; the sink is not touched; no on_end. */
void relay_close(struct relay *relay);
