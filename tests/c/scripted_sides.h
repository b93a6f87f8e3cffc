/* scripted_sides.h - a scripted provider that serves each connection in a thread of its own, so
 * that one which is kept does not stop the next. */
#pragma once

#include "scripted_upstream.h"

#define SIDES_MAX 16

static struct side {
	pthread_t thread;
	struct scripted *upstream;
	script_fn *serve;
	int fd;
} sides[SIDES_MAX];
static int side_count;

static inline void *side_main(void *arg)
{
	struct side *side = arg;

	side->serve(side->upstream, side->fd, 0);
	return NULL;
}

/* For a script to return. What serve returns is not looked at: the connection stays open. */
static inline bool sides_serve(struct scripted *upstream, int fd, script_fn *serve)
{
	struct side *side = &sides[side_count++];

	assert(side_count <= SIDES_MAX);
	side->upstream = upstream;
	side->serve = serve;
	side->fd = fd;
	pthread_create(&side->thread, NULL, side_main, side);
	return true;
}

/* Once the client has closed its connections, before scripted_stop(). */
static inline void sides_join(void)
{
	while (side_count)
		pthread_join(sides[--side_count].thread, NULL);
}
