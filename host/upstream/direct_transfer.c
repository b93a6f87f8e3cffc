#include "upstream/direct_transfer.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/turn.h"
#include "upstream/decode.h"
#include "upstream/dial.h"
#include "upstream/outline.h"
#include "upstream/tls_client.h"
#include "upstream/trust.h"

#define KEY_ROOM 512 /* bytes: scheme, a plain URL's authority, and a pointer */
#define TURNS_MAX 8  /* reads of a full room before others have their turn */

/* -- what comes -------------------------------------------------------------------- */

static void dial_fresh(struct direct_transfer *own);

/* The rest of what came waits; data may lie in the room of it. */
static void hold(struct direct_transfer *own, const char *data, size_t size, bool is_held)
{
	size_t used = is_held ? buf_size(&own->held) - size : 0;

	if (is_held)
		buf_consume(&own->held, used);
	else
		buf_append(&own->held, data, size);
	if (!buf_size(&own->held))
		buf_clear(&own->held);
}

/* True: more is wanted. The transfer may be gone if not. */
static bool take(struct direct_transfer *own, const char *data, size_t size, bool is_held)
{
	struct transfer *transfer = &own->transfer;
	enum direct_taken taken;
	size_t used;

	transfer->pool->depth++;
	taken = direct_take(own, data, size, &used);
	if (taken == DIRECT_MORE || taken == DIRECT_STALLED) {
		hold(own, data + used, size - used, is_held);
		transfer->is_stalled = taken == DIRECT_STALLED;
		if (!transfer_told(transfer))
			taken = DIRECT_CLOSED;
	}
	transfer->pool->depth--;
	switch (taken) {
	case DIRECT_MORE:
		return true;
	case DIRECT_STALLED:
		return false;
	case DIRECT_END: /* a failure may have been noted meanwhile */
		own->is_clean = used == size && !channel_has_more(own->channel);
		transfer_end(transfer, transfer->failure);
		return false;
	case DIRECT_FAILED:
		transfer_end(transfer, transfer->failure);
		return false;
	default:
		return false; /* the pending list frees it */
	}
}

static bool take_held(struct direct_transfer *own)
{
	const char *data = buf_size(&own->held) ? buf_data(&own->held) : "";

	return take(own, data, buf_size(&own->held), true);
}

/* Bytes behind others that wait are taken with them. */
static bool take_more(struct direct_transfer *own, const char *data, size_t size)
{
	if (!buf_size(&own->held))
		return take(own, data, size, false);
	buf_append(&own->held, data, size);
	return take_held(own);
}

/* The provider closed a kept channel while the request was on its way. It has not answered
 * with a byte: the request is sent once more. */
static bool can_repeat(const struct direct_transfer *own)
{
	return own->channel->was_used && !own->has_come && !own->is_repeated;
}

static void repeat(struct direct_transfer *own)
{
	channel_close(own->channel);
	own->channel = NULL;
	own->is_repeated = true;
	direct_rewind(own);
	transfer_restart_connect(&own->transfer);
	dial_fresh(own);
}

/* rc: 0, or a negative errno. */
static void on_lost(struct direct_transfer *own, int rc)
{
	struct transfer *transfer = &own->transfer;

	if (can_repeat(own)) {
		repeat(own);
		return;
	}
	if (rc == 0 && own->state == DIRECT_CLOSE) {
		own->state = DIRECT_DONE;
		(void)take_held(own);
		return;
	}
	transfer_fail(transfer, TRANSFER_RESET, "%s: %s",
		own->has_come ? "the answer ends early" : "the provider has not answered",
		rc ? strerror(-rc) : "the connection was closed");
	transfer_end(transfer, transfer->failure);
}

