#include "upstream/transfer.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/turn.h"
#include "upstream/outline.h"
#include "upstream/transfer_inside.h"

#define DECODED_MAX (32u * 1024 * 1024)

static const struct transfer_handler deaf = { 0 };

const char *transfer_result_name(enum transfer_result result)
{
	static const char *const names[] = {
		[TRANSFER_OK] = "ok",
		[TRANSFER_CONNECT] = "connect",
		[TRANSFER_TIMEOUT] = "timeout",
		[TRANSFER_TLS] = "tls",
		[TRANSFER_RESET] = "reset",
		[TRANSFER_PROTOCOL] = "protocol",
	};

	return names[result];
}

void transfer_fail(struct transfer *transfer, enum transfer_result failure,
	const char *format, ...)
{
	struct err text;
	va_list arguments;

	if (transfer->failure)
		return;
	va_start(arguments, format);
	vsnprintf(text.text, sizeof(text.text), format, arguments);
	va_end(arguments);
	transfer->failure = failure;
	transfer->error = xstrdup(text.text);
}

void transfer_fail_refused(struct transfer *transfer)
{
	transfer_fail(transfer, TRANSFER_CONNECT,
		"the provider's address is one that may not be connected to");
}

bool transfer_may_connect(struct transfer *transfer, enum address_kind kind)
{
	/* A proxy comes from the configuration and is often next door. */
	bool is_allowed = address_is_allowed(kind,
		transfer->is_private_allowed || transfer->is_proxied);

	if (!is_allowed)
		transfer->is_refused = true;
	return is_allowed;
}

void transfer_connected(struct transfer *transfer, const char *peer)
{
	size_t size = strnlen(peer, sizeof(transfer->peer) - 1);

	memcpy(transfer->peer, peer, size);
	transfer->peer[size] = '\0';
	transfer->is_connected = true;
}

bool transfer_told(struct transfer *transfer)
{
	if (transfer->handler->on_told)
		transfer->handler->on_told(transfer, transfer->arg);
	return !transfer->is_closed;
}

/* -- its end ----------------------------------------------------------------------- */

/* Gives back what moved bytes; head and error stay for whoever holds the transfer. */
static void let_go(struct transfer *transfer, bool is_reusable)
{
	if (transfer->is_stopped)
		return;
	transfer->is_stopped = true;
	transfer->carrier->stop(transfer, is_reusable);
	transfer->body = (struct transfer_body) { 0 };
	transfer->pool->open_count--;
	transfer_disarm(transfer);
}

static void free_transfer(struct transfer *transfer)
{
	let_go(transfer, false);
	list_remove(&transfer->link);
	list_remove(&transfer->pending);
	buf_clear(&transfer->head.fields);
	free(transfer->error);
	mem_give(transfer, transfer->carrier->size);
}

void transfer_end(struct transfer *transfer, enum transfer_result result)
{
	let_go(transfer, result == TRANSFER_OK);
	list_remove(&transfer->pending);
	transfer->is_ended = true;
	if (transfer->is_closed || transfer->is_lingering)
		free_transfer(transfer);
	else if (transfer->handler->on_end)
		transfer->handler->on_end(transfer, result, transfer->arg);
}

/* -- what waits for the loop ------------------------------------------------------- */

void transfer_push_pending(struct transfer *transfer)
{
	list_remove(&transfer->pending);
	list_append(&transfer->pool->pending, &transfer->pending);
	event_active(&transfer->pool->kick, EV_TIMEOUT, 1);
}

static void run_pending(struct transfer *transfer)
{
	list_remove(&transfer->pending);
	if (transfer->is_closed) {
		free_transfer(transfer);
	} else if (transfer->failure) {
		transfer_end(transfer, transfer->failure);
	} else if (!transfer->is_begun) {
		transfer->is_begun = true;
		transfer->carrier->begin(transfer);
	} else if (transfer->is_stalled && !transfer->is_paused) {
		transfer->is_stalled = false;
		transfer->carrier->resume(transfer);
	}
}

