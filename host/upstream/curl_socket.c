/* The sockets of curl's connections: which address they may reach, and their events.
 *
 * File descriptors are used again at once, and curl closes without asking: the resolver's
 * sockets, and those whose connect took too long. An event that outlived its descriptor
 * would make libevent believe that the next one is registered already, so that nothing
 * would ever be heard of it. A watch therefore ends where its descriptor does: in
 * socket_close(), at CURL_POLL_REMOVE for sockets that were not opened here, with a
 * transfer that failed, and at the latest when the descriptor comes again. */
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "upstream/address.h"
#include "upstream/curl_handle.h"
#include "upstream/curl_pool.h"
#include "upstream/curl_transfer.h"
#include "upstream/trust.h"

/* What comes on an idle connection answers nobody (a 408 of who has waited long enough), and
 * curl would take it for the answer to its next request: it is thrown away, and curl will
 * find the connection closed. */
static void spoil(int fd)
{
	char room[4096];

	shutdown(fd, SHUT_RDWR);
	while (recv(fd, room, sizeof(room), MSG_DONTWAIT) > 0)
		;
}

static void on_socket(evutil_socket_t fd, short what, void *arg);

static void set_events(struct watch *watch, short events)
{
	if (watch->registered == events)
		return;
	if (watch->registered)
		event_del(&watch->event);
	event_assign(&watch->event, watch->shard->pool->transfers->base, watch->fd,
		(short)(events | EV_PERSIST), on_socket, watch);
	event_add(&watch->event, NULL);
	watch->registered = events;
}

/* Something happens that curl does not wait for. An idle connection with something to read is of
 * no use any more, a paused one is not read: neither may wake the loop again. That an idle one
 * could be written to, which newer ones of libcurl (8.14) wait for to the last, means nothing. */
static void on_unwanted(struct watch *watch, short what)
{
	bool is_idle = watch->origin && !watch->user;

	if (is_idle && !(what & EV_READ)) {
		set_events(watch, EV_READ);
		return;
	}
	if (is_idle)
		spoil(watch->fd);
	event_del(&watch->event);
	watch->registered = 0;
	list_remove(&watch->idle);
}

static void on_socket(evutil_socket_t fd, short what, void *arg)
{
	struct watch *watch = arg;
	int mask = 0;

	if (!watch->is_wanted) {
		on_unwanted(watch, what);
		return;
	}
	if (what & EV_READ)
		mask |= CURL_CSELECT_IN;
	if (what & EV_WRITE)
		mask |= CURL_CSELECT_OUT;
	shard_act(watch->shard, fd, mask);
}

static struct watch *watch_at(const struct curl_pool *pool, int fd)
{
	return (size_t)fd < pool->watch_room ? pool->watches[fd] : NULL;
}

static void free_watch(struct curl_pool *pool, struct watch *watch)
{
	if (watch->registered)
		event_del(&watch->event);
	list_remove(&watch->idle);
	pool->watches[watch->fd] = NULL;
	if (watch->origin)
		origin_unref(watch->origin);
	free(watch);
}

static struct watch *add_watch(struct shard *shard, int fd, struct origin *origin)
{
	struct curl_pool *pool = shard->pool;
	struct watch *watch = watch_at(pool, fd);

	if (watch)
		free_watch(pool, watch);
	watch = xcalloc(1, sizeof(*watch));
	if ((size_t)fd >= pool->watch_room) {
		size_t room = pool->watch_room ? pool->watch_room * 2 : 64;

		while (room <= (size_t)fd)
			room *= 2;
		pool->watches = xrealloc(pool->watches, room * sizeof(struct watch *));
		memset(pool->watches + pool->watch_room, 0,
			(room - pool->watch_room) * sizeof(struct watch *));
		pool->watch_room = room;
	}
	watch->shard = shard;
	watch->fd = fd;
	watch->origin = origin;
	if (origin)
		origin->ref_count++;
	list_init(&watch->idle);
	pool->watches[fd] = watch;
	return watch;
}

int socket_changed(CURL *easy, curl_socket_t fd, int what, void *arg, void *unused)
{
	struct shard *shard = arg;
	struct watch *watch = watch_at(shard->pool, fd);
	struct curl_transfer *transfer = NULL;
	short events = 0;

	(void)unused;
	if (what == CURL_POLL_REMOVE) {
		if (!watch)
			return 0;
		watch->is_wanted = false;
		if (!watch->origin)
			free_watch(shard->pool, watch);
		return 0;
	}
	if (!watch)
		watch = add_watch(shard, fd, NULL);
	curl_easy_getinfo(easy, CURLINFO_PRIVATE, &transfer);
	if (transfer && watch->origin) {
		transfer->fd = fd;
		watch->user = transfer;
		list_remove(&watch->idle);
	}
	if (what & CURL_POLL_IN)
		events |= EV_READ;
	if (what & CURL_POLL_OUT)
		events |= EV_WRITE;
	watch->is_wanted = true;
	set_events(watch, events);
	return 0;
}

curl_socket_t socket_open(void *arg, curlsocktype purpose, struct curl_sockaddr *address)
{
	struct curl_transfer *own = arg;
	int fd;

	(void)purpose;
	if (!transfer_may_connect(&own->transfer, address_kind(&address->addr)))
		return CURL_SOCKET_BAD;
	fd = socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
	if (fd < 0)
		return CURL_SOCKET_BAD;
	add_watch(own->shard, fd, own->handle->origin);
	return fd;
}

int socket_close(void *arg, curl_socket_t fd)
{
	struct curl_pool *pool = arg;
	struct watch *watch = watch_at(pool, fd);

	if (watch)
		free_watch(pool, watch);
	return close(fd);
}

void socket_release(struct curl_pool *pool, int fd, struct curl_transfer *user,
	bool is_reusable)
{
	struct watch *watch = fd < 0 ? NULL : watch_at(pool, fd);

	/* The connection may be closed already, and the descriptor be another one's. */
	if (!watch || watch->user != user)
		return;
	watch->user = NULL;
	if (!is_reusable)
		free_watch(pool, watch);
	else if (watch->origin == user->handle->origin)
		list_append(&watch->origin->idle, &watch->idle);
}

void socket_forget_all(struct curl_pool *pool)
{
	for (size_t i = 0; i < pool->watch_room; i++)
		if (pool->watches[i])
			free_watch(pool, pool->watches[i]);
}
