#include "http/connection.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <event2/event.h>

#include "base/clock.h"
#include "http/spool.h"

#define LINGER_MS 1000
#define ROUNDS_PER_TURN 4 /* of connection_work() before others get their turn */

/* -- the timer -------------------------------------------------------------------- */

static int64_t earlier(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

static int head_or_idle_ms(const struct connection *connection)
{
	const struct http_limits *limits = &connection->listener->limits;

	if (connection->has_head || wire_is_shaking_hands(&connection->wire))
		return limits->head_ms;
	return limits->idle_ms;
}

static int64_t deadline(struct connection *connection)
{
	const struct http_limits *limits = &connection->listener->limits;
	int64_t at = INT64_MAX;

	if (connection->is_lingering)
		return connection->since_ms + LINGER_MS;
	if (connection->is_blocked)
		at = connection->write_since_ms + limits->write_ms;
	if (connection->body == BODY_READING && connection->body_since_ms)
		at = earlier(at, connection->body_since_ms + limits->body_window_ms);
	if (!connection->exchange && !connection->is_last)
		at = earlier(at, connection->since_ms + head_or_idle_ms(connection));
	return at;
}

/* There is one timer, and it is moved only when it would come too late: one that comes
 * too early finds nothing due and is armed for the rest. So a request moves no timer. */
static void arm_timer(struct connection *connection)
{
	struct timeval delay;
	int64_t at, wait;

	if (!connection->since_ms && !connection->exchange)
		connection->since_ms = clock_ms();
	if (connection->exchange && connection->body == BODY_READING &&
		!connection->body_since_ms &&
		!spool_is_behind(connection->exchange->spool)) {
		connection->body_since_ms = clock_ms();
		connection->body_span = 0;
	}
	at = deadline(connection);
	if (at == INT64_MAX || (connection->timer_ms && connection->timer_ms <= at))
		return;
	wait = at - clock_ms();
	if (wait < 0)
		wait = 0;
	delay.tv_sec = (time_t)(wait / 1000);
	delay.tv_usec = (suseconds_t)(wait % 1000 * 1000);
	event_add(&connection->timer, &delay);
	connection->timer_ms = at;
}

static void check_body_rate(struct connection *connection, int64_t now)
{
	const struct http_limits *limits = &connection->listener->limits;
	uint64_t least = (uint64_t)limits->body_rate * (uint64_t)limits->body_window_ms /
		1000;

	if (connection->body_span < least) {
		intake_fault(connection, 408, "the body comes too slowly");
		return;
	}
	connection->body_since_ms = now;
	connection->body_span = 0;
}

static void on_timer(int fd, short what, void *arg)
{
	struct connection *connection = arg;
	const struct http_limits *limits = &connection->listener->limits;
	int64_t now = clock_ms();

	(void)fd, (void)what;
	connection->timer_ms = 0;
	/* An answer that ended in this very turn of the loop: the idle time begins now. */
	if (!connection->since_ms && !connection->exchange)
		connection->since_ms = now;
	if (now >= deadline(connection)) {
		bool is_stuck = connection->is_blocked &&
			now >= connection->write_since_ms + limits->write_ms;

		if (connection->is_lingering || is_stuck ||
			(!connection->exchange && !connection->has_head)) {
			connection_leave(connection);
			return;
		}
		if (!connection->exchange)
			intake_fault(connection, 408, "the head comes too slowly");
		else
			check_body_rate(connection, now);
	}
	connection_work(connection);
}

/* -- the life --------------------------------------------------------------------- */

bool connection_is_idle(const struct connection *connection)
{
	return !connection->exchange && !connection->is_last && !connection->has_head &&
		!buf_size(&connection->input) && !buf_size(&connection->output);
}

static void free_connection(struct connection *connection)
{
	struct listener *listener = connection->listener;

	if (connection->is_shed)
		listener->shed_count--;
	else
		listener->connection_count--;
	event_del(&connection->event);
	event_del(&connection->timer);
	wire_close(&connection->wire, connection->is_cut);
	buf_clear(&connection->input);
	buf_clear(&connection->output);
	list_remove(&connection->turn_link);
	list_remove(&connection->doubt_link);
	list_remove(&connection->link);
	free(connection);
}

void connection_leave(struct connection *connection)
{
	struct listener *listener = connection->listener;
	struct exchange *exchange = connection->exchange;

	if (exchange) {
		connection->exchange = NULL;
		exchange->connection = NULL;
		listener->handler->on_gone(exchange, listener->arg);
		exchange_unref(exchange);
	}
	free_connection(connection);
}

static void start_lingering(struct connection *connection)
{
	wire_shutdown(&connection->wire);
	buf_clear(&connection->input);
	connection->is_lingering = true;
	connection->since_ms = clock_ms();
	intake_run(connection);
}

static void call_drained(struct connection *connection)
{
	struct exchange *exchange = connection->exchange;
	sink_drained_fn *fn = exchange ? exchange->on_drained : NULL;

	if (!fn || buf_size(&connection->output) > SINK_LOW || connection->is_broken)
		return;
	exchange->on_drained = NULL;
	exchange_ref(exchange);
	fn(exchange->drained_arg);
	exchange_unref(exchange);
}

void connection_work(struct connection *connection)
{
	int rounds = 0;

	connection->is_working = true;
	do {
		connection->has_work = false;
		output_flush(connection);
		call_drained(connection);
		intake_run(connection);
		if (connection->is_last && !connection->exchange &&
			!buf_size(&connection->output) && !connection->is_lingering &&
			!connection->is_broken) {
			if (connection->is_cut)
				connection->is_broken = true;
			else
				start_lingering(connection);
		}
	} while (connection->has_work && !connection->is_broken &&
		++rounds < ROUNDS_PER_TURN);
	connection->is_working = false;

	if (connection->is_broken ||
		(connection->listener->is_draining && connection_is_idle(connection))) {
		connection_leave(connection);
		return;
	}
	if (connection->has_work)
		connection_defer(connection);
	arm_timer(connection);
}

void connection_defer(struct connection *connection)
{
	connection->has_work = true;
	if (!connection->is_working)
		listener_defer(connection->listener, connection);
}

void connection_rest(struct connection *connection)
{
	if (connection->is_working || connection->is_readable || connection->is_last ||
		connection->is_broken || connection->listener->is_draining ||
		buf_size(&connection->input) || buf_size(&connection->output))
		connection_defer(connection);
	else
		arm_timer(connection);
}

static void on_event(int fd, short what, void *arg)
{
	struct connection *connection = arg;

	(void)fd;
	if (what & EV_CLOSED) {
		connection_leave(connection);
		return;
	}
	if (what & EV_READ || connection->wire.ssl)
		connection->is_readable = true;
	/* libevent turns a reset into "readable and writable". Where bytes wait unread
	 * before it, or reading has paused, no read would come upon it. */
	if (what & EV_READ && (connection->exchange || !intake_is_wanted(connection)) &&
		wire_has_failed(&connection->wire)) {
		connection_leave(connection);
		return;
	}
	connection->is_blocked = false;
	connection_work(connection);
}

static void find_peer(struct connection *connection)
{
	struct sockaddr_storage storage = { 0 };
	socklen_t size = sizeof(storage);
	const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)(void *)&storage;
	const struct sockaddr_in *v4 = (const struct sockaddr_in *)(void *)&storage;
	char *peer = connection->peer;

	if (getpeername(connection->wire.fd, (struct sockaddr *)&storage, &size) != 0)
		return;
	if (storage.ss_family == AF_INET)
		inet_ntop(AF_INET, &v4->sin_addr, peer, sizeof(connection->peer));
	else if (storage.ss_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr))
		inet_ntop(AF_INET, &v6->sin6_addr.s6_addr[12], peer,
			sizeof(connection->peer));
	else if (storage.ss_family == AF_INET6)
		inet_ntop(AF_INET6, &v6->sin6_addr, peer, sizeof(connection->peer));
	connection->is_peer_loopback = address_is_loopback(peer);
}