static void run_all_pending(evutil_socket_t fd, short what, void *arg)
{
	struct transfers *pool = arg;
	struct list now;

	(void)fd;
	(void)what;
	/* What is wished for meanwhile waits for the next turn, so that this one ends. */
	if (list_is_empty(&pool->pending))
		return;
	now = pool->pending;
	now.next->previous = &now;
	now.previous->next = &now;
	list_init(&pool->pending);
	while (!list_is_empty(&now))
		run_pending(CONTAINER_OF(now.next, struct transfer, pending));
}

void transfers_init(struct transfers *pool, struct turn *turn)
{
	pool->base = turn_base(turn);
	pool->turn = turn;
	list_init(&pool->transfers);
	list_init(&pool->pending);
	event_assign(&pool->kick, pool->base, -1, 0, run_all_pending, pool);
	transfers_clock_init(pool);
}

/* -- for whoever holds it ---------------------------------------------------------- */

struct transfer *transfer_start(struct transfers *pool,
	const struct transfer_request *request, const struct transfer_handler *handler,
	void *arg)
{
	struct outline *outline = request->outline, own_outline;
	const struct transfer_carrier *carrier;
	struct transfer *transfer;

	if (!outline) {
		outline = &own_outline;
		outline_init(outline, request);
	}
	carrier = transfers_carrier(pool, request, outline);
	transfer = memset(mem_take(carrier->size), 0, carrier->size);
	transfer->carrier = carrier;
	transfer->pool = pool;
	transfer->handler = handler;
	transfer->arg = arg;
	transfer->timeouts = request->timeouts;
	transfer->is_streamed = request->is_streamed;
	transfer->is_private_allowed = request->is_private_allowed;
	transfer->is_proxied = request->proxy != NULL;
	transfer->decoded_max = request->decoded_max ? request->decoded_max : DECODED_MAX;
	transfer->head.length = -1;
	list_append(&pool->transfers, &transfer->link);
	list_init(&transfer->pending);
	pool->open_count++;
	body_init(&transfer->body, request->pieces, request->piece_count);
	carrier->prepare(transfer, request, outline);
	if (outline == &own_outline)
		outline_clear(outline);
	if (transfer->failure)
		transfer_push_pending(transfer);
	transfer_clock_start(transfer);
	return transfer;
}

void transfer_set_handler(struct transfer *transfer,
	const struct transfer_handler *handler, void *arg)
{
	transfer->handler = handler;
	transfer->arg = arg;
}

struct event_base *transfer_base(const struct transfer *transfer)
{
	return transfer->pool->base;
}

void transfer_pause(struct transfer *transfer)
{
	transfer->is_paused = true;
}

void transfer_resume(struct transfer *transfer)
{
	if (!transfer->is_paused || transfer->is_ended)
		return;
	transfer->is_paused = false;
	transfer_restart_idle(transfer);
	if (transfer->is_stalled)
		transfer_push_pending(transfer);
}

bool transfer_is_free_of_pieces(const struct transfer *transfer)
{
	return transfer->is_stopped || transfer->carrier->is_free_of_pieces(transfer);
}

const char *transfer_error(const struct transfer *transfer)
{
	return transfer->error ? transfer->error : "";
}

const char *transfer_peer(const struct transfer *transfer)
{
	return transfer->peer;
}

void transfer_close(struct transfer *transfer)
{
	if (!transfer)
		return;
	transfer->handler = &deaf;
	if (!transfer->pool->depth) {
		free_transfer(transfer);
		return;
	}
	transfer->is_closed = true;
	transfer_push_pending(transfer);
}

void transfer_linger(struct transfer *transfer, int ms)
{
	if (transfer->is_ended || !transfer->is_begun ||
		!transfer_is_free_of_pieces(transfer)) {
		transfer_close(transfer);
		return;
	}
	transfer->is_lingering = true;
	transfer->handler = &deaf;
	transfer_set_deadline(transfer, ms);
	transfer_resume(transfer);
}
