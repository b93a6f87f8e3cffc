/* sse_load.c - holds many streams open through a proxy and measures their events.
 *
 *     sse_load PORT STREAMS INTERVAL_MS MODEL TOKEN
 *
 * Opens the streams, OPENING_MAX at a time, and prints {"streams", "failed"} once each
 * has brought its first event or failed. Then it takes lines from stdin: "measure" starts
 * a window, "stop" ends it and prints {"streams", "failed", "chunks", "seconds",
 * "p50_us", "p99_us"}; the end of stdin ends the program. The latency of an event is the
 * time from the upstream's stamp in its text to its arrival here.
 *
 * One thread, one epoll. The framing of each answer is decoded, so that a stream that a
 * proxy ends or garbles is counted as failed and never as alive. */
#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "clock.h"

#define OPENING_MAX 64
#define OPEN_TIMEOUT_NS (60 * 1000000000LL)
#define HEAD_SIZE 4096
#define EVENTS_MAX 256

enum phase { UNOPENED, HEAD, BODY, FAILED };
enum framing { CHUNK_SIZE, CHUNK_DATA, CHUNK_END };

struct stream {
	int fd;
	enum phase phase;
	enum framing framing;
	bool has_event;
	bool has_digit; /* of the chunk's size */
	bool in_stamp;  /* between "t=" and ";" */
	char last;      /* the body's last byte */
	uint64_t chunk_left;
	int64_t stamp_ns;
	size_t head_size;
	char *head; /* freed once it was read */
};

static int epoll_fd;
static struct sockaddr_in proxy = { .sin_family = AF_INET };
static char request[4096];
static size_t request_size;
static struct stream *streams;
static int stream_count, started, opening, alive, failed;

static bool is_measuring;
static int64_t measure_from_ns;
static int64_t *latencies;
static size_t latency_count, latency_room;

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static void stream_fail(struct stream *stream)
{
	if (stream->phase == FAILED)
		return;
	if (stream->has_event)
		alive--;
	else
		opening--;
	stream->phase = FAILED;
	failed++;
	close(stream->fd);
	free(stream->head);
	stream->head = NULL;
}

static void take_stamp(struct stream *stream)
{
	if (!stream->has_event) {
		stream->has_event = true;
		opening--;
		alive++;
	}
	if (!is_measuring)
		return;
	if (latency_count == latency_room) {
		latency_room = latency_room ? latency_room * 2 : 65536;
		latencies = realloc(latencies, latency_room * sizeof(*latencies));
		if (!latencies)
			die("realloc");
	}
	latencies[latency_count++] = clock_ns() - stream->stamp_ns;
}

static void take_text(struct stream *stream, char byte)
{
	if (stream->in_stamp && isdigit((unsigned char)byte)) {
		stream->stamp_ns = stream->stamp_ns * 10 + (byte - '0');
	} else if (stream->in_stamp) {
		stream->in_stamp = false;
		if (byte == ';')
			take_stamp(stream);
	} else if (stream->last == 't' && byte == '=') {
		stream->in_stamp = true;
		stream->stamp_ns = 0;
	}
	stream->last = byte;
}

/* One byte of a chunk's size line. False when it is no such line or the last chunk. */
static bool take_size(struct stream *stream, char byte)
{
	static const char digits[] = "0123456789abcdef";
	const char *digit = byte ? strchr(digits, tolower((unsigned char)byte)) : NULL;

	if (digit) {
		stream->chunk_left = stream->chunk_left * 16 + (uint64_t)(digit - digits);
		stream->has_digit = true;
		return true;
	}
	if (byte == '\r')
		return stream->has_digit;
	if (byte != '\n' || !stream->has_digit || stream->chunk_left == 0)
		return false;
	stream->has_digit = false;
	stream->framing = CHUNK_DATA;
	return true;
}

/* False when the framing is broken or the stream has ended. */
static bool take_body(struct stream *stream, const char *data, size_t size)
{
	for (size_t i = 0; i < size; i++) {
		switch (stream->framing) {
		case CHUNK_SIZE:
			if (!take_size(stream, data[i]))
				return false;
			break;
		case CHUNK_DATA:
			take_text(stream, data[i]);
			if (--stream->chunk_left == 0)
				stream->framing = CHUNK_END;
			break;
		case CHUNK_END:
			if (data[i] == '\n')
				stream->framing = CHUNK_SIZE;
			else if (data[i] != '\r')
				return false;
			break;
		}
	}
	return true;
}

static bool take_head(struct stream *stream, const char *data, size_t size)
{
	if (stream->head_size + size >= HEAD_SIZE)
		return false;
	memcpy(stream->head + stream->head_size, data, size);
	stream->head_size += size;
	stream->head[stream->head_size] = '\0';

	char *end = strstr(stream->head, "\r\n\r\n");
	if (!end)
		return true;
	size_t body = (size_t)(end - stream->head) + 4;
	end[2] = '\0';
	if (strncmp(stream->head, "HTTP/1.1 200", 12) != 0 ||
		!strcasestr(stream->head, "\r\ntransfer-encoding: chunked\r\n")) {
		fprintf(stderr, "sse_load: refused: %.200s\n", stream->head);
		return false;
	}
	stream->phase = BODY;
	bool is_good = take_body(stream, stream->head + body, stream->head_size - body);
	free(stream->head);
	stream->head = NULL;
	return is_good;
}

