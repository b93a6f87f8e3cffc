#include "upstream/relay.h"

#include <event2/event.h>
#include <event2/event_struct.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "upstream/relay_plan.h"

#define LINGER_MS 1000 /* for what comes behind the event that ended the stream */

/* Where an event that passes unlooked-at ends: behind its blank line. */
struct tail {
	bool is_blank; /* the line has no bytes yet */
	bool is_cr;    /* the last byte was a CR, which a LF may follow */
	bool is_ended; /* … and the CR ended the blank line */
};

/* What each event looks at stands first: with thousands of streams all of it comes from
 * memory. */
struct relay {
	struct gate *gate; /* NULL once the transfer does not matter any more */
	struct transfer *transfer;
	struct sink *sink;       /* NULL: ended, or its reader is gone */
	struct planner *planner; /* NULL: bytes only */
	bool is_begun; /* the first event is through: no byte order mark any more */
	bool is_passing;
	bool is_over;     /* an event has ended the stream; what follows passes */
	bool is_finished; /* an event has said that nothing has to follow */
	bool is_waiting;  /* for the sink to be drained */
	struct tail tail;
	struct buf hold; /* the event that is not complete */
	struct buf joined;
	struct relay_result result;
	const struct relay_plan *plan;
	relay_fn *on_end;
	void *arg;
	char *last; /* the last bytes of what has no events, once there are some */
	char *error;
	const char *why;    /* a text about the end, where the transfer has none */
	struct event later; /* tells of the end */
};

static void on_drained(void *arg)
{
	struct relay *relay = arg;

	relay->is_waiting = false;
	if (relay->gate)
		transfer_resume(relay->transfer);
}

static void put(struct relay *relay, const char *data, size_t size)
{
	if (!size || !relay->sink)
		return;
	if (!relay->result.first_us)
		relay->result.first_us = clock_us();
	relay->result.size += size;
	if (relay->sink->ops->write(relay->sink, data, size) < SINK_HIGH ||
		relay->is_waiting)
		return;
	relay->is_waiting = true;
	transfer_pause(relay->transfer);
	relay->sink->ops->when_drained(relay->sink, on_drained, relay);
}

static void leave_sink(struct relay *relay, bool is_cut)
{
	struct sink *sink = relay->sink;

	if (!sink)
		return;
	relay->sink = NULL;
	if (relay->is_waiting)
		sink->ops->when_drained(sink, NULL, NULL);
	relay->is_waiting = false;
	if (is_cut)
		sink->ops->cut(sink);
	else
		sink->ops->end(sink);
}

/* The transfer's part is over; whoever waits is told from the loop. */
static void finish(struct relay *relay, enum transfer_result transfer, bool is_cut)
{
	relay->result.transfer = transfer;
	relay->error = xstrdup(relay->why ? relay->why : transfer_error(relay->transfer));
	leave_sink(relay, is_cut);
	if (relay->is_over)
		gate_linger(relay->gate, LINGER_MS);
	else
		gate_close(relay->gate);
	relay->gate = NULL;
	relay->transfer = NULL;
	event_active(&relay->later, EV_TIMEOUT, 1);
}

/* For whoever must guess later what the stream said. */
static void count_event(struct relay_result *result, const struct sse_event *event)
{
	result->events += event->data != NULL;
	result->event_bytes += event->data_size;
}

/* Writes whole events from the front of data, each run that is not dropped at once.
 * Returns the bytes that are dealt with. */
static size_t take_events(struct relay *relay, const char *data, size_t size, bool is_end)
{
	struct sse_event event;
	size_t written = 0, at = 0;

	while (!relay->is_over) {
		size_t mark = relay->is_begun ? 0 : sse_bom(data, size);

		if (!sse_next(data + at + mark, size - at - mark, is_end, &relay->joined,
			    &event))
			break;
		struct verdict verdict = planner_judge(relay->planner, &event);
		size_t next = at + mark + event.size;

		if (verdict.is_dropped) {
			put(relay, data + written, at - written);
			written = next;
		} else if (!verdict.is_end && !verdict.is_error) {
			count_event(&relay->result, &event);
		}
		at = next;
		relay->is_begun = true;
		relay->is_finished = relay->is_finished || verdict.is_finish;
		relay->is_over = verdict.is_end || verdict.is_error;
		if (verdict.is_error)
			relay->why = "the provider reported an error in its stream";
		if (relay->is_over)
			relay->result.outcome = verdict.is_error ? RELAY_FAILED
								 : RELAY_COMPLETE;
	}
	put(relay, data + written, at - written);
	return at;
}

static size_t line_size(const char *data, size_t size)
{
	const char *lf = memchr(data, '\n', size);
	size_t room = lf ? (size_t)(lf - data) : size;
	const char *cr = memchr(data, '\r', room);

	return cr ? (size_t)(cr - data) : room;
}

