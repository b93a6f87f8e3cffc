#include "storage/ring.h"

#include <assert.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

#define CACHE_LINE 64
#define HEAD_SIZE 8 /* before each message: its size, and the alignment of what follows */
/* In the place of a size: the next message begins at the start of the memory. */
#define WRAP UINT32_MAX

/* Positions only grow; their place in the memory is what is left below the size. Each
 * side has a line of its own, and what it last knew of the other side. */
struct ring {
	unsigned char *memory;
	size_t size;

	alignas(CACHE_LINE) _Atomic uint64_t written; /* the writer's */
	uint64_t released_known;
	uint64_t start; /* of the message that is being written */
	_Atomic uint64_t dropped;

	alignas(CACHE_LINE) _Atomic uint64_t released; /* the reader's */
	uint64_t written_known;
	uint64_t read;
};

struct ring *ring_new(size_t size)
{
	struct ring *ring = aligned_alloc(CACHE_LINE, sizeof(*ring));

	assert(size >= 4096 && (size & (size - 1)) == 0 && size <= WRAP / 2);
	if (!ring)
		abort();
	memset(ring, 0, sizeof(*ring));
	ring->memory = xmalloc(size);
	ring->size = size;
	return ring;
}

void ring_free(struct ring *ring)
{
	if (!ring)
		return;
	free(ring->memory);
	free(ring);
}

static size_t room_of(size_t size)
{
	return HEAD_SIZE + ((size + 7) & ~(size_t)7);
}

static unsigned char *place(const struct ring *ring, uint64_t position)
{
	return ring->memory + (position & (ring->size - 1));
}

static void put_size(struct ring *ring, uint64_t position, uint32_t size)
{
	memcpy(place(ring, position), &size, sizeof(size));
}

static uint32_t get_size(const struct ring *ring, uint64_t position)
{
	uint32_t size;

	memcpy(&size, place(ring, position), sizeof(size));
	return size;
}

/* -- the writer ------------------------------------------------------------------- */

void *ring_reserve(struct ring *ring, size_t size)
{
	uint64_t written = atomic_load_explicit(&ring->written, memory_order_relaxed);
	size_t to_end = ring->size - (size_t)(written & (ring->size - 1));
	size_t needed = room_of(size), skipped = needed > to_end ? to_end : 0;

	if (size >= ring->size ||
		written + skipped + needed - ring->released_known > ring->size)
		ring->released_known = atomic_load_explicit(&ring->released,
			memory_order_acquire);
	if (size >= ring->size ||
		written + skipped + needed - ring->released_known > ring->size) {
		atomic_fetch_add_explicit(&ring->dropped, 1, memory_order_relaxed);
		return NULL;
	}
	if (skipped)
		put_size(ring, written, WRAP);
	ring->start = written + skipped;
	return place(ring, ring->start) + HEAD_SIZE;
}

void ring_commit(struct ring *ring, size_t size)
{
	put_size(ring, ring->start, (uint32_t)size);
	/* In one order with all else: a writer that then asks whether the reader sleeps,
	 * and a reader that says so and then looks here, cannot miss each other. */
	atomic_store(&ring->written, ring->start + room_of(size));
}

/* -- the reader ------------------------------------------------------------------- */

bool ring_peek(struct ring *ring, struct bytes *message)
{
	if (ring->read == ring->written_known)
		ring->written_known = atomic_load(&ring->written);
	if (ring->read == ring->written_known)
		return false;
	if (get_size(ring, ring->read) == WRAP)
		ring->read += ring->size - (ring->read & (ring->size - 1));
	message->size = get_size(ring, ring->read);
	message->data = place(ring, ring->read) + HEAD_SIZE;
	return true;
}

void ring_skip(struct ring *ring)
{
	ring->read += room_of(get_size(ring, ring->read));
}

bool ring_read(struct ring *ring, struct bytes *message)
{
	if (!ring_peek(ring, message))
		return false;
	ring_skip(ring);
	return true;
}

void ring_release(struct ring *ring)
{
	atomic_store_explicit(&ring->released, ring->read, memory_order_release);
}

/* -- questions -------------------------------------------------------------------- */

size_t ring_used(const struct ring *ring)
{
	/* In this order: what is released later is never more than what was written. */
	uint64_t released = atomic_load(&ring->released);

	return (size_t)(atomic_load(&ring->written) - released);
}

size_t ring_size(const struct ring *ring)
{
	return ring->size;
}

uint64_t ring_dropped(const struct ring *ring)
{
	return atomic_load_explicit(&ring->dropped, memory_order_relaxed);
}
