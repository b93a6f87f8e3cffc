/* The client's side of a request: its head, its body, its leaving. */
#include <stdio.h>
#include <string.h>

#include <event2/event.h>

#include "json/scan.h"
#include "script/api.h"
#include "script/arrival.h"
#include "script/attempt.h"
#include "script/generation.h"
#include "script/legs.h"
#include "script/request_inside.h"
#include "script/said.h"
#include "upstream/relay.h"

#define PREFETCH_MAX (64 * 1024) /* bytes of a body that is read before Lua starts */

/* Members that routing needs; the router asks for no others. */
static const char *const wanted[] = { "model", "stream", "stream_options", "user",
	"prompt_cache_key", "metadata", "max_tokens", "max_completion_tokens", NULL };

void request_run_serve(struct turn_task *task)
{
	struct request *request = CONTAINER_OF(task, struct request, start);

	request_push_call(request, CALL_SERVE);
	request_run(request, 1);
}

/* Who brings a large body does not wait for others: it would be cold when it is sent, and all of
 * them lie in memory at once. */
static void start(struct request *request)
{
	int64_t size = exchange_body_length(request->exchange);

	if (size < 0 || size > TURN_BYTES_MAX)
		request_run_serve(&request->start);
	else
		turn_run(request->script->turn, TURN_REQUESTS, &request->start);
}

/* -- arrival ---------------------------------------------------------------------- */

static bool is_prefetched(const struct exchange *exchange)
{
	int64_t length = exchange_body_length(exchange);

	return length >= 0 && length <= PREFETCH_MAX &&
		!exchange_header(exchange, "expect");
}

/* Clients' bodies are JSON whatever their type says: many send none, or curl's own. The
 * admin side takes forms and lists, too. */
static bool is_scanned(const struct request *request)
{
	const char *type;

	if (generation_side(request->generation) == GENERATION_CLIENTS)
		return true;
	type = exchange_header(request->exchange, "content-type");
	return type && strstr(type, "json");
}

static void on_request(struct exchange *exchange, void *arg)
{
	struct request *request = request_new(arg, exchange);

	if (exchange_has_body(exchange)) {
		if (is_scanned(request)) {
			const struct said_places *said = generation_said(
				request->generation);

			request->scan = scan_new(wanted);
			scan_want_last(request->scan, said->lists, said->count);
		}
		/* A short body is nearly always here already: Lua starts when it is
		 * complete and need not wait. A long one is read only when Lua asks:
		 * first the token is checked. */
		if (is_prefetched(exchange)) {
			arrival_begin(request); /* the wait for it is the request's */
			arrival_await_client(request, request->arrival.start_us);
			request->is_receiving = true;
			exchange_receive(exchange);
			return;
		}
	} else {
		request->is_received = true;
	}
	start(request);
}

static void note_fault(struct request *request, int status, const char *text)
{
	if (request->fault_status)
		return;
	request->fault_status = status;
	request->fault_text = arena_strdup(&request->arena, text, strlen(text));
}

/* What the scan found in the body; beside a fault of its framing, which is no matter of JSON. */
static void note_bad_json(struct request *request, const char *reason)
{
	char text[sizeof(((struct err *)NULL)->text) + 32];

	snprintf(text, sizeof(text), "the body is not valid JSON: %s", reason);
	note_fault(request, 400, text);
}

static void on_body(struct exchange *exchange, const char *data, size_t size, void *arg)
{
	struct request *request = exchange_data(exchange);
	struct err err;

	(void)arg;
	if (!request || request->fault_status || !request->scan)
		return;
	if (scan_feed(request->scan, data, size, &err) != 0)
		note_bad_json(request, err.text);
}

/* The body has arrived or never will: goes on with whoever waits for it. */
static void end_body(struct request *request)
{
	arrival_client_came(request);
	request->is_received = true;
	if (request->receive_ticket) {
		uint64_t ticket = request->receive_ticket;

		request->receive_ticket = 0;
		fiber_resume(request->fiber, ticket,
			api_body_push_received(fiber_lua(request->fiber), request));
	} else if (!request->fiber && !request->answer_status) {
		start(request);
	}
}

static void on_body_end(struct exchange *exchange, void *arg)
{
	struct request *request = exchange_data(exchange);
	struct err err;

	(void)arg;
	if (!request)
		return;
	if (!request->fault_status && request->scan && scan_end(request->scan, &err) != 0)
		note_bad_json(request, err.text);
	end_body(request);
}

static void on_fault(struct exchange *exchange, int status, const char *message,
	void *arg)
{
	struct request *request = exchange_data(exchange);
	lua_State *L;

	if (!request)
		request = request_new(arg, exchange);
	note_fault(request, status, message);
	if (request->receive_ticket) {
		end_body(request);
		return;
	}
	if (request->fiber || request->answer_status)
		return; /* the fiber has not asked for the body, and answers without it */
	turn_cancel(&request->start);
	arrival_client_came(request);
	L = state_lua(generation_state(request->generation));
	request_push_call(request, CALL_FAULT);
	lua_pushinteger(L, status);
	lua_pushstring(L, message);
	request_run(request, 3);
}

/* -- the client leaves ------------------------------------------------------------ */

static void run_gone(struct request *request)
{
	request_push_call(request, CALL_GONE);
	request_run(request, 1);
}

static void on_leave_timer(evutil_socket_t fd, short what, void *arg)
{
	struct request *request = arg;

	(void)fd;
	(void)what;
	if (!request->fiber || request->is_failing)
		return;
	fiber_cancel(request->fiber);
	request->fiber = NULL;
	legs_close(request);
	attempts_close(request);
	run_gone(request);
}

static void bound_leave(struct request *request, int ms)
{
	struct timeval after = { .tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000 };

	request->leave_timer = evtimer_new(request->script->base, on_leave_timer,
		request);
	evtimer_add(request->leave_timer, &after);
}

static void leave_relay(struct request *request)
{
	struct relay_result result;

	if (request->leave != LEAVE_CANCEL) {
		relay_drain(request->relay,
			request->leave == LEAVE_DRAIN ? LEAVE_DRAIN_MS : LEAVE_DETACH_MS);
		return;
	}
	relay_peek(request->relay, &result);
	/* The kept events live in the relay: the record takes them before it is
	 * closed. */
	request_on_relay_end(&result, request);
}

static void on_gone(struct exchange *exchange, void *arg)
{
	struct request *request = exchange_data(exchange);

	(void)arg;
	if (!request || request->is_ended)
		return;
	request->is_gone = true;
	if (request->relay) {
		leave_relay(request);
		return;
	}
	if (!request->fiber) {
		/* Its body was still arriving: Lua knows nothing of it yet. */
		if (!request->script->is_admin)
			request_record_plainly(request,
				"the client left before its request was whole");
		request_free(request);
		return;
	}
	if (request->leave != LEAVE_CANCEL) {
		bound_leave(request,
			request->leave == LEAVE_DRAIN ? LEAVE_DRAIN_MS : LEAVE_DETACH_MS);
		if (request->write_ticket) {
			uint64_t ticket = request->write_ticket;

			request->write_ticket = 0;
			fiber_resume(request->fiber, ticket, 0);
		}
		return;
	}
	fiber_cancel(request->fiber);
	request->fiber = NULL;
	legs_close(request);
	attempts_close(request);
	run_gone(request);
}

const struct http_handler script_http_handler = {
	.on_request = on_request,
	.on_body = on_body,
	.on_body_end = on_body_end,
	.on_fault = on_fault,
	.on_gone = on_gone,
};