/* How many of the bytes still belong to the event that passes; clears is_passing where
 * they hold its end. */
static size_t skip_tail(struct relay *relay, const char *data, size_t size)
{
	struct tail *tail = &relay->tail;
	size_t at = 0;

	while (at < size) {
		bool is_behind_cr = tail->is_cr;

		tail->is_cr = false;
		if (is_behind_cr && data[at] == '\n')
			at++;
		if (is_behind_cr && tail->is_ended) {
			relay->is_passing = false;
			return at;
		}
		size_t line = line_size(data + at, size - at);

		tail->is_blank = tail->is_blank && !line;
		at += line;
		if (at == size)
			return at;
		tail->is_cr = data[at++] == '\r';
		tail->is_ended = tail->is_blank;
		if (tail->is_ended && !tail->is_cr) {
			relay->is_passing = false;
			return at;
		}
		tail->is_blank = true;
	}
	return at;
}

/* The event is too long to be held: it passes without being looked at, and may have been the
 * last one. */
static void pass_held(struct relay *relay)
{
	relay->tail = (struct tail) { .is_blank = true };
	relay->is_passing = true;
	relay->is_begun = true;
	relay->is_finished = true;
	skip_tail(relay, buf_data(&relay->hold), buf_size(&relay->hold));
	put(relay, buf_data(&relay->hold), buf_size(&relay->hold));
	buf_clear(&relay->hold);
}

/* An event becomes complete by a line's end, or by the byte behind a CR. */
static bool may_complete(const struct relay *relay, const char *data, size_t size)
{
	const struct buf *hold = &relay->hold;

	return line_size(data, size) < size || buf_data(hold)[buf_size(hold) - 1] == '\r';
}

/* An event has ended the stream. What the provider sends behind the proper end
 * (a comment, a blank line) still passes as it is, for a moment; behind an
 * error nothing does. */
static void end_stream(struct relay *relay)
{
	if (relay->result.outcome != RELAY_FAILED) {
		put(relay, buf_data(&relay->hold), buf_size(&relay->hold));
		transfer_set_deadline(relay->transfer, LINGER_MS);
	}
	buf_reset(&relay->hold);
}

static void take_stream(struct relay *relay, const char *data, size_t size)
{
	bool is_complete;

	if (relay->is_passing) {
		size_t skipped = skip_tail(relay, data, size);

		put(relay, data, skipped);
		data += skipped;
		size -= skipped;
	}
	if (!size)
		return;
	if (buf_size(&relay->hold)) {
		is_complete = may_complete(relay, data, size);
		buf_append(&relay->hold, data, size);
		if (is_complete)
			buf_consume(&relay->hold,
				take_events(relay, buf_data(&relay->hold),
					buf_size(&relay->hold), false));
	} else {
		size_t taken = take_events(relay, data, size, false);

		buf_append(&relay->hold, data + taken, size - taken);
	}
	if (relay->is_over)
		end_stream(relay);
	if (!buf_size(&relay->hold))
		buf_clear(&relay->hold);
	if (buf_size(&relay->hold) >= RELAY_HOLD)
		pass_held(relay);
}

static void keep_last(struct relay *relay, const char *data, size_t size)
{
	size_t had = relay->result.tail_size;

	if (!relay->last)
		relay->last = xmalloc(RELAY_TAIL);
	if (size >= RELAY_TAIL) {
		data += size - RELAY_TAIL;
		size = RELAY_TAIL;
		had = 0;
	} else if (had > RELAY_TAIL - size) {
		size_t gone = had - (RELAY_TAIL - size);

		memmove(relay->last, relay->last + gone, had - gone);
		had -= gone;
	}
	memcpy(relay->last + had, data, size);
	relay->result.tail_size = had + size;
}

static void take(struct relay *relay, const char *data, size_t size)
{
	if (!relay->planner)
		keep_last(relay, data, size);
	if (!relay->planner || relay->is_over) {
		put(relay, data, size);
		return;
	}
	take_stream(relay, data, size);
	if (relay->is_over && relay->result.outcome == RELAY_FAILED)
		finish(relay, TRANSFER_OK, false);
}

static void on_data(struct transfer *transfer, const char *data, size_t size, void *arg)
{
	(void)transfer;
	take(arg, data, size);
}

/* The stream broke: the client is told in its own protocol where that is possible. What
 * is held of an event was not sent and is left out. */