static void refuse(struct connection *connection)
{
	static const char text[] =
		"HTTP/1.1 503 Service Unavailable\r\n"
		"Retry-After: 1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
	const struct iovec part = { (char *)(uintptr_t)text, sizeof(text) - 1 };

	connection->is_last = true;
	output_send(connection, &part, 1);
	connection_defer(connection);
}

void connection_open(struct listener *listener, int fd, bool is_shed)
{
	struct connection *connection = xcalloc(1, sizeof(*connection));
	int on = 1;

	connection->listener = listener;
	connection->is_shed = is_shed;
	connection->is_readable = true;
	if (is_shed)
		listener->shed_count++;
	else
		listener->connection_count++;
	list_append(&listener->open, &connection->link);
	list_init(&connection->turn_link);
	list_init(&connection->doubt_link);
	/* Fails on a socket pair, which has no delay to begin with. */
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	wire_open(&connection->wire, fd, listener->tls);
	find_peer(connection);
	event_assign(&connection->event, listener->base, fd,
		EV_READ | EV_WRITE | EV_CLOSED | EV_ET | EV_PERSIST, on_event,
		connection);
	evtimer_assign(&connection->timer, listener->base, on_timer, connection);
	event_add(&connection->event, NULL);
	arm_timer(connection);
	if (is_shed)
		refuse(connection);
}