/* True: all that came was taken, and there may be more. */
static bool read_once(struct direct_transfer *own)
{
	struct channel *channel = own->channel;
	char *room = channel->origin->channels->room;
	ssize_t got = channel_read(channel, room, CHANNEL_ROOM);

	if (got == -EAGAIN)
		return false;
	if (got <= 0) {
		on_lost(own, (int)got);
		return false;
	}
	if (!take_more(own, room, (size_t)got))
		return false;
	/* What OpenSSL took to read the tickets, a stream would keep to its end. */
	if (own->transfer.is_streamed && !own->is_lean) {
		channel_free_buffers(channel);
		own->is_lean = true;
	}
	if (own->transfer.is_paused) {
		/* The socket will not tell of what OpenSSL has taken from it. */
		own->transfer.is_stalled = channel_has_more(channel);
		return false;
	}
	return got == CHANNEL_ROOM || channel_has_more(channel);
}

static void shake(struct direct_transfer *own);

static void on_readable(void *arg)
{
	struct direct_transfer *own = arg;

	if (!own->transfer.is_connected) {
		shake(own);
		return;
	}
	/* What waits comes first; resume() reads on. */
	if (own->transfer.is_paused || own->transfer.is_stalled) {
		own->transfer.is_stalled = true;
		channel_set_reading(own->channel, false);
		return;
	}
	for (int turn = 0; turn < TURNS_MAX || channel_has_more(own->channel); turn++)
		if (!read_once(own))
			return;
}

static void on_writable(void *arg)
{
	struct direct_transfer *own = arg;

	if (own->transfer.is_connected)
		direct_send(own);
	else
		shake(own);
}

static const struct channel_user user = {
	.on_readable = on_readable,
	.on_writable = on_writable,
};

static void resume(struct transfer *transfer)
{
	struct direct_transfer *own = direct_of(transfer);

	if ((buf_size(&own->held) || own->is_full) && !take_held(own))
		return;
	channel_set_reading(own->channel, true);
	if (channel_has_more(own->channel))
		on_readable(own);
}

/* -- the way there ----------------------------------------------------------------- */

static bool may_connect(enum address_kind kind, void *arg)
{
	struct direct_transfer *own = arg;

	return transfer_may_connect(&own->transfer, kind);
}

static void use_channel(struct direct_transfer *own, struct channel *channel)
{
	own->channel = channel;
	transfer_connected(&own->transfer, channel->peer);
}

static void shake(struct direct_transfer *own)
{
	struct transfer *transfer = &own->transfer;
	struct err err;
	int rc = channel_shake(own->channel, &err);

	if (rc == 0) {
		use_channel(own, own->channel);
		direct_send(own);
	} else if (rc != -EAGAIN) {
		transfer_fail(transfer, TRANSFER_TLS, "%s", err.text);
		transfer_end(transfer, transfer->failure);
	}
}

static void on_dialed(const struct dial_result *result, void *arg)
{
	struct direct_transfer *own = arg;
	struct transfer *transfer = &own->transfer;

	own->dial = NULL;
	if (result->fd >= 0) {
		own->channel = channel_open(own->origin, result->fd, &result->peer, &user,
			own);
		shake(own);
		return;
	}
	if (result->is_refused)
		transfer_fail_refused(transfer);
	transfer_fail(transfer, TRANSFER_CONNECT, "%s", result->text);
	transfer_end(transfer, transfer->failure);
}

static const struct dial_handler dial_handler = {
	.may_connect = may_connect,
	.on_end = on_dialed,
};

static void dial_fresh(struct direct_transfer *own)
{
	struct channels *channels = own->origin->channels;

	own->dial = dial_start(channels->lookups, channels->base, own->origin->host,
		own->origin->port, &dial_handler, own);
}

/* Channels are shared by what is trusted, so that those that were verified with another
 * ca_file, or with what stood in it before, are no way in. */
