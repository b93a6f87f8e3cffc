#include "upstream/curl_transfer.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "upstream/curl_handle.h"
#include "upstream/curl_pool.h"

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

bool transfer_may_connect(struct transfer *transfer, enum address_kind kind)
{
	/* A proxy comes from the configuration and is often next door. */
	bool is_allowed = address_is_allowed(kind,
		transfer->is_private_allowed || transfer->is_proxied);

	if (!is_allowed)
		transfer->is_refused = true;
	return is_allowed;
}

/* Gives back what curl needed; head and error stay for whoever holds the transfer. */
static void let_go(struct transfer *transfer, bool is_reusable)
{
	if (!transfer->handle)
		return;
	if (transfer->shard) {
		shard_remove(transfer->shard, transfer->handle->easy);
		transfer->shard->open_count--;
	}
	socket_release(transfer->pool, transfer->fd, transfer, is_reusable);
	handle_give(transfer->handle);
	transfer->handle = NULL;
	transfer->shard = NULL;
	transfer->pool->open_count--;
	event_del(&transfer->timer);
	request_clear(transfer);
}

static void free_transfer(struct transfer *transfer)
{
	let_go(transfer, false);
	list_remove(&transfer->link);
	list_remove(&transfer->pending);
	buf_clear(&transfer->head.fields);
	free(transfer->error);
	free(transfer);
}

static void end(struct transfer *transfer, enum transfer_result result)
{
	let_go(transfer, result == TRANSFER_OK);
	list_remove(&transfer->pending);
	transfer->is_ended = true;
	if (transfer->is_closed || transfer->is_lingering)
		free_transfer(transfer);
	else if (transfer->handler->on_end)
		transfer->handler->on_end(transfer, result, transfer->arg);
}

static enum transfer_result result_of(const struct transfer *transfer, CURLcode code)
{
	switch (code) {
	case CURLE_OK:
		return TRANSFER_OK;
	case CURLE_COULDNT_RESOLVE_HOST:
	case CURLE_COULDNT_RESOLVE_PROXY:
	case CURLE_COULDNT_CONNECT:
	case CURLE_PROXY:
		return TRANSFER_CONNECT;
	case CURLE_OPERATION_TIMEDOUT:
		return transfer->is_connected ? TRANSFER_TIMEOUT : TRANSFER_CONNECT;
	case CURLE_SEND_ERROR:
	case CURLE_RECV_ERROR:
	case CURLE_GOT_NOTHING:
	case CURLE_PARTIAL_FILE:
	case CURLE_SEND_FAIL_REWIND:
		return transfer->is_connected ? TRANSFER_RESET : TRANSFER_CONNECT;
	case CURLE_SSL_CONNECT_ERROR:
	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_SSL_CERTPROBLEM:
	case CURLE_SSL_CIPHER:
	case CURLE_SSL_CACERT_BADFILE:
	case CURLE_SSL_ISSUER_ERROR:
	case CURLE_SSL_INVALIDCERTSTATUS:
	case CURLE_SSL_SHUTDOWN_FAILED:
		return TRANSFER_TLS;
	default:
		return TRANSFER_PROTOCOL;
	}
}

void transfer_done(struct transfer *transfer, CURLcode code)
{
	enum transfer_result result = result_of(transfer, code);
	const char *text = transfer->curl_error;

	if (code != CURLE_OK && transfer->is_refused && !transfer->is_connected)
		transfer_fail(transfer, TRANSFER_CONNECT,
			"the provider's address is one that may not be connected to");
	/* A text that quotes a URL may hold a key or a password. */
	if (!*text || strstr(text, "://"))
		text = curl_easy_strerror(code);
	if (code != CURLE_OK)
		transfer_fail(transfer, result, "%s", text);
	if (transfer->failure)
		result = transfer->failure;
	end(transfer, result);
}

static int64_t earlier(int64_t one, int64_t other)
{
	return !one || (other && other < one) ? other : one;
}

