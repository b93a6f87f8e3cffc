#include "http/listener.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include <event2/event.h>

#include "base/log.h"
#include "http/connection.h"

#define ACCEPTS_PER_TURN 64
#define RETRY_MS 100
#define DOUBT_MS 50
#define SHED_MAX 256 /* connections hearing a 503 at a time; more hear nothing */

const struct http_limits http_default_limits = {
	.head_max = 64 * 1024,
	.field_max = 128,
	.body_max = 512ull * 1024 * 1024,
	.head_ms = 10 * 1000,
	.idle_ms = 75 * 1000,
	.body_rate = 512,
	.body_window_ms = 10 * 1000,
	.write_ms = 60 * 1000,
	.connection_max = 16 * 1024,
};

/* -- accepting -------------------------------------------------------------------- */

void listener_adopt(struct listener *listener, int fd)
{
	bool is_full = listener->connection_count >= listener->limits.connection_max;

	fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
	/* A 503 under TLS would cost a handshake: just what there is no room for. */
	if (is_full && (listener->tls || listener->shed_count >= SHED_MAX)) {
		close(fd);
		return;
	}
	connection_open(listener, fd, is_full);
}

static int open_reserve(void)
{
	return open("/dev/null", O_RDONLY | O_CLOEXEC);
}

/* The process has no descriptor left: gives the reserve away for as long as it takes to
 * turn one client away, so that the queue gets shorter and its clients hear something. */
static bool shed_one(struct listener *listener)
{
	static const char text[] =
		"HTTP/1.1 503 Service Unavailable\r\n"
		"Retry-After: 1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
	int fd;

	if (listener->reserve_fd < 0)
		return false;
	close(listener->reserve_fd);
	fd = accept4(listener->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (fd >= 0) {
		/* What has come is read, or the close would be a reset that destroys the
		 * answer. */
		recv(fd, listener->room, READ_SIZE, 0);
		if (!listener->tls)
			send(fd, text, sizeof(text) - 1, MSG_NOSIGNAL);
		shutdown(fd, SHUT_WR);
		recv(fd, listener->room, READ_SIZE, 0);
		close(fd);
	}
	listener->reserve_fd = open_reserve();
	return fd >= 0;
}

static void pause_accepting(struct listener *listener)
{
	const struct timeval delay = { .tv_usec = RETRY_MS * 1000 };

	event_del(listener->accept_event);
	event_add(listener->retry_event, &delay);
}

static bool is_shortage(int error)
{
	return error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM;
}

static void on_accept(int listening_fd, short what, void *arg)
{
	struct listener *listener = arg;

	(void)what;
	for (int i = 0; i < ACCEPTS_PER_TURN; i++) {
		int fd = accept4(listening_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd >= 0) {
			listener_adopt(listener, fd);
			continue;
		}
		if (errno == EAGAIN)
			return;
		if (is_shortage(errno) && !shed_one(listener)) {
			pause_accepting(listener);
			return;
		}
	}
}

static void on_retry(int fd, short what, void *arg)
{
	struct listener *listener = arg;

	(void)fd, (void)what;
	if (listener->reserve_fd < 0)
		listener->reserve_fd = open_reserve();
	event_add(listener->accept_event, NULL);
}

/* -- turns ------------------------------------------------------------------------ */

void listener_defer(struct listener *listener, struct connection *connection)
{
	const struct timeval soon = { 0 };

	if (!list_is_empty(&connection->turn_link))
		return;
	list_append(&listener->waiting, &connection->turn_link);
	/* In a turn the next one waits for the sockets to be asked; else it comes at the
	 * end of this pass over the events. */
	if (listener->is_in_turn)
		event_add(listener->turn_event, &soon);
	else
		event_active(listener->turn_event, EV_TIMEOUT, 0);
}

static void on_turn(int fd, short what, void *arg)
{
	struct listener *listener = arg;
	struct list last;

	(void)fd, (void)what;
	listener->is_in_turn = true;
	/* What is deferred in this turn stands behind the mark and waits for the next. */
	list_init(&last);
	list_append(&listener->waiting, &last);
	while (listener->waiting.next != &last) {
		struct list *link = listener->waiting.next;

		list_remove(link);
		connection_work(CONTAINER_OF(link, struct connection, turn_link));
	}
	list_remove(&last);
	listener->is_in_turn = false;
}

/* -- doubts ----------------------------------------------------------------------- */

void listener_doubt(struct listener *listener, struct connection *connection)
{
	const struct timeval delay = { .tv_usec = DOUBT_MS * 1000 };

	if (!list_is_empty(&connection->doubt_link))
		return;
	if (list_is_empty(&listener->doubted))
		event_add(listener->doubt_event, &delay);
	list_append(&listener->doubted, &connection->doubt_link);
}

static void on_doubt(int fd, short what, void *arg)
{
	struct listener *listener = arg;

	(void)fd, (void)what;
	while (!list_is_empty(&listener->doubted)) {
		struct list *link = listener->doubted.next;
		struct connection *connection = CONTAINER_OF(link, struct connection,
			doubt_link);

		list_remove(link);
		if ((connection->exchange || connection->has_head) &&
			wire_has_failed(&connection->wire))
			connection_leave(connection);
	}
}

/* -- opening and closing ---------------------------------------------------------- */

static int resolve(const char *address, struct addrinfo **out, struct err *err)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE };
	char host[256], port_text[8];
	const char *name = host;
	int port, rc;

	if ((rc = address_parse(address, host, sizeof(host), &port, err)) != 0)
		return rc;
	snprintf(port_text, sizeof(port_text), "%d", port);
	if (!*host)
		name = NULL;
	else if (strcasecmp(host, "localhost") == 0)
		name = "127.0.0.1";
	rc = getaddrinfo(name, port_text, &hints, out);
	if (rc)
		return err_set(err, -EINVAL, "%s: %s", address, gai_strerror(rc));
	return 0;
}