static struct channel_origin *find_origin(struct channels *channels,
	const struct outline *outline, const struct trust *trust)
{
	const struct url *url = &outline->url;
	size_t size = (size_t)(url->authority - outline->text) + url->authority_size;
	uintptr_t trusted = (uintptr_t)trust;
	char key[KEY_ROOM];
	struct channel_origin *origin;

	assert(size + sizeof(trusted) <= sizeof(key)); /* a plain URL's host is short */
	memcpy(key, outline->text, size);
	memcpy(key + size, &trusted, sizeof(trusted));
	origin = channels_origin(channels, key, size + sizeof(trusted));
	if (origin->host)
		return origin;
	origin->host = xmemdup(url->host, url->host_size);
	origin->port = url->port;
	if (trust)
		origin->tls = tls_client_new(trust, origin->host);
	return origin;
}

/* Returns 0, or a negative errno. */
static int choose_origin(struct direct_transfer *own, struct outline *outline,
	const char *ca_file, struct err *err)
{
	struct channels *channels = own->transfer.pool->channels;
	struct trust *trust = NULL;
	int rc = 0;

	/* Looked up each time: the file may have changed. */
	if (outline->url.is_tls)
		rc = trust_find(&trust, ca_file, err);
	if (rc != 0)
		return rc;
	if (!outline->origin || outline->trust != trust) {
		outline->origin = find_origin(channels, outline, trust);
		outline->trust = trust;
	}
	own->origin = outline->origin;
	assert(own->origin->channels == channels);
	return 0;
}

static void prepare(struct transfer *transfer, const struct transfer_request *request,
	struct outline *outline)
{
	struct direct_transfer *own = direct_of(transfer);
	struct channel *channel;
	struct err err;

	own->has_no_body = strcmp(request->method, "HEAD") == 0;
	if (outline_write(outline, request, transfer->body.size, &own->head) != 0) {
		transfer_fail(transfer, TRANSFER_PROTOCOL,
			"a header to be sent is malformed");
		return;
	}
	if (choose_origin(own, outline, request->ca_file, &err) != 0) {
		transfer_fail(transfer, TRANSFER_TLS, "%s", err.text);
		return;
	}
	channel = channel_take(own->origin, &user, may_connect, own);
	if (channel)
		use_channel(own, channel);
	if (channel && transfer->body.size <= TURN_BYTES_MAX &&
		turn_is_crowded(transfer->pool->turn)) {
		transfer_push_pending(transfer);
		return;
	}
	transfer->is_begun = true;
	if (channel)
		direct_send(own);
	else
		dial_fresh(own);
}

/* Meanwhile the channel may have been lost, and another one be on its way. */
static void begin(struct transfer *transfer)
{
	struct direct_transfer *own = direct_of(transfer);

	if (own->channel && transfer->is_connected)
		direct_send(own);
}

/* -- its end ----------------------------------------------------------------------- */

static void stop(struct transfer *transfer, bool is_reusable)
{
	struct direct_transfer *own = direct_of(transfer);
	struct channel *channel = own->channel;

	dial_close(own->dial);
	own->dial = NULL;
	own->channel = NULL;
	is_reusable = is_reusable && own->is_keepable && !own->is_closing &&
		own->is_sent && own->is_clean;
	if (channel && is_reusable)
		channel_keep(channel);
	else if (channel)
		channel_close(channel);
	decoder_free(own->decoder);
	own->decoder = NULL;
	buf_clear(&own->head);
	buf_clear(&own->held);
}

/* Pieces are needed until the request will not be sent once more. */
static bool is_free_of_pieces(const struct transfer *transfer)
{
	const struct direct_transfer *own = direct_of(transfer);

	return own->is_sent && own->channel && !can_repeat(own);
}

static void drop_sent(struct transfer *transfer)
{
	struct direct_transfer *own = direct_of(transfer);

	if (!own->is_sent)
		return;
	buf_clear(&own->head);
	own->head_at = 0;
}

const struct transfer_carrier direct_carrier = {
	.size = sizeof(struct direct_transfer),
	.prepare = prepare,
	.begin = begin,
	.resume = resume,
	.stop = stop,
	.is_free_of_pieces = is_free_of_pieces,
	.drop_sent = drop_sent,
};
