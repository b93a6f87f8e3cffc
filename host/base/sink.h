/* sink.h - where bytes go: how the provider's bytes reach the client without either
 * side knowing the other.
 *
 * A sink takes bytes at once and says how many are waiting; whoever writes stops when
 * there are SINK_HIGH or more and goes on when the sink has called back. All on one
 * worker thread. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#define SINK_HIGH (256 * 1024) /* bytes waiting at which a writer must stop */
#define SINK_LOW (64 * 1024)   /* bytes waiting at which the sink calls back */

struct sink;

typedef void sink_drained_fn(void *arg);

struct sink_ops {
	/* Takes a copy. Returns the bytes that wait now; never calls back from here. A
	 * sink whose reader is gone takes everything and returns 0. */
	size_t (*write)(struct sink *sink, const void *data, size_t size);
	/* Calls fn once, from the event loop, when no more than SINK_LOW bytes
	 * wait; NULL takes the wish back. Not called once the reader is gone: that
	 * has a way of its own. */
	void (*when_drained)(struct sink *sink, sink_drained_fn *fn, void *arg);
	/* The proper end of the bytes. The sink must not be used after it. */
	void (*end)(struct sink *sink);
	/* An end that the reader can see to be none. The sink must not be used after
	 * it. */
	void (*cut)(struct sink *sink);
};

struct sink {
	const struct sink_ops *ops;
};
