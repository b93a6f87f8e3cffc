/* front.h - a real listener with a scripted handler, and raw clients to talk to it, all
 * on one thread: whoever waits for something steps the event loop. */
#pragma once

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <event2/event.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/turn.h"
#include "http/exchange.h"
#include "http/listener.h"
#include "http/spool.h"

#define FRONT_PATIENCE_MS 30000

enum front_mode {
	FRONT_ECHO,   /* reads the body, then answers "METHOD PATH SIZE\n" */
	FRONT_HOLD,   /* reads nothing, answers nothing: the test does */
	FRONT_READ,   /* reads the body, answers nothing */
	FRONT_AT_ONCE /* answers without reading the body */
};

struct front {
	struct event_base *base;
	struct turn *turn;
	struct spools *spools;
	struct listener *listener;
	char folder[64];
	enum front_mode mode;
	bool replies_in_body;
	struct exchange *open; /* the last one that is not answered */
	int requests, ends, faults, gones, fault_status;
	struct buf body;  /* what on_body brought, of all requests */
	struct buf paths; /* of all requests, each with a space behind */
};

static inline void front_answer(struct front *front, struct exchange *exchange)
{
	static const struct field type = { "Content-Type", "text/plain" };
	const struct spool *body = exchange_body(exchange);
	char text[256];
	int size = snprintf(text, sizeof(text), "%s %s %llu\n", exchange_method(exchange),
		exchange_path(exchange), body ? (unsigned long long)spool_size(body) : 0);

	front->open = NULL;
	exchange_reply(exchange, 200, &type, 1, text, (size_t)size);
}

static inline void front_on_request(struct exchange *exchange, void *arg)
{
	struct front *front = arg;

	front->requests++;
	front->open = exchange;
	buf_printf(&front->paths, "%s ", exchange_path(exchange));
	if (front->mode == FRONT_AT_ONCE)
		front_answer(front, exchange);
	else if (front->mode != FRONT_HOLD)
		exchange_receive(exchange);
}

static inline void front_on_body(struct exchange *exchange, const char *data, size_t size,
	void *arg)
{
	struct front *front = arg;

	buf_append(&front->body, data, size);
	if (front->replies_in_body)
		front_answer(front, exchange);
}

static inline void front_on_body_end(struct exchange *exchange, void *arg)
{
	struct front *front = arg;

	front->ends++;
	if (front->mode == FRONT_ECHO)
		front_answer(front, exchange);
}

static inline void front_on_fault(struct exchange *exchange, int status,
	const char *message, void *arg)
{
	struct front *front = arg;

	front->faults++;
	front->fault_status = status;
	front->open = NULL;
	exchange_reply(exchange, status, NULL, 0, message, strlen(message));
}

static inline void front_on_gone(struct exchange *exchange, void *arg)
{
	struct front *front = arg;

	assert_true(!front->open || front->open == exchange);
	front->gones++;
	front->open = NULL;
}

static const struct http_handler front_handler = {
	.on_request = front_on_request,
	.on_body = front_on_body,
	.on_body_end = front_on_body_end,
	.on_fault = front_on_fault,
	.on_gone = front_on_gone,
};

static inline void front_open(struct front *front, const struct http_limits *limits,
	struct tls *tls)
{
	struct listener_options options = {
		.address = "127.0.0.1:0",
		.tls = tls,
		.limits = limits ? *limits : http_default_limits,
		.handler = &front_handler,
		.arg = front,
	};
	struct err err;

	memset(front, 0, sizeof(*front));
	strcpy(front->folder, "/tmp/front-XXXXXX");
	assert_non_null(mkdtemp(front->folder));
	front->base = event_base_new();
	assert_int_equal(spools_open(&front->spools, front->folder, 64 << 20, 64 << 20,
				 &err),
		0);
	options.spools = front->spools;
	front->turn = turn_new(front->base);
	assert_int_equal(listener_open(&front->listener, front->turn, &options, &err), 0);
}

static inline void front_close(struct front *front)
{
	listener_close(front->listener);
	turn_free(front->turn);
	event_base_free(front->base);
	spools_close(front->spools);
	assert_int_equal(rmdir(front->folder), 0);
	buf_clear(&front->body);
	buf_clear(&front->paths);
}

/* One pass over what is ready, waiting a moment for it. */
static inline void front_step(struct front *front)
{
	const struct timeval moment = { .tv_usec = 1000 };

	event_base_loopexit(front->base, &moment);
	event_base_loop(front->base, EVLOOP_ONCE);
}

#define FRONT_WAIT(front, condition) \
	do { \
		int64_t give_up_ms = clock_ms() + FRONT_PATIENCE_MS; \
		while (!(condition)) { \
			assert_true(clock_ms() < give_up_ms); \
			front_step(front); \
		} \
	} while (0)

static inline int client_open(struct front *front)
{
	struct sockaddr_in address = { .sin_family = AF_INET,
		.sin_port = htons((uint16_t)listener_port(front->listener)),
		.sin_addr = { htonl(INADDR_LOOPBACK) } };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
	return fd;
}

/* Sends all of it, or as much as the server takes before it closes. */
static inline void client_send(struct front *front, int fd, const void *data, size_t size)
{
	int64_t give_up_ms = clock_ms() + FRONT_PATIENCE_MS;
	size_t done = 0;

	while (done < size) {
		ssize_t sent = send(fd, (const char *)data + done, size - done,
			MSG_NOSIGNAL);

		if (sent < 0 && errno != EAGAIN)
			return;
		if (sent > 0)
			done += (size_t)sent;
		assert_true(clock_ms() < give_up_ms);
		if (sent < 0)
			front_step(front);
	}
}

static inline void client_say(struct front *front, int fd, const char *text)
{
	client_send(front, fd, text, strlen(text));
}

/* Reads until text stands in what came (or the end comes, where text is NULL). Returns
 * false if the connection ended otherwise before. */
static inline bool client_hear(struct front *front, int fd, struct buf *heard,
	const char *text)
{
	int64_t give_up_ms = clock_ms() + FRONT_PATIENCE_MS;

	for (;;) {
		ssize_t got;

		if (text && buf_size(heard) &&
			memmem(buf_data(heard), buf_size(heard), text, strlen(text)))
			return true;
		got = recv(fd, buf_reserve(heard, 65536), 65536, 0);
		if (got > 0) {
			buf_grow(heard, (size_t)got);
			continue;
		}
		if (got == 0)
			return !text;
		if (errno != EAGAIN)
			return false;
		assert_true(clock_ms() < give_up_ms);
		front_step(front);
	}
}

static inline bool has_text(const struct buf *heard, const char *text)
{
	return buf_size(heard) &&
		memmem(buf_data(heard), buf_size(heard), text, strlen(text));
}

static inline int count_text(const struct buf *heard, const char *text)
{
	const char *at = buf_data(heard);
	const char *end = at + buf_size(heard);
	int count = 0;

	while (buf_size(heard) &&
		(at = memmem(at, (size_t)(end - at), text, strlen(text)))) {
		count++;
		at += strlen(text);
	}
	return count;
}
