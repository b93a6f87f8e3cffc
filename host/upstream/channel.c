#include "upstream/channel.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <event2/event.h>
#include <openssl/ssl.h>

#include "base/clock.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/secure.h"
#include "upstream/lookup.h"
#include "upstream/tls_client.h"

#define KEPT_MAX 1024        /* channels of a pool; of more, the oldest is closed */
#define KEPT_MS (118 * 1000) /* longer, and something on the way may have forgotten it */
#define SHORT_RECORD 4096    /* bytes; behind a longer one there may be another */

/* -- bytes ------------------------------------------------------------------------- */

static ssize_t read_plain(struct channel *channel, void *room, size_t size)
{
	ssize_t got;

	do
		got = recv(channel->fd, room, size, 0);
	while (got < 0 && errno == EINTR);
	return got < 0 ? -errno : got;
}

/* Records until the room is full or nothing has come behind them: the socket is not asked in
 * vain after a short one. */
static ssize_t read_secure(struct channel *channel, char *room, size_t size)
{
	size_t total = 0;

	while (total < size) {
		ssize_t got = secure_read(channel->ssl, room + total, size - total);

		if (got <= 0)
			return total ? (ssize_t)total : got;
		total += (size_t)got;
		if (got < SHORT_RECORD && !SSL_has_pending(channel->ssl))
			break;
	}
	return (ssize_t)total;
}

ssize_t channel_read(struct channel *channel, void *room, size_t size)
{
	return channel->ssl ? read_secure(channel, room, size)
			    : read_plain(channel, room, size);
}

bool channel_has_more(const struct channel *channel)
{
	return channel->ssl && SSL_has_pending(channel->ssl);
}

void channel_free_buffers(struct channel *channel)
{
	if (channel->ssl && !SSL_has_pending(channel->ssl))
		SSL_free_buffers(channel->ssl);
}

int channel_shake(struct channel *channel, struct err *err)
{
	bool wants_write;
	int rc;

	if (!channel->ssl)
		return 0;
	rc = tls_client_shake(channel->ssl, &wants_write, err);
	channel_set_writing(channel, rc == -EAGAIN && wants_write);
	return rc;
}

ssize_t channel_write(struct channel *channel, const struct iovec *parts, size_t count)
{
	/* sendmsg() does not write to the parts. */
	struct msghdr message = { .msg_iov = (struct iovec *)(uintptr_t)parts,
		.msg_iovlen = count };
	ssize_t sent;

	if (channel->ssl)
		return secure_write(channel->ssl, parts, count);
	do
		sent = sendmsg(channel->fd, &message, MSG_NOSIGNAL);
	while (sent < 0 && errno == EINTR);
	return sent < 0 ? -errno : sent;
}

void channel_set_reading(struct channel *channel, bool is_wanted)
{
	if (channel->is_reading == is_wanted)
		return;
	channel->is_reading = is_wanted;
	if (is_wanted)
		event_add(&channel->readable, NULL);
	else
		event_del(&channel->readable);
}

void channel_set_writing(struct channel *channel, bool is_wanted)
{
	if (channel->is_writing == is_wanted)
		return;
	channel->is_writing = is_wanted;
	if (is_wanted)
		event_add(&channel->writable, NULL);
	else
		event_del(&channel->writable);
}

/* -- life -------------------------------------------------------------------------- */

void channel_close(struct channel *channel)
{
	if (!channel->user)
		channel->origin->channels->kept_count--;
	list_remove(&channel->kept);
	list_remove(&channel->aged);
	channel_set_reading(channel, false);
	channel_set_writing(channel, false);
	if (channel->ssl) {
		secure_end(channel->ssl);
		secure_free(channel->ssl);
	}
	close(channel->fd);
	free(channel);
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct channel *channel = arg;
	char byte;

	(void)fd;
	(void)what;
	/* A kept channel on which something comes has been closed by the provider, or will
	 * answer what nobody asked. TLS has words of its own for it. */
	if (channel->user)
		channel->user->on_readable(channel->arg);
	else if (!channel->ssl || secure_read(channel->ssl, &byte, 1) != -EAGAIN)
		channel_close(channel);
}

static void on_writable(evutil_socket_t fd, short what, void *arg)
{
	struct channel *channel = arg;

	(void)fd;
	(void)what;
	channel->user->on_writable(channel->arg);
}

