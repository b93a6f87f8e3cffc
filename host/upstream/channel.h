/* channel.h - connections to providers, and those of them that are kept for the next request.
 *
 * A channel serves one user after another. Its socket stays registered for reading all the
 * while, so that a provider's close is seen at once and a request on a kept channel needs no
 * further call of the system. Kept channels are those of an origin (scheme, host, port and
 * trust), and the one used last is taken first. Inside of upstream/ only. */
#pragma once

#include <arpa/inet.h>
#include <event2/event_struct.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "base/err.h"
#include "base/list.h"
#include "upstream/address.h"
#include "upstream/endpoint.h"

#define CHANNEL_ROOM (64 * 1024) /* bytes that are read, or copied to be sent, at once */

struct channels;
struct event_base;
struct lookups;
struct map;
struct ssl_st;
struct tls_client;

/* What a user hears, from the loop. It may close or release the channel. */
struct channel_user {
	void (*on_readable)(void *arg);
	void (*on_writable)(void *arg);
};

/* Where channels lead. Lives as long as the pool. */
struct channel_origin {
	struct channels *channels;
	char *host; /* set, with the next two, by whoever asks first; NULL until then */
	int port;
	struct tls_client *tls; /* NULL: plain */
	struct list kept;       /* channels; the last one was used last */
};

struct channel {
	struct channel_origin *origin;
	const struct channel_user *user; /* NULL: it is kept */
	void *arg;
	struct ssl_st *ssl; /* NULL: plain */
	int fd;
	enum address_kind kind; /* of the peer */
	bool is_reading;
	bool is_writing;
	bool was_used; /* by somebody before its present user */
	struct list kept;
	struct list aged; /* in the pool's, while it is kept */
	int64_t kept_since_ms;
	struct event readable;
	struct event writable;
	char peer[INET6_ADDRSTRLEN];
};

struct channels {
	struct event_base *base;
	struct lookups *lookups;
	struct map *origins;
	struct list aged; /* kept channels; the first one has been for longest */
	size_t kept_count;
	char *room;      /* CHANNEL_ROOM bytes that all channels read into */
	char *send_room; /* as many for what is copied to be sent */
};

struct channels *channels_new(struct event_base *base);
/* No channel has a user. */
void channels_free(struct channels *channels);
/* key: what distinguishes it. */
struct channel_origin *channels_origin(struct channels *channels, const char *key,
	size_t key_size);

typedef bool channel_may_fn(enum address_kind kind, void *arg);
/* The kept channel that was used last and whose peer is one that may be connected to, or
 * NULL. */
struct channel *channel_take(struct channel_origin *origin,
	const struct channel_user *user, channel_may_fn *may, void *arg);
/* Takes fd, which is connected to peer and does not block. Before anything is sent,
 * channel_shake() must have returned 0. */
struct channel *channel_open(struct channel_origin *origin, int fd,
	const union endpoint *peer, const struct channel_user *user, void *arg);
/* Shakes hands, where the origin has TLS. Returns 0, -EAGAIN (try again when the user hears of
 * the channel), or -EPROTO. */
MUST_CHECK
int channel_shake(struct channel *channel, struct err *err);
/* Keeps it for the next one: nothing may be on its way in either direction. */
void channel_keep(struct channel *channel);
void channel_close(struct channel *channel);

/* Bytes read, 0 at the proper end, or a negative errno, -EAGAIN among them. */
ssize_t channel_read(struct channel *channel, void *room, size_t size);
/* Whether bytes have come that the socket will not tell of. */
bool channel_has_more(const struct channel *channel);
/* Gives back what only reading needs, until it is needed again. */
void channel_free_buffers(struct channel *channel);
/* Bytes taken, or a negative errno. Fewer than there are: try again when it can be written
 * to. */
ssize_t channel_write(struct channel *channel, const struct iovec *parts, size_t count);
/* Whether the user wants to hear of it. */
void channel_set_reading(struct channel *channel, bool is_wanted);
void channel_set_writing(struct channel *channel, bool is_wanted);
