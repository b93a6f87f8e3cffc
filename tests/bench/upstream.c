/* upstream.c - the provider that the benchmark puts behind each proxy.
 *
 *     upstream CERTIFICATE KEY PORT:KIND...        KIND: plain | tls | close
 *
 * One thread, one epoll, loopback only. Every POST is answered as an OpenAI chat
 * completion: a fixed JSON document of about 1 KB, or, when the body says "stream":true,
 * server-sent events, one every N ms for "user":"interval-N", which end after the M events
 * of "max_tokens":M, else never. Each event carries the time at which it was written. A "close" port speaks TLS, ends the
 * connection after one answer and refuses resumption, so that each request costs its
 * proxy a full handshake.
 *
 * It must cost little beside what is measured: bodies are read and thrown away, and only
 * the first IN_SIZE bytes of a request are looked at. It refuses what no proxy here
 * sends: chunked requests and pipelining. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "clock.h"

#define IN_SIZE 8192
#define SCRATCH_SIZE (256 * 1024)
#define WHEEL_SLOTS 8192 /* of 1 ms each; an interval must be shorter than the wheel */
#define INTERVAL_MAX 8000
#define REPLY_TEXT 760
#define LISTENERS_MAX 8
#define EVENTS_MAX 256

struct listener {
	int fd;
	bool is_tls;
	bool closes;
};

struct conn {
	int fd;
	SSL *ssl;
	bool closes;
	bool is_stream;
	long events_left; /* of the stream; negative: it never ends */
	size_t head_size; /* 0 until the request's head is complete */
	uint64_t seen;    /* bytes of this request so far */
	uint64_t need;    /* bytes of this request, once head_size is known */
	const char *out;  /* what the peer has not taken yet */
	size_t out_size;
	int interval_ms;
	int64_t due_ms;
	struct conn *next,
		**link; /* in a slot of the wheel; link is NULL outside of it */
	char in[IN_SIZE];
	char chunk[1024];
};

/* The time stands where the x are, as zero-padded digits, so that all
 * chunks have one size. */
static const char EVENT[] =
	"data: {\"id\":\"chatcmpl-AbCdEfGhIjKlMnOpQrStUvWxYz012\",\"object\":"
	"\"chat.completion.chunk\",\"created\":1760000000,\"model\":\"mock-model\","
	"\"service_tier\":\"default\",\"system_fingerprint\":\"fp_0123456789\",\"choices\":"
	"[{\"index\":0,\"delta\":{\"content\":\"t=xxxxxxxxxxxxxxxxxxxx;\"},"
	"\"logprobs\":null,\"finish_reason\":null}]}\n\n";
static const char STREAM_END[] =
	"7f\r\ndata: {\"object\":\"chat.completion.chunk\",\"choices\":[],\"usage\":"
	"{\"prompt_tokens\":200,\"completion_tokens\":20,\"total_tokens\":220}}\n\n\r\n"
	"e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n";
static const char STREAM_HEAD[] =
	"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache\r\n"
	"Transfer-Encoding: chunked\r\n\r\n";

static int epoll_fd;
static SSL_CTX *tls, *tls_close;
static struct conn *wheel[WHEEL_SLOTS];
static int64_t wheel_ms; /* the last slot that was served */
static char reply[2048], reply_close[2048];
static size_t reply_size, reply_close_size;
static char scratch[SCRATCH_SIZE];

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static void wheel_insert(struct conn *conn)
{
	struct conn **slot = &wheel[conn->due_ms % WHEEL_SLOTS];

	conn->next = *slot;
	if (conn->next)
		conn->next->link = &conn->next;
	conn->link = slot;
	*slot = conn;
}

static void wheel_remove(struct conn *conn)
{
	if (!conn->link)
		return;
	*conn->link = conn->next;
	if (conn->next)
		conn->next->link = conn->link;
	conn->link = NULL;
}

