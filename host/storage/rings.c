#include "storage/rings.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

/* A ring, and the message at its front. */
struct source {
	struct ring *ring;
	struct bytes front;
	int64_t time; /* of the front */
	bool has_front;
};

struct rings {
	size_t count;
	struct source sources[];
};

struct rings *rings_new(size_t count, size_t size)
{
	struct rings *rings = xcalloc(1,
		sizeof(*rings) + count * sizeof(rings->sources[0]));

	assert(count > 0);
	rings->count = count;
	for (size_t i = 0; i < count; i++)
		rings->sources[i].ring = ring_new(size);
	return rings;
}

void rings_free(struct rings *rings)
{
	if (!rings)
		return;
	for (size_t i = 0; i < rings->count; i++)
		ring_free(rings->sources[i].ring);
	free(rings);
}

struct ring *rings_at(const struct rings *rings, size_t place)
{
	assert(place < rings->count);
	return rings->sources[place].ring;
}

/* -- the reader ------------------------------------------------------------------- */

static void look(struct source *source)
{
	source->has_front = ring_peek(source->ring, &source->front);
	if (!source->has_front)
		return;
	assert(source->front.size >= sizeof(source->time));
	memcpy(&source->time, source->front.data, sizeof(source->time));
}

void rings_look(struct rings *rings)
{
	for (size_t i = 0; i < rings->count; i++)
		look(&rings->sources[i]);
}

bool rings_read(struct rings *rings, struct bytes *message)
{
	struct source *first = NULL;

	for (size_t i = 0; i < rings->count; i++) {
		struct source *source = &rings->sources[i];

		if (source->has_front && (!first || source->time < first->time))
			first = source;
	}
	if (!first)
		return false;
	*message = first->front;
	ring_skip(first->ring);
	look(first);
	return true;
}

void rings_release(struct rings *rings)
{
	for (size_t i = 0; i < rings->count; i++)
		ring_release(rings->sources[i].ring);
}

/* -- questions -------------------------------------------------------------------- */

size_t rings_fullest(const struct rings *rings)
{
	size_t most = 0;

	for (size_t i = 0; i < rings->count; i++) {
		size_t used = ring_used(rings->sources[i].ring);

		most = used > most ? used : most;
	}
	return most;
}

uint64_t rings_dropped(const struct rings *rings)
{
	uint64_t dropped = 0;

	for (size_t i = 0; i < rings->count; i++)
		dropped += ring_dropped(rings->sources[i].ring);
	return dropped;
}

size_t rings_size(const struct rings *rings)
{
	return ring_size(rings->sources[0].ring);
}