/* Without SO_REUSEPORT the bind fails where anybody listens already, also another neap, which
 * would else take every other connection. Set behind it, it still lets our own others in. */
static int bind_socket(int fd, const struct addrinfo *info, bool is_shared)
{
	const int on = 1;
	int rc = 0;

	if (is_shared)
		rc = setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on));
	if (rc == 0)
		rc = bind(fd, info->ai_addr, info->ai_addrlen);
	if (rc == 0 && !is_shared)
		rc = setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on));
	return rc;
}

static int open_socket(const struct addrinfo *info, bool is_for_all, bool is_shared)
{
	int on = 1;
	int off = 0;
	int fd = socket(info->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	/* ":8080" hears IPv4 as well. */
	if (info->ai_family == AF_INET6 &&
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, is_for_all ? &off : &on,
			sizeof(on)) != 0)
		goto fail;
	if (bind_socket(fd, info, is_shared) != 0 || listen(fd, SOMAXCONN) != 0)
		goto fail;
	return fd;

fail:
	off = -errno;
	close(fd);
	return off;
}

/* The listening socket or a negative errno. */
static int open_address(const char *address, bool is_shared, struct err *err)
{
	struct addrinfo *found = NULL;
	bool is_for_all = *address == ':';
	int fd = -EADDRNOTAVAIL;
	int rc = resolve(address, &found, err);

	if (rc)
		return rc;
	/* For every address IPv6 is tried first, as its socket hears both. */
	for (int round = 0; round < 2 && fd < 0; round++) {
		for (struct addrinfo *at = found; at && fd < 0; at = at->ai_next) {
			if (!is_for_all || (at->ai_family == AF_INET6) == (round == 0))
				fd = open_socket(at, is_for_all, is_shared);
		}
	}
	freeaddrinfo(found);
	if (fd < 0)
		return err_set(err, fd, "cannot listen on %s: %s", address,
			strerror(-fd));
	return fd;
}

static int bound_port(int fd)
{
	union {
		struct sockaddr any;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
	} name = { .v6 = { 0 } };
	socklen_t size = sizeof(name);

	getsockname(fd, &name.any, &size);
	return ntohs(
		name.any.sa_family == AF_INET6 ? name.v6.sin6_port : name.v4.sin_port);
}

int listener_open(struct listener **out, struct turn *turn,
	const struct listener_options *options, struct err *err)
{
	const int wanted = EV_FEATURE_ET | EV_FEATURE_EARLY_CLOSE;
	struct event_base *base = turn_base(turn);
	struct listener *listener;
	int fd;

	if ((event_base_get_features(base) & wanted) != wanted)
		return err_set(err, -ENOTSUP, "libevent has no epoll here");
	if ((fd = open_address(options->address, options->is_shared, err)) < 0)
		return fd;
	listener = xcalloc(1, sizeof(*listener));
	listener->base = base;
	listener->turn = turn;
	listener->handler = options->handler;
	listener->arg = options->arg;
	listener->spools = options->spools;
	listener->limits = options->limits;
	listener->room = xmalloc(READ_SIZE);
	list_init(&listener->open);
	list_init(&listener->waiting);
	list_init(&listener->doubted);
	listener->fd = fd;
	listener->port = bound_port(fd);
	listener->reserve_fd = open_reserve();
	listener_set_tls(listener, options->tls);
	listener->turn_event = event_new(base, -1, 0, on_turn, listener);
	listener->doubt_event = evtimer_new(base, on_doubt, listener);
	listener->retry_event = event_new(base, -1, 0, on_retry, listener);
	listener->accept_event = event_new(base, fd, EV_READ | EV_PERSIST, on_accept,
		listener);
	event_add(listener->accept_event, NULL);
	*out = listener;
	return 0;
}

int listener_port(const struct listener *listener)
{
	return listener->port;
}

void listener_set_tls(struct listener *listener, struct tls *tls)
{
	if (tls)
		tls_ref(tls);
	tls_unref(listener->tls);
	listener->tls = tls;
}

size_t listener_connection_count(const struct listener *listener)
{
	return listener->connection_count;
}

static void stop_accepting(struct listener *listener)
{
	if (listener->fd < 0)
		return;
	event_free(listener->accept_event);
	event_free(listener->retry_event);
	listener->accept_event = NULL;
	listener->retry_event = NULL;
	close(listener->fd);
	listener->fd = -1;
}

void listener_drain(struct listener *listener)
{
	struct list *at, *next;

	if (listener->is_draining)
		return;
	/* Clients that wait in the socket's queue would be reset with it. */
	on_accept(listener->fd, EV_READ, listener);
	stop_accepting(listener);
	listener->is_draining = true;
	for (at = listener->open.next; at != &listener->open; at = next) {
		next = at->next;
		connection_work(CONTAINER_OF(at, struct connection, link));
	}
}

void listener_close(struct listener *listener)
{
	stop_accepting(listener);
	while (!list_is_empty(&listener->open))
		connection_leave(
			CONTAINER_OF(listener->open.next, struct connection, link));
	event_free(listener->turn_event);
	event_free(listener->doubt_event);
	if (listener->reserve_fd >= 0)
		close(listener->reserve_fd);
	tls_unref(listener->tls);
	buf_clear(&listener->scratch);
	free(listener->room);
	free(listener);
}
