#include "front.h"

#include <sys/resource.h>

#include "crowd.h"
#include "http/connection.h"

#define HOST "Host: x\r\n"
#define GET(path) "GET " path " HTTP/1.1\r\n" HOST "\r\n"
#define POST(path, length) \
	"POST " path " HTTP/1.1\r\n" HOST "Content-Length: " length "\r\n\r\n"

struct story {
	struct front front;
	struct buf heard;
	int client;
};

static void begin(struct story *story, const struct http_limits *limits,
	enum front_mode mode)
{
	*story = (struct story) { 0 };
	front_open(&story->front, limits, NULL);
	story->front.mode = mode;
	story->client = client_open(&story->front);
}

static void say(struct story *story, const char *text)
{
	client_say(&story->front, story->client, text);
}

static bool hear(struct story *story, const char *text)
{
	return client_hear(&story->front, story->client, &story->heard, text);
}

/* The client closes, and nothing is left behind. */
static void finish(struct story *story)
{
	if (story->client >= 0)
		close(story->client);
	FRONT_WAIT(&story->front, listener_connection_count(story->front.listener) == 0);
	front_close(&story->front);
	buf_clear(&story->heard);
}

static void leave(struct story *story, bool with_reset)
{
	struct linger reset = { .l_onoff = 1 };
	int64_t start_ms = clock_ms();

	if (with_reset)
		setsockopt(story->client, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	close(story->client);
	story->client = -1;
	FRONT_WAIT(&story->front, story->front.gones == 1);
	/* By no timer: the shortest is one of 10 s. */
	assert_in_range(clock_ms() - start_ms, 0, 5000);
	finish(story);
}

/* -- requests --------------------------------------------------------------------- */

static void test_keep_alive(void **state)
{
	struct story story;

	(void)state;
	begin(&story, NULL, FRONT_ECHO);
	for (int i = 0; i < 3; i++) {
		say(&story, GET("/a?x=1"));
		assert_true(hear(&story, "GET /a 0\n"));
		assert_true(has_text(&story.heard, "HTTP/1.1 200 OK\r\n"));
		assert_true(has_text(&story.heard, "Content-Length: 9\r\n"));
		assert_true(has_text(&story.heard, "Date: "));
		assert_false(has_text(&story.heard, "Connection:"));
		buf_reset(&story.heard);
	}
	say(&story, "GET /b HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n");
	assert_true(hear(&story, NULL));
	assert_true(has_text(&story.heard, "Connection: close\r\n"));
	finish(&story);
}

static void test_bodies(void **state)
{
	struct story story;

	(void)state;
	begin(&story, NULL, FRONT_ECHO);
	say(&story, POST("/c", "5") "hello");
	assert_true(hear(&story, "POST /c 5\n"));
	say(&story,
		"POST /d HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n"
		"3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nTrailer: t\r\n\r\n");
	assert_true(hear(&story, "POST /d 5\n"));
	say(&story, POST("/e", "0"));
	assert_true(hear(&story, "POST /e 0\n"));
	assert_int_equal(buf_size(&story.front.body), 10);
	assert_memory_equal(buf_data(&story.front.body), "helloabcde", 10);
	finish(&story);
}

static void test_split_anywhere(void **state)
{
	static const char text[] =
		"\r\nPOST /p HTTP/1.1\r\n" HOST
		"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x\r\nde\r\n0\r\nT: t\r\n\r\n" POST(
			"/q", "3") "fgh" GET("/r");
	struct story story;

	(void)state;
	begin(&story, NULL, FRONT_ECHO);
	for (size_t at = 1; at < sizeof(text) - 1; at++) {
		int before = story.front.requests;

		buf_reset(&story.heard);
		buf_reset(&story.front.body);
		client_send(&story.front, story.client, text, at);
		front_step(&story.front);
		front_step(&story.front);
		client_send(&story.front, story.client, text + at, sizeof(text) - 1 - at);
		assert_true(hear(&story, "GET /r 0\n"));
		assert_true(has_text(&story.heard, "POST /p 5\n"));
		assert_true(has_text(&story.heard, "POST /q 3\n"));
		assert_int_equal(story.front.requests - before, 3);
		assert_memory_equal(buf_data(&story.front.body), "abcdefgh", 8);
	}
	assert_int_equal(story.front.faults, 0);
	finish(&story);
}

static void test_pipelining(void **state)
{
	struct story story;
	struct exchange *first;

	(void)state;
	begin(&story, NULL, FRONT_HOLD);
	say(&story, GET("/1") GET("/2"));
	FRONT_WAIT(&story.front, story.front.requests == 1);
	say(&story, GET("/3"));
	for (int i = 0; i < 5; i++)
		front_step(&story.front);
	assert_int_equal(story.front.requests, 1);
	first = story.front.open;
	story.front.mode = FRONT_ECHO;
	front_answer(&story.front, first);
	/* The next one comes from the loop, not from the answer. */
	assert_int_equal(story.front.requests, 1);
	assert_true(hear(&story, "GET /3 0\n"));
	assert_int_equal(buf_size(&story.front.paths), 9);
	assert_memory_equal(buf_data(&story.front.paths), "/1 /2 /3 ", 9);
	finish(&story);
}

static void test_many_pipelined(void **state)
{
	struct story story;
	struct buf text = { 0 };

	(void)state;
	begin(&story, NULL, FRONT_ECHO);
	for (int i = 0; i < 3000; i++)
		buf_append_text(&text, GET("/x"));
	buf_append_text(&text, GET("/last"));
	client_send(&story.front, story.client, buf_data(&text), buf_size(&text));
	assert_true(hear(&story, "GET /last 0\n"));
	assert_int_equal(count_text(&story.heard, "GET /x 0\n"), 3000);
	buf_clear(&text);
	finish(&story);
}

/* Behind an open exchange only so much is read, and the rest not lost. */
static void test_pipelining_is_bounded(void **state)
{
	struct story story;
	struct buf text = { 0 };
	size_t taken = 0;
	ssize_t sent = 0;
	struct connection *connection;

	(void)state;
	begin(&story, NULL, FRONT_HOLD);
	say(&story, GET("/first"));
	FRONT_WAIT(&story.front, story.front.requests == 1);
	while (buf_size(&text) < 16 << 20)
		buf_append_text(&text, GET("/x"));
	for (int quiet = 0; quiet < 50 && taken < buf_size(&text); quiet++) {
		sent = send(story.client, buf_data(&text) + taken,
			buf_size(&text) - taken, MSG_NOSIGNAL);
		if (sent > 0) {
			taken += (size_t)sent;
			quiet = 0;
		}
		front_step(&story.front);
	}
	assert_true(taken < buf_size(&text));
	connection = CONTAINER_OF(story.front.listener->open.next, struct connection,
		link);
	assert_in_range(buf_size(&connection->input), INPUT_HIGH, INPUT_HIGH + READ_SIZE);
	buf_clear(&text);
	/* A proper close would wait behind the bytes that the window has no room for. */
	leave(&story, true);
}

static void test_http_1_0(void **state)
{
	struct story story;

	(void)state;
	begin(&story, NULL, FRONT_ECHO);
	say(&story, "GET /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
	assert_true(hear(&story, "GET /a 0\n"));
	assert_true(has_text(&story.heard, "Connection: keep-alive\r\n"));
	buf_reset(&story.heard);
	say(&story, "GET /b HTTP/1.0\r\n\r\n");
	assert_true(hear(&story, NULL));
	assert_false(has_text(&story.heard, "Connection:"));
	assert_true(has_text(&story.heard, "GET /b 0\n"));
	finish(&story);
}

static void test_continue(void **state)
{
	static const char expect[] = "Expect: 100-continue\r\n\r\n";
	struct http_limits limits = http_default_limits;
	struct story story;

	(void)state;
	limits.body_max = 10;
	begin(&story, &limits, FRONT_ECHO);
	say(&story, "POST /a HTTP/1.1\r\n" HOST "Content-Length: 2\r\n");
	say(&story, expect);
	assert_true(hear(&story, "HTTP/1.1 100 Continue\r\n\r\n"));
	say(&story, "ab");
	assert_true(hear(&story, "POST /a 2\n"));
	buf_reset(&story.heard);
	/* The body is there already: nobody waits. */
	say(&story,
		"POST /b HTTP/1.1\r\n" HOST "Content-Length: 2\r\n"
		"Expect: 100-continue\r\n\r\nab");
	assert_true(hear(&story, "POST /b 2\n"));
	say(&story, "POST /c HTTP/1.1\r\n" HOST "Content-Length: 11\r\n");
	say(&story, expect);
	assert_true(hear(&story, NULL));
	assert_int_equal(count_text(&story.heard, "HTTP/1.1 413 "), 1);
	finish(&story);

	begin(&story, &limits, FRONT_AT_ONCE);
	say(&story, "POST /d HTTP/1.1\r\n" HOST "Content-Length: 2\r\n");
	say(&story, expect);
	assert_true(hear(&story, NULL));
	assert_false(has_text(&story.heard, " 100 "));
	assert_true(has_text(&story.heard, "Connection: close\r\n"));
	finish(&story);

	begin(&story, &limits, FRONT_AT_ONCE);
	say(&story,
		"POST /d HTTP/1.1\r\n" HOST "Content-Length: 2\r\nExpect: tea\r\n\r\n");
	assert_true(hear(&story, NULL));
	assert_true(has_text(&story.heard, "HTTP/1.1 417 "));
	finish(&story);
}

/* -- faults ----------------------------------------------------------------------- */

static const struct {
	const char *text;
	int status;
} faults[] = {
	{ "GET / HTTP/1.1\r\n" HOST "A: b\r\n c\r\n\r\n", 400 },
	{ "GET / HTTP/1.1\n" HOST "\r\n", 400 },
	{ "POST / HTTP/1.1\r\n" HOST "Content-Length: 3\r\n"
	  "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		400 },
	{ "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n+1\r\na", 400 },
	{ "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n",
		400 },
	{ "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n65\r\n", 0 },
	{ "POST / HTTP/1.1\r\n" HOST "Content-Length: 101\r\n\r\n", 413 },
	{ "GET / HTTP/3.0\r\n" HOST "\r\n", 505 },
	{ "BREW / HTTP/1.1\r\n" HOST "\r\n", 501 },
	{ "GET / HTTP/1.1\r\n" HOST "A: a\r\nB: b\r\nC: c\r\nD: d\r\n\r\n", 431 },
};

/* The client hears the whole answer and then the end, though it goes on sending. */
static void test_faults_linger(void **state)
{
	static char noise[512 * 1024];
	struct http_limits limits = http_default_limits;

	(void)state;
	limits.body_max = 100;
	limits.field_max = 4;
	memset(noise, 'n', sizeof(noise));
	for (size_t i = 0; i < COUNT_OF(faults); i++) {
		struct story story;
		char line[32];
		int status = faults[i].status ? faults[i].status : 413;

		begin(&story, &limits, FRONT_ECHO);
		say(&story, faults[i].text);
		client_send(&story.front, story.client, noise, sizeof(noise));
		client_hear(&story.front, story.client, &story.heard, NULL);
		snprintf(line, sizeof(line), "HTTP/1.1 %d ", status);
		if (!has_text(&story.heard, line))
			fail_msg("no %d for %s", status, faults[i].text);
		assert_true(has_text(&story.heard, "Connection: close\r\n"));
		assert_int_equal(story.front.faults, 1);
		assert_int_equal(story.front.gones, 0);
		finish(&story);
	}
}

/* A client that never closes is left after a second. */
static void test_lingering_ends(void **state)
{
	struct story story;
	int64_t start_ms = clock_ms();

	(void)state;
	begin(&story, NULL, FRONT_ECHO);
	say(&story, "nonsense\r\n\r\n");
	assert_true(hear(&story, NULL));
	assert_int_equal(listener_connection_count(story.front.listener), 1);
	FRONT_WAIT(&story.front, listener_connection_count(story.front.listener) == 0);
	assert_in_range(clock_ms() - start_ms, 900, FRONT_PATIENCE_MS);
	finish(&story);
}

static void test_head_limit(void **state)
{
	struct http_limits limits = http_default_limits;
	struct story story;

	(void)state;
	limits.head_max = 1000;
	begin(&story, &limits, FRONT_ECHO);
	say(&story, "GET / HTTP/1.1\r\n" HOST "A: ");
	for (int i = 0; i < 100; i++)
		say(&story, "0123456789");
	assert_true(hear(&story, NULL));
	assert_true(has_text(&story.heard, "HTTP/1.1 431 "));
	finish(&story);
}

static void test_timers(void **state)
{
	struct http_limits limits = http_default_limits;
	struct story story;

	(void)state;
	limits.head_ms = 50;
	limits.idle_ms = 100;
	limits.body_window_ms = 50;
	limits.body_rate = 1000;
	begin(&story, &limits, FRONT_READ);
	say(&story, "GET / HT");
	assert_true(hear(&story, NULL));
	assert_true(has_text(&story.heard, "HTTP/1.1 408 "));
	finish(&story);

	begin(&story, &limits, FRONT_READ);
	say(&story, POST("/", "100000") "abc");
	assert_true(hear(&story, NULL));
	assert_true(has_text(&story.heard, "HTTP/1.1 408 "));
	assert_int_equal(story.front.requests, 1);
	assert_int_equal(story.front.faults, 1);
	finish(&story);

	/* Idle: closed in silence; but not while an exchange is open. */
	begin(&story, &limits, FRONT_HOLD);
	say(&story, GET("/"));
	FRONT_WAIT(&story.front, story.front.requests == 1);
	for (int64_t end_ms = clock_ms() + 300; clock_ms() < end_ms;)
		front_step(&story.front);
	assert_non_null(story.front.open);
	front_answer(&story.front, story.front.open);
	assert_true(hear(&story, NULL));
	assert_int_equal(count_text(&story.heard, "HTTP/1.1"), 1);
	finish(&story);
}

static void answer_now(int fd, short what, void *arg)
{
	struct front *front = arg;
	char byte;

	(void)what;
	assert_int_equal(read(fd, &byte, 1), 1);
	front_answer(front, front->open);
}

/* The timer of an earlier idle time is due in the turn of the loop that ends an answer:
 * the connection has not been idle, and stays. */
static void test_timer_meets_the_end_of_an_answer(void **state)
{
	struct http_limits limits = http_default_limits;
	struct story story;
	struct event *event;
	int pair[2];

	(void)state;
	limits.idle_ms = 100;
	begin(&story, &limits, FRONT_HOLD);
	int64_t due_ms = clock_ms() + 150;
	say(&story, GET("/1"));
	FRONT_WAIT(&story.front, story.front.requests == 1);
	assert_int_equal(pipe(pair), 0);
	event = event_new(story.front.base, pair[0], EV_READ, answer_now, &story.front);
	event_add(event, NULL);
	/* Nothing runs meanwhile: both are then found in one turn, the pipe first. */
	while (clock_ms() < due_ms)
		;
	assert_int_equal(write(pair[1], "x", 1), 1);
	assert_true(hear(&story, "GET /1 0\n"));
	say(&story, GET("/2"));
	FRONT_WAIT(&story.front, story.front.requests == 2);
	front_answer(&story.front, story.front.open);
	assert_true(hear(&story, "GET /2 0\n"));
	event_free(event);
	close(pair[0]);
	close(pair[1]);
	finish(&story);
}

static void test_unread_body_closes(void **state)
{
	struct story story;

	(void)state;
	begin(&story, NULL, FRONT_AT_ONCE);
	say(&story, POST("/", "5") "hello" GET("/2"));
	assert_true(hear(&story, NULL));
	assert_true(has_text(&story.heard, "Connection: close\r\n"));
	assert_int_equal(count_text(&story.heard, "HTTP/1.1"), 1);
	finish(&story);

	begin(&story, NULL, FRONT_READ);
	story.front.replies_in_body = true;
	say(&story, POST("/", "500") "hello");
	assert_true(hear(&story, NULL));
	assert_true(has_text(&story.heard, "POST / 5\n"));
	assert_true(has_text(&story.heard, "Connection: close\r\n"));
	assert_int_equal(story.front.ends, 0);
	finish(&story);
}

/* -- answers ---------------------------------------------------------------------- */

static struct sink *start(struct story *story, const char *request, int status,
	int64_t length)
{
	struct exchange *exchange;

	say(story, request);
	FRONT_WAIT(&story->front, story->front.open);
	exchange = story->front.open;
	exchange_start(exchange, status, NULL, 0, length);
	return exchange_sink(exchange);
}

static void end(struct story *story, struct sink *sink)
{
	story->front.open = NULL;
	sink->ops->end(sink);
}

/* Where others wait for the processor, a short answer goes out when they have had it. */
static void test_short_answers_are_sent_together(void **state)
{
	struct story story;
	struct crowd crowd;
	char byte;

	(void)state;
	begin(&story, NULL, FRONT_HOLD);
	for (int round = 0; round < 2; round++) {
		say(&story, GET("/1"));
		FRONT_WAIT(&story.front, story.front.open);
		crowd_gather(&crowd, story.front.turn);
		front_answer(&story.front, story.front.open);
		assert_int_equal(recv(story.client, &byte, 1, MSG_DONTWAIT), -1);
		assert_int_equal(errno, EAGAIN);
		assert_true(hear(&story, "GET /1 0\n"));
		crowd_clear(&crowd);
		buf_clear(&story.heard);
	}
	finish(&story);
}

static void test_streams(void **state)
{
	struct story story;
	struct sink *sink;

	(void)state;
	begin(&story, NULL, FRONT_HOLD);
	sink = start(&story, GET("/"), 200, -1);
	/* The head leaves at the end of the turn. */
	assert_true(hear(&story, "Transfer-Encoding: chunked\r\n\r\n"));
	assert_int_equal(sink->ops->write(sink, "hello", 5), 0);
	assert_int_equal(sink->ops->write(sink, "0123456789abcdef", 16), 0);
	end(&story, sink);
	assert_true(hear(&story,
		"\r\n\r\n5\r\nhello\r\n10\r\n0123456789abcdef\r\n0\r\n\r\n"));

	sink = start(&story, GET("/"), 201, 3);
	sink->ops->write(sink, "abcd", 4);
	end(&story, sink);
	assert_true(hear(&story, "Content-Length: 3\r\n\r\nabc"));

	buf_reset(&story.heard);
	sink = start(&story, "HEAD / HTTP/1.1\r\n" HOST "\r\n", 200, 3);
	sink->ops->write(sink, "abc", 3);
	end(&story, sink);
	sink = start(&story, GET("/"), 204, -1);
	sink->ops->write(sink, "abc", 3);
	end(&story, sink);
	say(&story, "HEAD / HTTP/1.1\r\n" HOST "\r\n");
	FRONT_WAIT(&story.front, story.front.open);
	front_answer(&story.front, story.front.open);
	sink = start(&story, GET("/"), 304, 0);
	end(&story, sink);
	assert_true(hear(&story, "HTTP/1.1 304 "));
	assert_true(hear(&story, "GMT\r\n\r\n"));
	assert_false(has_text(&story.heard, "abc"));
	assert_false(has_text(&story.heard, "HEAD / 0"));
	assert_int_equal(count_text(&story.heard, "Content-Length"), 2);
	assert_false(has_text(&story.heard, "chunked"));
	finish(&story);
}

static void test_broken_answers(void **state)
{
	struct story story;
	struct sink *sink;

	(void)state;
	begin(&story, NULL, FRONT_HOLD);
	sink = start(&story, GET("/"), 200, -1);
	sink->ops->write(sink, "part", 4);
	story.front.open = NULL;
	sink->ops->cut(sink);
	assert_true(hear(&story, NULL));
	assert_true(has_text(&story.heard, "4\r\npart\r\n"));
	assert_false(has_text(&story.heard, "0\r\n\r\n"));
	finish(&story);

	/* Fewer bytes than promised. */
	begin(&story, NULL, FRONT_HOLD);
	sink = start(&story, GET("/"), 200, 10);
	sink->ops->write(sink, "part", 4);
	end(&story, sink);
	assert_true(hear(&story, NULL));
	finish(&story);

	/* An end would look proper: a reset. */
	begin(&story, NULL, FRONT_HOLD);
	sink = start(&story, "GET / HTTP/1.0\r\n\r\n", 200, -1);
	sink->ops->write(sink, "part", 4);
	story.front.open = NULL;
	assert_true(hear(&story, "part"));
	sink->ops->cut(sink);
	assert_false(hear(&story, NULL));
	finish(&story);

	begin(&story, NULL, FRONT_HOLD);
	sink = start(&story, "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", 200, -1);
	sink->ops->write(sink, "whole", 5);
	end(&story, sink);
	assert_true(hear(&story, NULL));
	assert_false(has_text(&story.heard, "chunked"));
	assert_true(has_text(&story.heard, "\r\n\r\nwhole"));
	finish(&story);
}

static void test_bad_fields(void **state)
{
	static const struct field fields[] = {
		{ "X-Good", "a b\tc" },
		{ "X-Bad", "a\r\nInjected: 1" },
		{ "X Bad", "a" },
		{ "", "a" },
		{ "X:Bad", "a" },
		{ "content-length", "1" },
		{ "X-Worse", "a\x7f" },
	};
	struct story story;

	(void)state;
	begin(&story, NULL, FRONT_HOLD);
	say(&story, GET("/"));
	FRONT_WAIT(&story.front, story.front.open);
	exchange_reply(story.front.open, 200, fields, COUNT_OF(fields), "abc", 3);
	story.front.open = NULL;
	assert_true(hear(&story, "\r\n\r\nabc"));
	assert_true(has_text(&story.heard, "X-Good: a b\tc\r\n"));
	assert_int_equal(count_text(&story.heard, "\r\n"), 5);
	finish(&story);
}

static void on_drained(void *arg)
{
	(*(int *)arg)++;
}

static void test_slow_reader(void **state)
{
	static char block[65536];
	struct story story;
	struct sink *sink;
	size_t written = 0;
	int drained = 0;

	(void)state;
	begin(&story, NULL, FRONT_HOLD);
	sink = start(&story, GET("/"), 200, -1);
	while (sink->ops->write(sink, block, sizeof(block)) < SINK_HIGH)
		written += sizeof(block);
	written += sizeof(block);
	sink->ops->when_drained(sink, on_drained, &drained);
	for (int i = 0; i < 10; i++)
		front_step(&story.front);
	assert_int_equal(drained, 0);
	while (!drained) {
		ssize_t got = recv(story.client, buf_reserve(&story.heard, 65536), 65536,
			0);

		if (got > 0)
			buf_grow(&story.heard, (size_t)got);
		front_step(&story.front);
	}
	assert_int_equal(drained, 1);
	end(&story, sink);
	assert_true(hear(&story, "\r\n0\r\n\r\n"));
	assert_int_equal(count_text(&story.heard, "10000\r\n"), written / sizeof(block));
	assert_int_equal(drained, 1);
	finish(&story);
}

static void test_stuck_reader(void **state)
{
	static char block[65536];
	struct http_limits limits = http_default_limits;
	struct story story;
	struct sink *sink;

	(void)state;
	limits.write_ms = 50;
	begin(&story, &limits, FRONT_HOLD);
	sink = start(&story, GET("/"), 200, -1);
	while (sink->ops->write(sink, block, sizeof(block)) < SINK_HIGH)
		;
	FRONT_WAIT(&story.front, story.front.gones == 1);
	finish(&story);
}

/* -- the client leaves ------------------------------------------------------------ */

static void test_gone(void **state)
{
	static const char rest[] = "TP/1.1\r\n" HOST "\r\n";
	static char block[65536];

	(void)state;
	for (int round = 0; round < 2; round++) {
		bool with_reset = round == 1;
		struct connection *connection;
		struct story story;
		struct sink *sink;

		/* before an answer */
		begin(&story, NULL, FRONT_HOLD);
		say(&story, GET("/"));
		FRONT_WAIT(&story.front, story.front.requests == 1);
		leave(&story, with_reset);
		/* in a body that is read, and in one that is not */
		begin(&story, NULL, FRONT_READ);
		say(&story, POST("/", "10") "abc");
		FRONT_WAIT(&story.front, buf_size(&story.front.body) == 3);
		leave(&story, with_reset);
		begin(&story, NULL, FRONT_HOLD);
		say(&story, POST("/", "10") "abc");
		FRONT_WAIT(&story.front, story.front.requests == 1);
		leave(&story, with_reset);
		/* with pipelined bytes unread, few and so many that reading has paused */
		begin(&story, NULL, FRONT_HOLD);
		say(&story, GET("/") GET("/2"));
		FRONT_WAIT(&story.front, story.front.requests == 1);
		leave(&story, with_reset);
		begin(&story, NULL, FRONT_HOLD);
		say(&story, GET("/"));
		FRONT_WAIT(&story.front, story.front.requests == 1);
		connection = CONTAINER_OF(story.front.listener->open.next,
			struct connection, link);
		for (size_t sent = 0; sent < INPUT_HIGH; sent += sizeof(block))
			client_send(&story.front, story.client, block, sizeof(block));
		FRONT_WAIT(&story.front, buf_size(&connection->input) >= INPUT_HIGH);
		client_send(&story.front, story.client, block, 20000);
		front_step(&story.front);
		leave(&story, with_reset);
		/* in a stream, one that is written and one that is stuck */
		begin(&story, NULL, FRONT_HOLD);
		sink = start(&story, GET("/"), 200, -1);
		sink->ops->write(sink, "a", 1);
		assert_true(hear(&story, "a\r\n"));
		leave(&story, with_reset);
		begin(&story, NULL, FRONT_HOLD);
		sink = start(&story, GET("/"), 200, -1);
		while (sink->ops->write(sink, block, sizeof(block)) < SINK_HIGH)
			;
		leave(&story, with_reset);
		/* at once, in one go with its request */
		begin(&story, NULL, FRONT_HOLD);
		say(&story, "GET / HT");
		front_step(&story.front);
		send(story.client, rest, sizeof(rest) - 1, MSG_NOSIGNAL);
		if (with_reset)
			setsockopt(story.client, SOL_SOCKET, SO_LINGER,
				&(struct linger) { .l_onoff = 1 }, sizeof(struct linger));
		finish(&story);
		assert_int_equal(story.front.requests, story.front.gones);
	}
}

static void test_half_close_is_gone(void **state)
{
	struct story story;

	(void)state;
	begin(&story, NULL, FRONT_HOLD);
	say(&story, GET("/"));
	FRONT_WAIT(&story.front, story.front.requests == 1);
	shutdown(story.client, SHUT_WR);
	FRONT_WAIT(&story.front, story.front.gones == 1);
	finish(&story);
}

/* A handler that goes on without its client. */
static void test_outlives_the_client(void **state)
{
	struct story story;
	struct exchange *exchange;
	struct sink *sink;

	(void)state;
	begin(&story, NULL, FRONT_READ);
	say(&story, POST("/p", "3") "abc");
	FRONT_WAIT(&story.front, story.front.ends == 1);
	exchange = story.front.open;
	exchange_ref(exchange);
	exchange_start(exchange, 200, NULL, 0, -1);
	close(story.client);
	story.client = -1;
	FRONT_WAIT(&story.front, story.front.gones == 1);
	sink = exchange_sink(exchange);
	assert_int_equal(sink->ops->write(sink, "abc", 3), 0);
	assert_string_equal(exchange_path(exchange), "/p");
	assert_string_equal(exchange_peer(exchange), "127.0.0.1");
	assert_true(exchange_is_peer_loopback(exchange));
	assert_memory_equal(spool_memory(exchange_body(exchange)), "abc", 3);
	sink->ops->end(sink);
	exchange_unref(exchange);
	finish(&story);
}

/* -- big bodies, the listener ----------------------------------------------------- */

static void test_big_body(void **state)
{
	size_t size = 8 << 20;
	char *body = xmalloc(size);
	char *copy = xmalloc(size);
	struct story story;
	struct spool *spool;
	size_t got = 0;

	(void)state;
	for (size_t i = 0; i < size; i++)
		body[i] = (char)(i * 2654435761u >> 13);
	begin(&story, NULL, FRONT_READ);
	say(&story, POST("/big", "8388608"));
	client_send(&story.front, story.client, body, size);
	FRONT_WAIT(&story.front, story.front.ends == 1);
	spool = exchange_body(story.front.open);
	assert_null(spool_memory(spool));
	assert_int_equal(spool_size(spool), size);
	while (got < size) {
		struct source *source = spool_source(spool);
		ssize_t n = source->ops->read(source, got, copy + got, size - got);

		assert_true(n > 0);
		got += (size_t)n;
	}
	assert_memory_equal(body, copy, size);
	assert_memory_equal(body, buf_data(&story.front.body), size);
	front_answer(&story.front, story.front.open);
	assert_true(hear(&story, "POST /big 8388608\n"));
	finish(&story);
	free(body);
	free(copy);
}

static void test_no_room_for_body(void **state)
{
	static char block[65536];
	struct story story;

	(void)state;
	begin(&story, NULL, FRONT_READ);
	say(&story, POST("/", "100000000"));
	for (int i = 0; i < 1500 && !story.front.faults; i++)
		client_send(&story.front, story.client, block, sizeof(block));
	client_hear(&story.front, story.client, &story.heard, NULL);
	assert_int_equal(story.front.fault_status, 507);
	assert_true(has_text(&story.heard, "HTTP/1.1 507 "));
	finish(&story);
}

static void test_connection_max(void **state)
{
	struct http_limits limits = http_default_limits;
	struct story story;
	int second;

	(void)state;
	limits.connection_max = 1;
	begin(&story, &limits, FRONT_ECHO);
	say(&story, GET("/"));
	assert_true(hear(&story, "GET / 0\n"));
	buf_reset(&story.heard);
	second = client_open(&story.front);
	client_say(&story.front, second, GET("/"));
	assert_true(client_hear(&story.front, second, &story.heard, NULL));
	assert_true(has_text(&story.heard, "HTTP/1.1 503 "));
	assert_true(has_text(&story.heard, "Connection: close\r\n"));
	close(second);
	assert_int_equal(story.front.requests, 1);
	buf_reset(&story.heard);
	say(&story, GET("/"));
	assert_true(hear(&story, "GET / 0\n"));
	finish(&story);
}

static void test_no_descriptor_left(void **state)
{
	struct story story;
	struct rlimit before, tight;
	int clients[3], filler;

	(void)state;
	begin(&story, NULL, FRONT_ECHO);
	say(&story, GET("/"));
	assert_true(hear(&story, "GET / 0\n"));
	for (size_t i = 0; i < COUNT_OF(clients); i++)
		clients[i] = client_open(&story.front);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	filler = dup(0);
	tight = before;
	tight.rlim_cur = (rlim_t)filler;
	close(filler);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &tight), 0);
	for (size_t i = 0; i < COUNT_OF(clients); i++) {
		buf_reset(&story.heard);
		client_hear(&story.front, clients[i], &story.heard, NULL);
		assert_true(has_text(&story.heard, "HTTP/1.1 503 "));
		close(clients[i]);
		/* The next pass must find no descriptor free for the one behind. */
		clients[i] = -1;
		if (i + 1 < COUNT_OF(clients))
			clients[i] = dup(0);
	}
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	close(clients[0]);
	close(clients[1]);
	/* It recovers alone. */
	clients[0] = client_open(&story.front);
	client_say(&story.front, clients[0], GET("/again"));
	assert_true(
		client_hear(&story.front, clients[0], &story.heard, "GET /again 0\n"));
	close(clients[0]);
	finish(&story);
}

static void test_drain(void **state)
{
	struct story story;
	int idle;

	(void)state;
	begin(&story, NULL, FRONT_HOLD);
	say(&story, GET("/"));
	FRONT_WAIT(&story.front, story.front.requests == 1);
	idle = client_open(&story.front);
	FRONT_WAIT(&story.front, listener_connection_count(story.front.listener) == 2);
	listener_drain(story.front.listener);
	assert_int_equal(listener_connection_count(story.front.listener), 1);
	assert_true(client_hear(&story.front, idle, &story.heard, NULL));
	close(idle);
	front_answer(&story.front, story.front.open);
	assert_true(hear(&story, NULL));
	assert_true(has_text(&story.heard, "Connection: close\r\n"));
	finish(&story);
}

static void test_close_with_open_exchange(void **state)
{
	struct story story;

	(void)state;
	begin(&story, NULL, FRONT_HOLD);
	say(&story, GET("/"));
	FRONT_WAIT(&story.front, story.front.requests == 1);
	front_close(&story.front);
	assert_int_equal(story.front.gones, 1);
	close(story.client);
}

static void test_addresses(void **state)
{
	static const struct {
		const char *address, *host;
		int port;
	} good[] = {
		{ "127.0.0.1:8080", "127.0.0.1", 8080 },
		{ "[::1]:1", "::1", 1 },
		{ ":0", "", 0 },
		{ "localhost:65535", "localhost", 65535 },
	};
	static const char *const bad[] = { "", "x", "x:", "x:y", "x:65536", "x:-1",
		"::1:80", "[::1:80", "[x]:80", "[]:80", "a b:80", "x:80 ",
		"[127.0.0.1]:80" };
	char host[32];
	int port;

	(void)state;
	for (size_t i = 0; i < COUNT_OF(good); i++) {
		assert_int_equal(address_parse(good[i].address, host, sizeof(host), &port,
					 NULL),
			0);
		assert_string_equal(host, good[i].host);
		assert_int_equal(port, good[i].port);
	}
	for (size_t i = 0; i < COUNT_OF(bad); i++)
		assert_int_equal(address_parse(bad[i], host, sizeof(host), &port, NULL),
			-EINVAL);
	assert_true(address_is_loopback("127.1.2.3"));
	assert_true(address_is_loopback("::1"));
	assert_true(address_is_loopback("localhost"));
	assert_false(address_is_loopback(""));
	assert_false(address_is_loopback("10.0.0.1"));
	assert_false(address_is_loopback("127.0.0.1.example"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_keep_alive),
		cmocka_unit_test(test_bodies),
		cmocka_unit_test(test_split_anywhere),
		cmocka_unit_test(test_pipelining),
		cmocka_unit_test(test_many_pipelined),
		cmocka_unit_test(test_pipelining_is_bounded),
		cmocka_unit_test(test_http_1_0),
		cmocka_unit_test(test_continue),
		cmocka_unit_test(test_faults_linger),
		cmocka_unit_test(test_lingering_ends),
		cmocka_unit_test(test_head_limit),
		cmocka_unit_test(test_timers),
		cmocka_unit_test(test_timer_meets_the_end_of_an_answer),
		cmocka_unit_test(test_unread_body_closes),
		cmocka_unit_test(test_short_answers_are_sent_together),
		cmocka_unit_test(test_streams),
		cmocka_unit_test(test_broken_answers),
		cmocka_unit_test(test_bad_fields),
		cmocka_unit_test(test_slow_reader),
		cmocka_unit_test(test_stuck_reader),
		cmocka_unit_test(test_gone),
		cmocka_unit_test(test_half_close_is_gone),
		cmocka_unit_test(test_outlives_the_client),
		cmocka_unit_test(test_big_body),
		cmocka_unit_test(test_no_room_for_body),
		cmocka_unit_test(test_connection_max),
		cmocka_unit_test(test_no_descriptor_left),
		cmocka_unit_test(test_drain),
		cmocka_unit_test(test_close_with_open_exchange),
		cmocka_unit_test(test_addresses),
	};

	return cmocka_run_group_tests_name("connection", tests, NULL, NULL);
}
