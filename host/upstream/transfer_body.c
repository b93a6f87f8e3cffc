#include "upstream/transfer_body.h"

#include <string.h>

void body_init(struct transfer_body *body, const struct piece *pieces, size_t count)
{
	*body = (struct transfer_body) { .pieces = pieces, .piece_count = count };
	for (size_t i = 0; i < count; i++)
		body->size += pieces[i].size;
}

/* Copies from the piece that body->at is in. Returns how much, or a negative errno. */
static ssize_t read_piece(struct transfer_body *body, char *room, size_t size)
{
	while (body->piece < body->piece_count) {
		const struct piece *piece = &body->pieces[body->piece];
		uint64_t offset = body->at - body->piece_at;
		uint64_t left = piece->size - offset;

		if (!left) {
			body->piece_at += piece->size;
			body->piece++;
			continue;
		}
		if (left > size)
			left = size;
		if (!piece->data)
			return piece->source->ops->read(piece->source,
				piece->offset + offset, room, left);
		memcpy(room, piece->data + offset, left);
		return (ssize_t)left;
	}
	return 0;
}

ssize_t body_read(struct transfer_body *body, char *room, size_t size)
{
	size_t filled = 0;

	if (size > body->size - body->at)
		size = body->size - body->at;
	while (filled < size) {
		ssize_t got = read_piece(body, room + filled, size - filled);

		if (got <= 0)
			return -1; /* an end before the piece's is a failure, too */
		body->at += (uint64_t)got;
		filled += (size_t)got;
	}
	return (ssize_t)filled;
}

void body_skip(struct transfer_body *body, uint64_t size)
{
	body->at += size;
	while (body->piece < body->piece_count &&
		body->at - body->piece_at >= body->pieces[body->piece].size)
		body->piece_at += body->pieces[body->piece++].size;
}

void body_seek(struct transfer_body *body, uint64_t at)
{
	body->at = 0;
	body->piece = 0;
	body->piece_at = 0;
	body_skip(body, at);
}