static void conn_free(struct conn *conn)
{
	wheel_remove(conn);
	SSL_free(conn->ssl);
	close(conn->fd);
	free(conn);
}

/* How many bytes were taken or read; 0 at the end; -1 with EAGAIN, or another errno. */
static ssize_t tls_result(struct conn *conn, int rc)
{
	if (rc > 0)
		return rc;
	switch (SSL_get_error(conn->ssl, rc)) {
	case SSL_ERROR_WANT_READ:
	case SSL_ERROR_WANT_WRITE:
		errno = EAGAIN;
		return -1;
	case SSL_ERROR_ZERO_RETURN:
		return 0;
	default:
		errno = EPROTO;
		return -1;
	}
}

static ssize_t conn_write(struct conn *conn)
{
	if (conn->ssl)
		return tls_result(conn,
			SSL_write(conn->ssl, conn->out, (int)conn->out_size));
	return send(conn->fd, conn->out, conn->out_size, MSG_NOSIGNAL);
}

static ssize_t conn_read(struct conn *conn)
{
	if (conn->ssl)
		return tls_result(conn, SSL_read(conn->ssl, scratch, sizeof(scratch)));
	return recv(conn->fd, scratch, sizeof(scratch), 0);
}

/* False when the connection is over. */
static bool conn_flush(struct conn *conn)
{
	while (conn->out_size > 0) {
		ssize_t taken = conn_write(conn);

		if (taken < 0)
			return errno == EAGAIN;
		conn->out += taken;
		conn->out_size -= (size_t)taken;
		if (conn->out_size > 0 || !conn->closes)
			continue;
		if (conn->ssl)
			SSL_shutdown(conn->ssl);
		return false;
	}
	return true;
}

/* Appends one event in chunked framing; returns the size. */
static size_t write_event(char *to, size_t size)
{
	int length = snprintf(to, size, "%zx\r\n%s\r\n", sizeof(EVENT) - 1, EVENT);
	char digits[21];

	snprintf(digits, sizeof(digits), "%020lld", (long long)clock_ns());
	memcpy(strstr(to, "t=") + 2, digits, 20);
	return (size_t)length;
}

/* The number behind a text in the body, or what there is without it. */
static long number_behind(const char *body, const char *text, long otherwise)
{
	const char *found = strstr(body, text);

	return found ? strtol(found + strlen(text), NULL, 10) : otherwise;
}

static bool stream_start(struct conn *conn, const char *body)
{
	long interval = number_behind(body, "\"user\":\"interval-", 0);
	size_t head_size = sizeof(STREAM_HEAD) - 1;

	if (interval < 1 || interval > INTERVAL_MAX)
		return false;
	conn->is_stream = true;
	conn->interval_ms = (int)interval;
	conn->events_left = number_behind(body, "\"max_tokens\":", 0) - 1;
	memcpy(conn->chunk, STREAM_HEAD, head_size);
	conn->out = conn->chunk;
	conn->out_size = head_size;
	conn->out_size += write_event(conn->chunk + head_size,
		sizeof(conn->chunk) - head_size);
	/* Streams opened in one burst must not stay in step: the second event comes after
	 * a random part of the interval. */
	conn->due_ms = clock_ns() / 1000000 + 1 + random() % interval;
	wheel_insert(conn);
	return true;
}

/* The request is complete. False when it is not one that we answer. */
static bool conn_answer(struct conn *conn)
{
	bool is_whole = conn->need < IN_SIZE;
	const char *body = conn->in + conn->head_size;

	if (is_whole)
		conn->in[conn->need] = '\0';
	conn->seen = 0;
	conn->head_size = 0;
	if (is_whole && strstr(body, "\"stream\":true"))
		return stream_start(conn, body);
	conn->out = conn->closes ? reply_close : reply;
	conn->out_size = conn->closes ? reply_close_size : reply_size;
	return true;
}

