/* scripted_upstream.h - a provider for tests: a thread that accepts connections on a free
 * port of 127.0.0.1, one after the other, and lets a script talk on each. What a script
 * leaves open is closed by scripted_stop(). */
#pragma once

#include <arpa/inet.h>
#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

struct scripted;

/* nth counts connections from 0. Returns true if the connection stays open. */
typedef bool script_fn(struct scripted *upstream, int fd, int nth);

struct scripted {
	pthread_t thread;
	script_fn *script;
	const char *text; /* for scripts that only send this */
	void *arg;
	int listener;
	int port;
	int kept[512];
	int kept_count;
	_Atomic int connections;
	_Atomic int requests;
	_Atomic bool is_stopping;
	char url[64];
	char request[65536]; /* the last head, NUL-terminated */
	size_t body_size;    /* of the last request */
	unsigned body_sum;   /* of its bytes */
};

static inline void scripted_send_bytes(int fd, const void *data, size_t size)
{
	const char *at = data;

	while (size) {
		ssize_t sent = send(fd, at, size, MSG_NOSIGNAL);

		if (sent <= 0)
			return;
		at += sent;
		size -= (size_t)sent;
	}
}

static inline void scripted_send(int fd, const char *text)
{
	scripted_send_bytes(fd, text, strlen(text));
}

static inline void scripted_count_body(size_t *body_size, unsigned *sum, const char *data,
	size_t size)
{
	for (size_t i = 0; i < size; i++)
		*sum = *sum * 31 + (unsigned char)data[i];
	*body_size += size;
}

/* Reads one request with a Content-Length or no body. False: the client has gone. */
static inline bool scripted_read_request(struct scripted *upstream, int fd)
{
	size_t size = 0, length = 0, body_size = 0;
	unsigned sum = 0;
	char *end = NULL, *field, head[sizeof(upstream->request)], buffer[65536];

	head[0] = 0;
	while (!end && size < sizeof(head) - 1) {
		ssize_t got = recv(fd, head + size, sizeof(head) - 1 - size, 0);

		if (got <= 0)
			return false;
		size += (size_t)got;
		head[size] = 0;
		end = strstr(head, "\r\n\r\n");
	}
	if (!end)
		return false;
	end += 4;
	scripted_count_body(&body_size, &sum, end, size - (size_t)(end - head));
	*end = 0;
	field = strcasestr(head, "\r\ncontent-length:");
	if (field)
		length = strtoul(field + 17, NULL, 10);
	while (body_size < length) {
		ssize_t got = recv(fd, buffer, sizeof(buffer), 0);

		if (got <= 0)
			return false;
		scripted_count_body(&body_size, &sum, buffer, (size_t)got);
	}
	memcpy(upstream->request, head, (size_t)(end - head) + 1);
	upstream->body_size = body_size;
	upstream->body_sum = sum;
	upstream->requests++;
	return true;
}

/* Waits until the client has closed. */
static inline void scripted_wait_closed(int fd)
{
	char byte;

	while (recv(fd, &byte, 1, 0) > 0)
		;
}

/* The next close() sends a RST. */
static inline void scripted_reset(int fd)
{
	struct linger linger = { .l_onoff = 1 };

	setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
}

static inline void *scripted_main(void *arg)
{
	struct scripted *upstream = arg;

	for (int nth = 0;; nth++) {
		int fd = accept(upstream->listener, NULL, NULL);
		struct timeval limit = { .tv_sec = 20 };

		if (fd < 0 || upstream->is_stopping) {
			close(fd);
			return NULL;
		}
		setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
		upstream->connections++;
		if (upstream->script(upstream, fd, nth) &&
			upstream->kept_count <
				(int)(sizeof(upstream->kept) / sizeof(int)))
			upstream->kept[upstream->kept_count++] = fd;
		else
			close(fd);
	}
}

static inline void scripted_start(struct scripted *upstream, script_fn *script,
	const char *text)
{
	struct sockaddr_in address = { .sin_family = AF_INET };
	socklen_t size = sizeof(address);
	int rc;

	memset(upstream, 0, sizeof(*upstream));
	upstream->script = script;
	upstream->text = text;
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	upstream->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	rc = bind(upstream->listener, (struct sockaddr *)&address, sizeof(address));
	assert(rc == 0);
	rc = listen(upstream->listener, 512);
	assert(rc == 0);
	getsockname(upstream->listener, (struct sockaddr *)&address, &size);
	upstream->port = ntohs(address.sin_port);
	snprintf(upstream->url, sizeof(upstream->url), "http://127.0.0.1:%d/v1/x",
		upstream->port);
	rc = pthread_create(&upstream->thread, NULL, scripted_main, upstream);
	assert(rc == 0);
	(void)rc;
}

static inline void scripted_stop(struct scripted *upstream)
{
	upstream->is_stopping = true;
	shutdown(upstream->listener, SHUT_RDWR);
	pthread_join(upstream->thread, NULL);
	close(upstream->listener);
	while (upstream->kept_count)
		close(upstream->kept[--upstream->kept_count]);
}

/* Scripts that many tests share. */

/* Answers every request of the connection with the text. */
static inline bool script_answer(struct scripted *upstream, int fd, int nth)
{
	(void)nth;
	while (scripted_read_request(upstream, fd))
		scripted_send(fd, upstream->text);
	return false;
}

/* Answers one request with the text and closes. */
static inline bool script_answer_and_close(struct scripted *upstream, int fd, int nth)
{
	(void)nth;
	if (scripted_read_request(upstream, fd))
		scripted_send(fd, upstream->text);
	return false;
}

static inline bool script_answer_and_reset(struct scripted *upstream, int fd, int nth)
{
	script_answer_and_close(upstream, fd, nth);
	/* What was sent must not be lost with the reset: the client has it when it was
	 * acknowledged, and on loopback that is when send() returned. */
	scripted_reset(fd);
	return false;
}

/* Answers one request with the text and says nothing more. */
static inline bool script_answer_and_wait(struct scripted *upstream, int fd, int nth)
{
	script_answer_and_close(upstream, fd, nth);
	return true;
}
