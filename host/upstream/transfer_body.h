/* transfer_body.h - the body of a request: pieces that are read one after the other.
 *
 * The pieces are the caller's; see transfer.h. Inside of upstream/ only. */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/piece.h"

struct transfer_body { /* all zero: none */
	const struct piece *pieces;
	size_t piece_count;
	uint64_t size;
	uint64_t at;       /* of the next byte that is read */
	uint64_t piece_at; /* of the first byte of the piece that at is in */
	size_t piece;
};

void body_init(struct transfer_body *body, const struct piece *pieces, size_t count);
/* Copies up to size bytes at body->at, and goes on behind them. Returns how many, or -1. */
ssize_t body_read(struct transfer_body *body, char *room, size_t size);
/* Goes on behind size bytes. */
void body_skip(struct transfer_body *body, uint64_t size);
/* at: up to body->size. */
void body_seek(struct transfer_body *body, uint64_t at);
