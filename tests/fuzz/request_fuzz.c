/* request_fuzz.c - bytes of a client against a real connection over a socket pair.
 *
 * The first byte chooses where the input is split into two writes. Whatever comes, the
 * handler's calls must keep their order, and every exchange must end exactly once. */
#include <assert.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <event2/event.h>

#include "base/log.h"
#include "http/connection.h"
#include "http/exchange.h"
#include "http/listener.h"
#include "http/spool.h"

static struct event_base *base;
static struct spools *spools;
static struct exchange *open_one;
static uint64_t body_size;

static void on_request(struct exchange *exchange, void *arg)
{
	size_t count;
	const struct field *fields = exchange_fields(exchange, &count);

	(void)arg;
	assert(!open_one);
	assert(*exchange_method(exchange) && *exchange_path(exchange));
	for (size_t i = 0; i < count; i++)
		assert(field_is_valid(&fields[i]));
	open_one = exchange;
	body_size = 0;
	exchange_receive(exchange);
}

static void on_body(struct exchange *exchange, const char *data, size_t size, void *arg)
{
	(void)data, (void)arg;
	assert(exchange == open_one && size);
	body_size += size;
	assert(spool_size(exchange_body(exchange)) == body_size);
}

static void on_body_end(struct exchange *exchange, void *arg)
{
	(void)arg;
	assert(exchange == open_one);
	if (exchange_body_length(exchange) >= 0)
		assert((uint64_t)exchange_body_length(exchange) == body_size);
	open_one = NULL;
	exchange_reply(exchange, 200, NULL, 0, "ok", 2);
}

static void on_fault(struct exchange *exchange, int status, const char *message,
	void *arg)
{
	(void)arg;
	assert(!open_one || open_one == exchange);
	assert(status >= 400 && status < 600);
	open_one = NULL;
	exchange_reply(exchange, status, NULL, 0, message, strlen(message));
}

static void on_gone(struct exchange *exchange, void *arg)
{
	(void)arg;
	assert(exchange == open_one);
	open_one = NULL;
}

static const struct http_handler handler = {
	.on_request = on_request,
	.on_body = on_body,
	.on_body_end = on_body_end,
	.on_fault = on_fault,
	.on_gone = on_gone,
};

static struct listener *open_listener(void)
{
	struct listener_options options = {
		.address = "127.0.0.1:0",
		.limits = http_default_limits,
		.handler = &handler,
	};
	struct listener *listener;
	char folder[] = "/tmp/request-fuzz-XXXXXX";

	signal(SIGPIPE, SIG_IGN);
	log_configure(LOG_TEXT, LOG_ERROR);
	base = event_base_new();
	if (!mkdtemp(folder) || spools_open(&spools, folder, 1 << 26, 1 << 26, NULL) != 0)
		abort();
	rmdir(folder);
	options.limits.head_max = 2048;
	options.limits.field_max = 8;
	options.limits.body_max = 4096;
	options.spools = spools;
	if (listener_open(&listener, turn_new(base), &options, NULL) != 0)
		abort();
	return listener;
}

static void run_dry(int fd)
{
	char room[4096];

	event_base_loop(base, EVLOOP_NONBLOCK);
	while (recv(fd, room, sizeof(room), MSG_DONTWAIT) > 0)
		event_base_loop(base, EVLOOP_NONBLOCK);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct listener *listener;
	size_t first;
	int pair[2];

	if (!listener)
		listener = open_listener();
	if (size < 1 || size > 60000 ||
		socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0)
		return 0;
	first = data[0] < size - 1 ? data[0] : size - 1;
	listener_adopt(listener, pair[0]);
	if (send(pair[1], data + 1, first, MSG_NOSIGNAL) >= 0)
		run_dry(pair[1]);
	if (send(pair[1], data + 1 + first, size - 1 - first, MSG_NOSIGNAL) >= 0)
		run_dry(pair[1]);
	close(pair[1]);
	while (listener_connection_count(listener))
		event_base_loop(base, EVLOOP_ONCE);
	assert(!open_one);
	return 0;
}