/* Sets head_size and need if the head is complete. False when it is unusable. */
static bool parse_head(struct conn *conn, size_t kept)
{
	char *end = memmem(conn->in, kept, "\r\n\r\n", 4);

	if (!end)
		return kept < IN_SIZE;
	conn->head_size = (size_t)(end - conn->in) + 4;
	*end = '\0'; /* bounds the search below */
	const char *length = strcasestr(conn->in, "\r\ncontent-length:");
	*end = '\r';
	if (!length)
		return false;
	conn->need = conn->head_size +
		strtoull(length + strlen("\r\ncontent-length:"), NULL, 10);
	return true;
}

static bool conn_take(struct conn *conn, size_t size)
{
	if (conn->is_stream || conn->out_size > 0)
		return false; /* bytes behind a request that is not answered yet */
	if (conn->seen < IN_SIZE) {
		size_t room = IN_SIZE - (size_t)conn->seen;

		memcpy(conn->in + conn->seen, scratch, size < room ? size : room);
	}
	conn->seen += size;
	if (conn->head_size == 0) {
		size_t kept = conn->seen < IN_SIZE ? (size_t)conn->seen : IN_SIZE;

		if (!parse_head(conn, kept))
			return false;
	}
	if (conn->head_size == 0 || conn->seen < conn->need)
		return true;
	return conn->seen == conn->need && conn_answer(conn) && conn_flush(conn);
}

static void conn_event(struct conn *conn)
{
	if (!conn_flush(conn))
		goto over;
	for (;;) {
		ssize_t size = conn_read(conn);

		if (size < 0 && errno == EAGAIN)
			return;
		if (size <= 0 || !conn_take(conn, (size_t)size))
			goto over;
	}
over:
	conn_free(conn);
}

static void listener_accept(struct listener *listener)
{
	int on = 1, fd;

	while ((fd = accept4(listener->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >=
		0) {
		struct conn *conn = calloc(1, sizeof(*conn));
		struct epoll_event event = { .events = EPOLLIN | EPOLLOUT | EPOLLRDHUP |
				EPOLLET };

		if (!conn)
			die("calloc");
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
		conn->fd = fd;
		conn->closes = listener->closes;
		if (listener->is_tls) {
			conn->ssl = SSL_new(listener->closes ? tls_close : tls);
			SSL_set_fd(conn->ssl, fd);
			SSL_set_accept_state(conn->ssl);
		}
		event.data.ptr = conn;
		if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) != 0)
			die("epoll_ctl");
	}
}

/* What comes next of a stream. */
static void stream_go_on(struct conn *conn)
{
	conn->out = conn->chunk;
	if (conn->events_left == 0) {
		conn->out = STREAM_END;
		conn->out_size = sizeof(STREAM_END) - 1;
		conn->is_stream = false;
		wheel_remove(conn);
		return;
	}
	conn->events_left -= conn->events_left > 0;
	conn->out_size = write_event(conn->chunk, sizeof(conn->chunk));
}

static void wheel_turn(void)
{
	int64_t now_ms = clock_ns() / 1000000;

	for (; wheel_ms <= now_ms; wheel_ms++) {
		struct conn *conn;

		while ((conn = wheel[wheel_ms % WHEEL_SLOTS]) != NULL) {
			wheel_remove(conn);
			conn->due_ms = wheel_ms + conn->interval_ms;
			wheel_insert(conn);
			if (conn->out_size > 0)
				continue; /* a slow reader misses events, as it does with a real provider */
			stream_go_on(conn);
			if (!conn_flush(conn))
				conn_free(conn);
		}
	}
}