static int64_t idle_deadline(const struct transfer *transfer)
{
	if (!transfer->head.is_complete || transfer->is_paused ||
		!transfer->timeouts.idle)
		return 0;
	return transfer->clock.read + transfer->timeouts.idle;
}

static int64_t nearest_deadline(const struct transfer *transfer)
{
	const struct transfer_clock *clock = &transfer->clock;
	int64_t nearest = earlier(clock->total, clock->extra);

	if (!transfer->is_connected)
		nearest = earlier(nearest, clock->connect);
	nearest = earlier(nearest, clock->first_byte);
	return earlier(nearest, idle_deadline(transfer));
}

void transfer_arm(struct transfer *transfer)
{
	int64_t nearest = transfer->handle ? nearest_deadline(transfer) : 0;
	int64_t wait_ms;

	/* A timer that fires too early looks again: bytes that arrive only move a
	 * number. */
	if (!nearest || (transfer->clock.armed && transfer->clock.armed <= nearest))
		return;
	wait_ms = nearest - clock_ms();
	if (wait_ms < 0)
		wait_ms = 0;
	struct timeval wait = { .tv_sec = wait_ms / 1000,
		.tv_usec = wait_ms % 1000 * 1000 };

	evtimer_add(&transfer->timer, &wait);
	transfer->clock.armed = nearest;
}

static bool is_over(int64_t deadline, int64_t now)
{
	return deadline && deadline <= now;
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct transfer *transfer = arg;
	struct transfer_clock *clock = &transfer->clock;
	int64_t now = clock_ms();

	(void)fd;
	(void)what;
	clock->armed = 0;
	if (!transfer->is_connected && is_over(clock->connect, now))
		transfer_fail(transfer, TRANSFER_CONNECT, "no connection within %d ms",
			transfer->timeouts.connect);
	else if (is_over(clock->first_byte, now))
		transfer_fail(transfer, TRANSFER_TIMEOUT, "no answer within %d ms",
			transfer->timeouts.first_byte);
	else if (is_over(idle_deadline(transfer), now))
		transfer_fail(transfer, TRANSFER_TIMEOUT, "nothing came for %d ms",
			transfer->timeouts.idle);
	else if (is_over(clock->total, now))
		transfer_fail(transfer, TRANSFER_TIMEOUT, "not finished within %d ms",
			transfer->timeouts.total);
	else if (is_over(clock->extra, now))
		transfer_fail(transfer, TRANSFER_TIMEOUT, "the deadline has passed");
	if (transfer->failure)
		end(transfer, transfer->failure);
	else
		transfer_arm(transfer);
}

static void begin(struct transfer *transfer)
{
	struct shard *shard;

	if (transfer->failure) {
		end(transfer, transfer->failure);
		return;
	}
	shard = pool_pick(transfer->pool, transfer->handle->origin);
	transfer->shard = shard;
	shard->open_count++;
	if (shard_add(shard, transfer->handle->easy) != CURLM_OK) {
		shard->open_count--;
		transfer->shard = NULL;
		end(transfer, TRANSFER_PROTOCOL);
		return;
	}
	/* Spares the wait for a timer of 0 ms. */
	shard_act(shard, CURL_SOCKET_TIMEOUT, 0);
}

static void resume(struct transfer *transfer)
{
	struct shard *shard = transfer->shard;
	CURLcode code;

	transfer->is_stalled = false;
	code = shard_resume(shard, transfer->handle->easy);
	/* What the handler did meanwhile counts; a failure here makes no
	 * message of curl's. */
	if (code != CURLE_OK)
		transfer_done(transfer, code);
	else
		shard_act(shard, CURL_SOCKET_TIMEOUT, 0);
}

void transfers_run_pending(evutil_socket_t fd, short what, void *arg)
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
	while (!list_is_empty(&now)) {
		struct transfer *transfer = CONTAINER_OF(now.next, struct transfer,
			pending);

		list_remove(&transfer->pending);
		if (transfer->is_closed)
			free_transfer(transfer);
		else if (!transfer->shard)
			begin(transfer);
		else if (transfer->is_stalled && !transfer->is_paused)
			resume(transfer);
	}
}

