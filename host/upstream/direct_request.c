/* How a request goes out: its head, and the pieces of the body from where they lie. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "upstream/direct_transfer.h"

#define PARTS_MAX 16
#define TURN_MAX (1024 * 1024) /* bytes that are sent before others have their turn */

struct parts {
	struct iovec at[PARTS_MAX];
	size_t count;
	size_t size;
};

static void add_part(struct parts *parts, const char *data, size_t size)
{
	if (!size)
		return;
	parts->at[parts->count++] = (struct iovec) { .iov_base = (void *)(uintptr_t)data,
		.iov_len = size };
	parts->size += size;
}

/* What of a piece has to be read first ends the parts: there is one room for it. Returns
 * false if that failed. */
static bool add_source(struct direct_transfer *own, struct parts *parts,
	const struct piece *piece, uint64_t offset)
{
	char *room = own->origin->channels->send_room;
	uint64_t left = piece->size - offset;
	ssize_t got = piece->source->ops->read(piece->source, piece->offset + offset,
		room, left < CHANNEL_ROOM ? left : CHANNEL_ROOM);

	if (got <= 0) {
		transfer_fail(&own->transfer, TRANSFER_PROTOCOL,
			"the request's body could not be read");
		return false;
	}
	add_part(parts, room, (size_t)got);
	return true;
}

/* What is left of head and body, as far as it has room. */
static bool collect(struct direct_transfer *own, struct parts *parts)
{
	const struct transfer_body *body = &own->transfer.body;
	uint64_t offset = body->at - body->piece_at;

	*parts = (struct parts) { .count = 0 };
	add_part(parts, buf_data(&own->head) + own->head_at,
		buf_size(&own->head) - own->head_at);
	for (size_t i = body->piece; i < body->piece_count; i++, offset = 0) {
		const struct piece *piece = &body->pieces[i];

		if (parts->count == PARTS_MAX)
			return true;
		if (offset == piece->size)
			continue;
		if (!piece->data)
			return add_source(own, parts, piece, offset);
		add_part(parts, piece->data + offset, (size_t)(piece->size - offset));
	}
	return true;
}

static void advance(struct direct_transfer *own, size_t sent)
{
	struct transfer_body *body = &own->transfer.body;
	size_t of_head = buf_size(&own->head) - own->head_at;

	if (of_head > sent)
		of_head = sent;
	own->head_at += of_head;
	body_skip(body, sent - of_head);
	own->is_sent = own->head_at == buf_size(&own->head) && body->at == body->size;
}

/* One write. False: no more can be sent now. */
static bool send_some(struct direct_transfer *own, size_t *total)
{
	struct parts parts;
	ssize_t sent;

	if (!collect(own, &parts)) {
		own->is_given_up = true;
		transfer_push_pending(&own->transfer);
		return false;
	}
	sent = channel_write(own->channel, parts.at, parts.count);
	if (sent == -EAGAIN)
		return false;
	if (sent < 0) {
		/* An answer may be there all the same; if none is, reading will tell. */
		own->is_given_up = true;
		return false;
	}
	advance(own, (size_t)sent);
	*total += (size_t)sent;
	return (size_t)sent == parts.size;
}

void direct_send(struct direct_transfer *own)
{
	size_t total = 0;

	while (!own->is_sent && !own->is_given_up && total < TURN_MAX &&
		send_some(own, &total))
		;
	channel_set_writing(own->channel, !own->is_sent && !own->is_given_up);
}

void direct_rewind(struct direct_transfer *own)
{
	own->head_at = 0;
	own->is_sent = false;
	own->is_given_up = false;
	body_seek(&own->transfer.body, 0);
}