static void note_peer(struct channel *channel, const union endpoint *peer)
{
	const void *address = &peer->ip4.sin_addr;

	if (peer->any.sa_family == AF_INET6)
		address = &peer->ip6.sin6_addr;
	inet_ntop(peer->any.sa_family, address, channel->peer, sizeof(channel->peer));
	channel->kind = address_kind(&peer->any);
}

struct channel *channel_open(struct channel_origin *origin, int fd,
	const union endpoint *peer, const struct channel_user *user, void *arg)
{
	struct channel *channel = xcalloc(1, sizeof(*channel));
	struct event_base *base = origin->channels->base;

	channel->origin = origin;
	channel->fd = fd;
	channel->user = user;
	channel->arg = arg;
	list_init(&channel->kept);
	list_init(&channel->aged);
	note_peer(channel, peer);
	if (origin->tls)
		channel->ssl = tls_client_open(origin->tls, fd);
	event_assign(&channel->readable, base, fd, EV_READ | EV_PERSIST, on_readable,
		channel);
	event_assign(&channel->writable, base, fd, EV_WRITE | EV_PERSIST, on_writable,
		channel);
	channel_set_reading(channel, true);
	return channel;
}

/* -- those that are kept ----------------------------------------------------------- */

static struct channel *oldest(struct channels *channels)
{
	/* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): channel_close() unlinks it */
	return CONTAINER_OF(channels->aged.next, struct channel, aged);
}

static void close_old(struct channels *channels, int64_t now)
{
	while (channels->kept_count &&
		(channels->kept_count > KEPT_MAX ||
			now - oldest(channels)->kept_since_ms > KEPT_MS))
		channel_close(oldest(channels));
}

void channel_keep(struct channel *channel)
{
	struct channel_origin *origin = channel->origin;
	struct channels *channels = origin->channels;
	int64_t now = clock_tick_ms();

	channel->user = NULL;
	channel->was_used = true;
	channel->kept_since_ms = now;
	list_append(&origin->kept, &channel->kept);
	list_append(&channels->aged, &channel->aged);
	channels->kept_count++;
	channel_set_writing(channel, false);
	channel_set_reading(channel, true);
	close_old(channels, now);
}

struct channel *channel_take(struct channel_origin *origin,
	const struct channel_user *user, channel_may_fn *may, void *arg)
{
	struct list *at;

	close_old(origin->channels, clock_tick_ms());
	for (at = origin->kept.previous; at != &origin->kept; at = at->previous) {
		struct channel *channel = CONTAINER_OF(at, struct channel, kept);

		if (!may(channel->kind, arg))
			continue;
		list_remove(&channel->kept);
		list_remove(&channel->aged);
		origin->channels->kept_count--;
		channel->user = user;
		channel->arg = arg;
		return channel;
	}
	return NULL;
}

struct channels *channels_new(struct event_base *base)
{
	struct channels *channels = xcalloc(1, sizeof(*channels));

	channels->base = base;
	channels->lookups = lookups_new(base);
	channels->origins = map_new();
	channels->room = xmalloc(CHANNEL_ROOM);
	channels->send_room = xmalloc(CHANNEL_ROOM);
	list_init(&channels->aged);
	return channels;
}

struct channel_origin *channels_origin(struct channels *channels, const char *key,
	size_t key_size)
{
	struct channel_origin *origin = map_get(channels->origins, key, key_size);

	if (origin)
		return origin;
	origin = xcalloc(1, sizeof(*origin));
	origin->channels = channels;
	list_init(&origin->kept);
	map_set(channels->origins, key, key_size, origin);
	return origin;
}

static void free_origin(const char *key, size_t key_size, void *value, void *arg)
{
	struct channel_origin *origin = value;

	(void)key;
	(void)key_size;
	(void)arg;
	tls_client_free(origin->tls);
	free(origin->host);
	free(origin);
}

void channels_free(struct channels *channels)
{
	if (!channels)
		return;
	while (channels->kept_count)
		channel_close(oldest(channels));
	map_each(channels->origins, free_origin, NULL);
	map_free(channels->origins);
	lookups_free(channels->lookups);
	free(channels->room);
	free(channels->send_room);
	free(channels);
}