static void push_pending(struct transfer *transfer)
{
	list_remove(&transfer->pending);
	list_append(&transfer->pool->pending, &transfer->pending);
	event_active(&transfer->pool->kick, EV_TIMEOUT, 1);
}

static int64_t deadline_in(int64_t now, int ms)
{
	return ms > 0 ? now + ms : 0;
}

struct transfer *transfer_start(struct transfers *pool,
	const struct transfer_request *request, const struct transfer_handler *handler,
	void *arg)
{
	struct transfer *transfer = xcalloc(1, sizeof(*transfer));
	int64_t now = clock_ms();

	transfer->pool = pool;
	transfer->handler = handler;
	transfer->arg = arg;
	transfer->timeouts = request->timeouts;
	transfer->is_streamed = request->is_streamed;
	transfer->is_private_allowed = request->is_private_allowed;
	transfer->is_proxied = request->proxy != NULL;
	transfer->decoded_max = request->decoded_max ? request->decoded_max : DECODED_MAX;
	transfer->fd = -1;
	transfer->head.length = -1;
	transfer->clock.connect = deadline_in(now, request->timeouts.connect);
	transfer->clock.first_byte = deadline_in(now, request->timeouts.first_byte);
	transfer->clock.total = deadline_in(now, request->timeouts.total);
	list_append(&pool->transfers, &transfer->link);
	list_init(&transfer->pending);
	evtimer_assign(&transfer->timer, pool->base, on_timer, transfer);
	transfer->handle = handle_take(pool, request);
	pool->open_count++;
	request_prepare(transfer, request);
	transfer_arm(transfer);
	push_pending(transfer);
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

int transfer_status(const struct transfer *transfer)
{
	return transfer->head.is_complete ? transfer->head.status : 0;
}

/* The field behind the one at name, given the fields that lie between. */
static const char *value_of(const char *name)
{
	return name + strlen(name) + 1;
}

static const char *field_behind(const char *name)
{
	const char *value = value_of(name);

	return value + strlen(value) + 1;
}

const char *transfer_header(const struct transfer *transfer, const char *name)
{
	const char *field = buf_data(&transfer->head.fields);

	for (size_t i = 0; i < transfer_header_count(transfer); i++) {
		if (strcasecmp(field, name) == 0)
			return value_of(field);
		field = field_behind(field);
	}
	return NULL;
}

size_t transfer_header_count(const struct transfer *transfer)
{
	return transfer->head.is_complete ? transfer->head.field_count : 0;
}

void transfer_header_at(const struct transfer *transfer, size_t index, const char **name,
	const char **value)
{
	const char *field = buf_data(&transfer->head.fields);

	assert(index < transfer_header_count(transfer));
	while (index--)
		field = field_behind(field);
	*name = field;
	*value = value_of(field);
}

int64_t transfer_length(const struct transfer *transfer)
{
	return transfer->head.is_encoded ? -1 : transfer->head.length;
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
	transfer->clock.read = clock_ms();
	transfer_arm(transfer);
	if (transfer->is_stalled)
		push_pending(transfer);
}

void transfer_set_deadline(struct transfer *transfer, int ms)
{
	transfer->clock.extra = deadline_in(clock_ms(), ms);
	transfer_arm(transfer);
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
	push_pending(transfer);
}

bool transfer_is_free_of_pieces(const struct transfer *transfer)
{
	return !transfer->handle || request_is_free_of_pieces(transfer);
}

void transfer_linger(struct transfer *transfer, int ms)
{
	if (transfer->is_ended || !transfer->shard ||
		!request_is_free_of_pieces(transfer)) {
		transfer_close(transfer);
		return;
	}
	transfer->is_lingering = true;
	transfer->handler = &deaf;
	transfer_set_deadline(transfer, ms);
	transfer_resume(transfer);
}
