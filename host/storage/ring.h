/* ring.h - messages from one thread to another through a fixed piece of memory.
 *
 * One thread writes, one reads; neither locks, waits, allocates or calls the system. When
 * there is no room the message is dropped and counted: whoever writes has better things
 * to do than to wait. Messages lie in one piece each, and what was read stays where it is
 * until it is released, so that it need not be copied.
 *
 *	if ((at = ring_reserve(ring, size_max)))         // the writer
 *		ring_commit(ring, write_message(at));
 *
 *	while (ring_read(ring, &message))                // the reader
 *		use(message);
 *	ring_release(ring); */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "storage/key.h"

struct ring;

/* size: bytes, a power of two, 4096 at least. */
struct ring *ring_new(size_t size);
/* Both threads are done with it. NULL is fine. */
void ring_free(struct ring *ring);

/* The writing thread. Room for a message of up to size bytes, aligned to 8; NULL: there is
 * none, and the message counts as dropped. What was reserved and not committed is
 * forgotten with the next call. */
void *ring_reserve(struct ring *ring, size_t size);
/* size: what the message has really become, not more than was reserved. */
void ring_commit(struct ring *ring, size_t size);

/* The reading thread. The next message, which stays the next; false: all was read. message
 * is good until the ring_release() after it is skipped. */
bool ring_peek(struct ring *ring, struct bytes *message);
/* What ring_peek() gave was read. */
void ring_skip(struct ring *ring);
/* Both in one. */
bool ring_read(struct ring *ring, struct bytes *message);
/* Gives back the room of all that was read. */
void ring_release(struct ring *ring);

/* Any thread. Bytes that were written and not yet released. */
size_t ring_used(const struct ring *ring);
size_t ring_size(const struct ring *ring);
uint64_t ring_dropped(const struct ring *ring); /* messages, since the start */
