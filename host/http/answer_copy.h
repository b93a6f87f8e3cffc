/* answer_copy.h - the beginning of an answer's body, as the client gets it, for whoever
 * keeps it.
 *
 * An exchange that was given a copy (exchange_set_copy) adds what it sends. A copy takes
 * no more than its size, and no more than is left in a room that many copies share; what
 * does not fit is counted and not copied. One thread. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

struct answer_copy {
	struct buf bytes;
	size_t size_max;
	uint64_t whole_size; /* of the body so far */
	size_t *room;        /* bytes that all copies may still take */
};

/* room must outlive the copy. */
void answer_copy_init(struct answer_copy *copy, size_t size_max, size_t *room);
void answer_copy_add(struct answer_copy *copy, const void *data, size_t size);
/* Gives its bytes back to the room. */
void answer_copy_clear(struct answer_copy *copy);