static void break_off(struct relay *relay, enum transfer_result result)
{
	const char *text = relay->planner ? relay->plan->broken : NULL;

	if (relay->planner && result == TRANSFER_TIMEOUT && relay->plan->late)
		text = relay->plan->late;
	relay->result.outcome = RELAY_TRUNCATED;
	if (text && relay->is_passing)
		put(relay, "\n\n", 2);
	if (text)
		put(relay, text, strlen(text));
	finish(relay, result, !text);
}

/* Takes what is held of the last event, which may lack its blank line. Returns whether the
 * stream has said all that it had to. */
static bool take_rest(struct relay *relay)
{
	const char *data = buf_data(&relay->hold);
	size_t size = buf_size(&relay->hold);
	bool must_finish = relay->plan->must_finish;
	struct sse_event event;

	if (must_finish && relay->is_passing)
		return false;
	if (must_finish && size && sse_next(data, size, true, &relay->joined, &event) &&
		!planner_is_whole(relay->planner, &event))
		return false;
	if (size)
		take_events(relay, data, size, true);
	return !must_finish || relay->is_finished || relay->is_over;
}

static void on_transfer_end(struct transfer *transfer, enum transfer_result result,
	void *arg)
{
	struct relay *relay = arg;

	(void)transfer;
	if (relay->is_over) {
		finish(relay, TRANSFER_OK, false);
		return;
	}
	if (result != TRANSFER_OK) {
		break_off(relay, result);
		return;
	}
	if (relay->planner && !take_rest(relay)) {
		relay->why = "the provider's stream ended too early";
		break_off(relay, TRANSFER_RESET);
		return;
	}
	if (!relay->is_over)
		relay->result.outcome = RELAY_COMPLETE;
	finish(relay, result, false);
}

static const struct transfer_handler handler = {
	.on_data = on_data,
	.on_end = on_transfer_end,
};

static void free_relay(struct relay *relay)
{
	event_del(&relay->later);
	gate_close(relay->gate);
	if (relay->planner)
		planner_free(relay->planner);
	buf_clear(&relay->hold);
	buf_clear(&relay->joined);
	free(relay->error);
	free(relay->last);
	free(relay);
}

static void on_later(evutil_socket_t fd, short what, void *arg)
{
	struct relay *relay = arg;
	struct relay_result result;

	(void)fd;
	(void)what;
	relay_peek(relay, &result);
	if (relay->on_end)
		relay->on_end(&result, relay->arg);
	free_relay(relay);
}

struct relay *relay_start(struct gate *gate, struct sink *sink,
	const struct relay_plan *plan, relay_fn *on_end, void *arg)
{
	struct relay *relay = xcalloc(1, sizeof(*relay));
	size_t held = gate_size(gate);

	relay->gate = gate;
	relay->transfer = gate_transfer(gate);
	relay->sink = sink;
	relay->plan = plan;
	relay->planner = plan ? planner_new(plan) : NULL;
	relay->on_end = on_end;
	relay->arg = arg;
	relay->result.outcome = RELAY_TRUNCATED;
	event_assign(&relay->later, transfer_base(relay->transfer), -1, 0, on_later,
		relay);
	gate_watch(gate, NULL, NULL);
	gate_deadline(gate, 0);
	transfer_set_handler(relay->transfer, &handler, relay);
	take(relay, gate_data(gate), held);
	if (!relay->gate)
		return relay;
	gate_release(gate, held);
	if (gate_is_ended(gate))
		on_transfer_end(relay->transfer, gate_result(gate), relay);
	else if (relay->is_waiting)
		transfer_pause(relay->transfer); /* the gate has resumed it */
	return relay;
}

void relay_set_handler(struct relay *relay, relay_fn *on_end, void *arg)
{
	relay->on_end = on_end;
	relay->arg = arg;
}

bool relay_is_free_of_pieces(const struct relay *relay)
{
	return !relay->transfer || transfer_is_free_of_pieces(relay->transfer);
}

void relay_drain(struct relay *relay, int ms)
{
	relay->sink = NULL;
	relay->is_waiting = false;
	if (!relay->gate)
		return;
	transfer_set_deadline(relay->transfer, ms > 0 ? ms : 1);
	transfer_resume(relay->transfer);
}

void relay_break_off(struct relay *relay, const char *why)
{
	if (!relay->gate)
		return; /* its end is on its way */
	relay->why = why;
	if (relay->is_over)
		finish(relay, TRANSFER_OK, false);
	else
		break_off(relay, TRANSFER_OK);
}

void relay_peek(const struct relay *relay, struct relay_result *result)
{
	*result = relay->result;
	result->error = relay->error ? relay->error : "";
	result->tail = relay->last;
	if (!relay->planner)
		return;
	result->kept = planner_kept(relay->planner);
	result->kept_size = planner_kept_size(relay->planner);
}

void relay_close(struct relay *relay)
{
	if (relay)
		free_relay(relay);
}