static SSL_CTX *tls_new(const char *certificate, const char *key, bool resumes)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());

	if (!ctx || SSL_CTX_use_certificate_chain_file(ctx, certificate) != 1 ||
		SSL_CTX_use_PrivateKey_file(ctx, key, SSL_FILETYPE_PEM) != 1) {
		fprintf(stderr, "upstream: no certificate in %s, %s\n", certificate, key);
		exit(1);
	}
	SSL_CTX_set_mode(ctx,
		SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
			SSL_MODE_RELEASE_BUFFERS);
	/* A proxy may end a connection without a close_notify; that is no error here. */
	SSL_CTX_set_options(ctx, SSL_OP_IGNORE_UNEXPECTED_EOF);
	if (!resumes) {
		SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET);
		SSL_CTX_set_num_tickets(ctx, 0);
		SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	}
	return ctx;
}

static void listener_open(struct listener *listener, const char *spec)
{
	struct sockaddr_in address = { .sin_family = AF_INET };
	struct epoll_event event = { .events = EPOLLIN, .data.ptr = listener };
	char kind[8];
	int on = 1, port;

	if (sscanf(spec, "%d:%7s", &port, kind) != 2 || port < 1 || port > 65535) {
		fprintf(stderr, "upstream: not PORT:KIND: %s\n", spec);
		exit(2);
	}
	listener->closes = strcmp(kind, "close") == 0;
	listener->is_tls = listener->closes || strcmp(kind, "tls") == 0;
	address.sin_port = htons((uint16_t)port);
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	listener->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	setsockopt(listener->fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(listener->fd, (struct sockaddr *)&address, sizeof(address)) != 0 ||
		listen(listener->fd, 4096) != 0 ||
		epoll_ctl(epoll_fd, EPOLL_CTL_ADD, listener->fd, &event) != 0)
		die(spec);
}

static size_t reply_make(char *to, size_t size, const char *connection)
{
	char text[REPLY_TEXT + 1], body[1536];

	for (size_t i = 0; i < REPLY_TEXT; i++)
		text[i] = "The quick brown fox jumps over the lazy dog. "[i % 45];
	text[REPLY_TEXT] = '\0';
	int body_size = snprintf(body, sizeof(body),
		"{\"id\":\"chatcmpl-AbCdEfGhIjKlMnOpQrStUvWxYz012\",\"object\":\"chat.completion\","
		"\"created\":1760000000,\"model\":\"mock-model\",\"choices\":[{\"index\":0,"
		"\"message\":{\"role\":\"assistant\",\"content\":\"%s\"},\"finish_reason\":\"stop\"}],"
		"\"usage\":{\"prompt_tokens\":200,\"completion_tokens\":190,\"total_tokens\":390}}",
		text);
	return (size_t)snprintf(to, size,
		"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n"
		"%s\r\n%s",
		body_size, connection, body);
}

int main(int argc, char **argv)
{
	static struct listener listeners[LISTENERS_MAX];
	struct epoll_event events[EVENTS_MAX];

	if (argc < 4 || argc - 3 > LISTENERS_MAX) {
		fprintf(stderr,
			"usage: upstream CERTIFICATE KEY PORT:plain|tls|close ...\n");
		return 2;
	}
	signal(SIGPIPE, SIG_IGN); /* OpenSSL writes without MSG_NOSIGNAL */
	epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	tls = tls_new(argv[1], argv[2], true);
	tls_close = tls_new(argv[1], argv[2], false);
	reply_size = reply_make(reply, sizeof(reply), "");
	reply_close_size = reply_make(reply_close, sizeof(reply_close),
		"Connection: close\r\n");
	for (int i = 3; i < argc; i++)
		listener_open(&listeners[i - 3], argv[i]);
	wheel_ms = clock_ns() / 1000000;
	puts("ready");
	fflush(stdout);

	for (;;) {
		int count = epoll_wait(epoll_fd, events, EVENTS_MAX, 1);

		for (int i = 0; i < count; i++) {
			void *owner = events[i].data.ptr;

			if (owner >= (void *)listeners &&
				owner < (void *)(listeners + LISTENERS_MAX))
				listener_accept(owner);
			else
				conn_event(owner);
		}
		wheel_turn();
	}
}
