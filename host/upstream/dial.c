#include "upstream/dial.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <event2/event.h>
#include <event2/event_struct.h>

#include "base/mem.h"
#include "upstream/lookup.h"

#define NEXT_AFTER_MS 200
#define KEEPALIVE_IDLE_SECONDS 30
#define KEEPALIVE_STEP_SECONDS 15

struct attempt {
	struct dial *dial;
	struct event event;
	size_t endpoint;
	int fd; /* -1: not begun, or over */
};

struct dial {
	struct lookup *lookup;
	struct event_base *base;
	const struct dial_handler *handler;
	void *arg;
	struct endpoints endpoints;
	struct event timer; /* the next one's turn */
	size_t next;        /* endpoint to be tried */
	size_t open_count;  /* attempts */
	int port;
	int error; /* of the last attempt that failed */
	bool is_refused;
	struct attempt *attempts; /* one for each endpoint */
	char host[];
};

static void close_attempt(struct attempt *attempt)
{
	if (attempt->fd < 0)
		return;
	event_del(&attempt->event);
	close(attempt->fd);
	attempt->fd = -1;
	attempt->dial->open_count--;
}

void dial_close(struct dial *dial)
{
	if (!dial)
		return;
	lookup_close(dial->lookup);
	if (dial->attempts)
		for (size_t i = 0; i < dial->endpoints.count; i++)
			close_attempt(&dial->attempts[i]);
	event_del(&dial->timer);
	free(dial->attempts);
	free(dial);
}

static void end(struct dial *dial, const struct dial_result *result)
{
	const struct dial_handler *handler = dial->handler;
	void *arg = dial->arg;

	dial_close(dial);
	handler->on_end(result, arg);
}

static void end_without(struct dial *dial, const char *reason)
{
	struct err text;
	struct dial_result result = { .fd = -1,
		.text = text.text,
		.is_refused = dial->is_refused && !dial->error };

	if (reason)
		(void)err_set(&text, 0, "%s: %s", reason, dial->host);
	else
		(void)err_set(&text, 0, "Failed to connect to %s port %d: %s", dial->host,
			dial->port, strerror(dial->error));
	end(dial, &result);
}

static void end_with(struct dial *dial, struct attempt *attempt)
{
	struct dial_result result = { .fd = attempt->fd,
		.peer = dial->endpoints.at[attempt->endpoint] };

	event_del(&attempt->event);
	attempt->fd = -1;
	dial->open_count--;
	end(dial, &result);
}

static void go_on(struct dial *dial);

static void on_connected(evutil_socket_t fd, short what, void *arg)
{
	struct attempt *attempt = arg;
	struct dial *dial = attempt->dial;
	socklen_t size = sizeof(int);
	int error = 0;

	(void)what;
	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0)
		error = errno;
	if (!error) {
		end_with(dial, attempt);
		return;
	}
	dial->error = error;
	close_attempt(attempt);
	go_on(dial);
}

static void set_options(int fd)
{
	int on = 1, idle = KEEPALIVE_IDLE_SECONDS, step = KEEPALIVE_STEP_SECONDS;

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof(idle));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &step, sizeof(step));
}

/* Returns 0, or a negative errno. */
static int open_attempt(struct dial *dial, size_t index)
{
	union endpoint *endpoint = &dial->endpoints.at[index];
	struct attempt *attempt = &dial->attempts[index];
	bool is_ip6 = endpoint->any.sa_family == AF_INET6;
	socklen_t size = is_ip6 ? sizeof(endpoint->ip6) : sizeof(endpoint->ip4);
	in_port_t port = htons((uint16_t)dial->port);
	int fd = socket(endpoint->any.sa_family,
		SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_TCP);

	if (fd < 0)
		return -errno;
	*(is_ip6 ? &endpoint->ip6.sin6_port : &endpoint->ip4.sin_port) = port;
	set_options(fd);
	if (connect(fd, &endpoint->any, size) != 0 && errno != EINPROGRESS) {
		int rc = -errno;

		close(fd);
		return rc;
	}
	attempt->fd = fd;
	event_assign(&attempt->event, dial->base, fd, EV_WRITE, on_connected, attempt);
	event_add(&attempt->event, NULL);
	dial->open_count++;
	return 0;
}

/* Begins the next attempt that can be begun. */
static void try_next(struct dial *dial)
{
	while (dial->next < dial->endpoints.count) {
		size_t index = dial->next++;
		const struct sockaddr *address = &dial->endpoints.at[index].any;
		int rc;

		if (!dial->handler->may_connect(address_kind(address), dial->arg)) {
			dial->is_refused = true;
			continue;
		}
		rc = open_attempt(dial, index);
		if (rc == 0)
			return;
		dial->error = -rc;
	}
}

static void go_on(struct dial *dial)
{
	struct timeval wait = { .tv_usec = NEXT_AFTER_MS * 1000 };

	try_next(dial);
	if (!dial->open_count)
		end_without(dial, NULL);
	else if (dial->next < dial->endpoints.count)
		evtimer_add(&dial->timer, &wait);
}

/* Families take turns, the first one being that of the resolver's first answer. */
static void set_endpoints(struct dial *dial, const struct endpoints *found)
{
	struct endpoints *sorted = &dial->endpoints;
	bool is_taken[ENDPOINTS_MAX] = { false };
	int family = found->at[0].any.sa_family;

	while (sorted->count < found->count) {
		size_t i = 0;

		while (i < found->count &&
			(is_taken[i] || found->at[i].any.sa_family != family))
			i++;
		if (i < found->count) {
			is_taken[i] = true;
			sorted->at[sorted->count++] = found->at[i];
		}
		family = family == AF_INET ? AF_INET6 : AF_INET;
	}
	dial->attempts = xcalloc(sorted->count, sizeof(*dial->attempts));
	for (size_t i = 0; i < sorted->count; i++)
		dial->attempts[i] = (struct attempt) { .dial = dial,
			.endpoint = i,
			.fd = -1 };
}

static void on_found(const struct endpoints *found, void *arg)
{
	struct dial *dial = arg;

	dial->lookup = NULL;
	if (!found) {
		end_without(dial, "Could not resolve host");
		return;
	}
	set_endpoints(dial, found);
	go_on(dial);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	go_on(arg);
}

struct dial *dial_start(struct lookups *lookups, struct event_base *base,
	const char *host, int port, const struct dial_handler *handler, void *arg)
{
	size_t size = strlen(host) + 1;
	struct dial *dial = xcalloc(1, sizeof(*dial) + size);
	struct endpoints found;

	memcpy(dial->host, host, size);
	dial->base = base;
	dial->handler = handler;
	dial->arg = arg;
	dial->port = port;
	evtimer_assign(&dial->timer, base, on_timer, dial);
	if (!lookups_find(lookups, host, &found)) {
		dial->lookup = lookup_start(lookups, host, on_found, dial);
		return dial;
	}
	set_endpoints(dial, &found);
	try_next(dial);
	/* The end is told from the loop, and so is who comes next. */
	if (!dial->open_count || dial->next < dial->endpoints.count) {
		struct timeval wait = { .tv_usec = dial->open_count ? NEXT_AFTER_MS * 1000
								    : 0 };

		evtimer_add(&dial->timer, &wait);
	}
	return dial;
}