static void stream_open(struct stream *stream)
{
	struct epoll_event event = { .events = EPOLLIN | EPOLLET, .data.ptr = stream };
	struct linger at_once = { .l_onoff = 1, .l_linger = 0 };

	opening++;
	stream->phase = HEAD;
	stream->head = malloc(HEAD_SIZE);
	stream->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (!stream->head || stream->fd < 0)
		die("sse_load: a stream");
	/* Thousands of sockets in TIME_WAIT would starve the next run of ports. */
	setsockopt(stream->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
	if (connect(stream->fd, (struct sockaddr *)&proxy, sizeof(proxy)) != 0 ||
		send(stream->fd, request, request_size, MSG_NOSIGNAL) !=
			(ssize_t)request_size ||
		epoll_ctl(epoll_fd, EPOLL_CTL_ADD, stream->fd, &event) != 0) {
		perror("sse_load: connect");
		stream_fail(stream);
	}
}

static void stream_event(struct stream *stream)
{
	char data[16384];

	while (stream->phase == HEAD || stream->phase == BODY) {
		ssize_t size = recv(stream->fd, data, sizeof(data), MSG_DONTWAIT);

		if (size < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (size <= 0 ||
			!(stream->phase == HEAD ? take_head(stream, data, (size_t)size)
						: take_body(stream, data, (size_t)size)))
			stream_fail(stream);
	}
}

static int compare(const void *a, const void *b)
{
	int64_t left = *(const int64_t *)a, right = *(const int64_t *)b;

	return (left > right) - (left < right);
}

static double percentile_us(double part)
{
	if (latency_count == 0)
		return 0;
	return (double)latencies[(size_t)((double)(latency_count - 1) * part)] / 1000;
}

static void report(void)
{
	double seconds = (double)(clock_ns() - measure_from_ns) / 1e9;

	qsort(latencies, latency_count, sizeof(*latencies), compare);
	printf("{\"streams\":%d,\"failed\":%d,\"chunks\":%zu,\"seconds\":%.3f,"
	       "\"p50_us\":%.1f,\"p99_us\":%.1f}\n",
		alive, failed, latency_count, seconds, percentile_us(0.5),
		percentile_us(0.99));
	fflush(stdout);
	latency_count = 0;
}

/* False at the end of stdin. */
static bool take_command(void)
{
	char line[64];

	if (!fgets(line, sizeof(line), stdin))
		return false;
	if (strcmp(line, "measure\n") == 0) {
		is_measuring = true;
		measure_from_ns = clock_ns();
	} else if (strcmp(line, "stop\n") == 0) {
		is_measuring = false;
		report();
	}
	return true;
}

/* One turn of the loop; false at the end of stdin. */
static bool turn(int timeout_ms)
{
	struct epoll_event events[EVENTS_MAX];
	int count = epoll_wait(epoll_fd, events, EVENTS_MAX, timeout_ms);

	for (int i = 0; i < count; i++) {
		if (events[i].data.ptr)
			stream_event(events[i].data.ptr);
		else if (!take_command())
			return false;
	}
	return true;
}

static void open_all(void)
{
	int64_t until_ns = clock_ns() + OPEN_TIMEOUT_NS;

	while ((started < stream_count || opening > 0) && clock_ns() < until_ns) {
		while (started < stream_count && opening < OPENING_MAX)
			stream_open(&streams[started++]);
		if (!turn(100))
			exit(1);
	}
	printf("{\"streams\":%d,\"failed\":%d}\n", alive, failed);
	fflush(stdout);
}

static void request_make(const char *interval, const char *model, const char *token)
{
	char body[2048], text[801];

	memset(text, 'a', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	int body_size = snprintf(body, sizeof(body),
		"{\"model\":\"%s\",\"stream\":true,\"user\":\"interval-%s\",\"messages\":"
		"[{\"role\":\"user\",\"content\":\"%s\"}]}",
		model, interval, text);
	int size = snprintf(request, sizeof(request),
		"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n"
		"Content-Type: application/json\r\nAuthorization: Bearer %s\r\n"
		"Content-Length: %d\r\n\r\n%s",
		ntohs(proxy.sin_port), token, body_size, body);
	if (body_size >= (int)sizeof(body) || size >= (int)sizeof(request)) {
		fprintf(stderr, "sse_load: model or token too long\n");
		exit(2);
	}
	request_size = (size_t)size;
}

int main(int argc, char **argv)
{
	struct epoll_event commands = { .events = EPOLLIN, .data.ptr = NULL };

	if (argc != 6) {
		fprintf(stderr, "usage: sse_load PORT STREAMS INTERVAL_MS MODEL TOKEN\n");
		return 2;
	}
	proxy.sin_port = htons((uint16_t)atoi(argv[1]));
	proxy.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	stream_count = atoi(argv[2]);
	request_make(argv[3], argv[4], argv[5]);
	streams = calloc((size_t)stream_count + 1, sizeof(*streams));
	epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	setvbuf(stdin, NULL, _IONBF,
		0); /* a line left in a buffer would never wake epoll */
	if (!streams || epoll_ctl(epoll_fd, EPOLL_CTL_ADD, STDIN_FILENO, &commands) != 0)
		die("sse_load");
	open_all();
	while (turn(-1))
		;
	return 0;
}
