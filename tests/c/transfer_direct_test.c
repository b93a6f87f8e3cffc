/* Transfers over channels of our own: what is kept, what is sent once more, what waits, and
 * what callbacks may do meanwhile. libcurl differs in some of it: it takes bytes on a kept
 * connection for an answer, and repeats what was answered in part. */
#include "transfer_place.h"

#include <netinet/tcp.h>
#include <signal.h>
#include <zlib.h>

#include "base/mem.h"
#include "crowd.h"
#include "scripted_sides.h"
#include "upstream/direct_transfer.h"

#define HELLO "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
#define LARGE 3000000
#define LARGE_HEAD "HTTP/1.1 200 OK\r\nContent-Length: 3000000\r\n\r\n"

static void assert_hello(struct place *place, const struct transfer_request *request)
{
	struct noted noted;

	if (place_ask(place, &noted, request) != TRANSFER_OK)
		fail_msg("%s", transfer_error(noted.transfer));
	assert_body(&noted, "hello");
	noted_clear(&noted);
}

static bool script_answers(struct scripted *upstream, int fd, int nth)
{
	(void)nth;
	while (scripted_read_request(upstream, fd))
		scripted_send(fd, upstream->text);
	return false;
}

static bool script_side_by_side(struct scripted *upstream, int fd, int nth)
{
	(void)nth;
	return sides_serve(upstream, fd, script_answers);
}

/* -- what is kept ------------------------------------------------------------------ */

static void what_the_answer_says_of_the_connection_counts(void **state)
{
	static const struct {
		const char *answer;
		int connections;
	} cases[] = {
		{ HELLO, 1 },
		{ "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello",
			3 },
		{ "HTTP/1.1 200 OK\r\nconnection: x , CLOSE\r\nContent-Length: 5\r\n\r\nhello",
			3 },
		{ "HTTP/1.1 200 OK\r\nConnection: close\r\nConnection: keep-alive\r\n"
		  "Content-Length: 5\r\n\r\nhello",
			3 },
		{ "HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello", 3 },
		{ "HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\nContent-Length: 5\r\n\r\nhello",
			1 },
		{ "HTTP/1.1 200 OK\nContent-Length: 5\n\nhello", 1 },
		{ "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
		  "2\r\nhe\r\n3;x=y\r\nllo\r\n0\r\nX: y\r\n\r\n",
			1 },
		{ "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
		  "2     \r\nhe\r\n3 \t;x=y\r\nllo\r\n0  \r\n\r\n",
			1 },
		{ HELLO "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nwrong", 3 },
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct place place;

		place_open(&place, script_side_by_side, cases[i].answer);
		for (int n = 0; n < 3; n++) {
			struct transfer_request request = place_request(&place);

			assert_hello(&place, &request);
		}
		if (place.upstream.connections != cases[i].connections)
			fail_msg("%s: %d", cases[i].answer, place.upstream.connections);
		world_close(&place.world);
		sides_join();
		scripted_stop(&place.upstream);
	}
}

/* Bytes that nobody asked for, on a connection that waits, are no answer to the next. */
static bool script_garbage_later(struct scripted *upstream, int fd, int nth)
{
	_Atomic int *step = upstream->arg;

	if (!scripted_read_request(upstream, fd))
		return false;
	scripted_send(fd, HELLO);
	if (nth > 0)
		return true;
	while (*step < 1 && !upstream->is_stopping)
		usleep(100);
	scripted_send(fd, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nwrong");
	*step = 2; /* on loopback, what was sent has come */
	scripted_wait_closed(fd);
	return false;
}

static void bytes_on_a_kept_connection_close_it(void **state)
{
	_Atomic int step = 0;
	struct place place;

	(void)state;
	place_open(&place, script_garbage_later, NULL);
	place.upstream.arg = &step;
	struct transfer_request request = place_request(&place);
	assert_hello(&place, &request);
	step = 1;
	world_wait(&place.world, (const int *)&step, 2);
	event_base_loop(place.world.base, EVLOOP_NONBLOCK);
	assert_hello(&place, &request);
	assert_int_equal(place.upstream.connections, 2);
	place_close(&place);
}

/* -- what is sent once more -------------------------------------------------------- */

/* The first connection answers once and then reads a request to its end before it closes;
 * the others do what text says. */
static bool script_die_with_request(struct scripted *upstream, int fd, int nth)
{
	if (nth > 0)
		return script_answer_and_close(upstream, fd, nth);
	if (scripted_read_request(upstream, fd))
		scripted_send(fd, HELLO);
	scripted_read_request(upstream, fd);
	return false;
}

static void a_request_is_sent_once_more_only(void **state)
{
	char *text = xcalloc(1, LARGE);
	struct place place;
	struct noted noted;

	(void)state;
	memset(text, 'x', LARGE);
	/* On a fresh connection, and with all of its body. */
	place_open(&place, script_die_with_request, HELLO);
	struct transfer_request request = place_request(&place);
	struct piece pieces[] = { { .data = text, .size = LARGE / 3 },
		{ .data = text, .size = LARGE - LARGE / 3 } };
	assert_hello(&place, &request);
	request.method = "POST";
	request.pieces = pieces;
	request.piece_count = COUNT_OF(pieces);
	assert_hello(&place, &request);
	assert_int_equal(place.upstream.body_size, LARGE);
	assert_int_equal(place.upstream.connections, 2);
	place_close(&place);
	/* One that ends without an answer as well is the end. */
	place_open(&place, script_die_with_request, "");
	request.url = place.upstream.url;
	struct transfer_request first = place_request(&place);
	assert_hello(&place, &first);
	assert_int_equal(place_ask(&place, &noted, &request), TRANSFER_RESET);
	noted_clear(&noted);
	assert_int_equal(place.upstream.connections, 2);
	place_close(&place);
	free(text);
}

static bool script_die_in_answer(struct scripted *upstream, int fd, int nth)
{
	(void)nth;
	if (scripted_read_request(upstream, fd))
		scripted_send(fd, HELLO);
	if (scripted_read_request(upstream, fd))
		scripted_send(fd, "HTTP");
	return false;
}

static void what_was_answered_in_part_is_not_sent_again(void **state)
{
	struct place place;
	struct noted noted;

	(void)state;
	place_open(&place, script_die_in_answer, NULL);
	struct transfer_request request = place_request(&place);
	assert_hello(&place, &request);
	assert_int_equal(place_ask(&place, &noted, &request), TRANSFER_RESET);
	noted_clear(&noted);
	assert_int_equal(place.upstream.connections, 1);
	place_close(&place);
}

/* Answers before it has read the body, which it never does. */
static bool script_refuse_early(struct scripted *upstream, int fd, int nth)
{
	char room[1000];

	(void)nth;
	if (recv(fd, room, sizeof(room), 0) <= 0)
		return false;
	scripted_send(fd,
		"HTTP/1.1 413 Too Large\r\nConnection: close\r\nContent-Length: 5\r\n\r\nlarge");
	while (!upstream->is_stopping)
		usleep(1000);
	return false;
}

static void an_early_answer_is_taken(void **state)
{
	size_t size = 30 * 1000 * 1000;
	char *text = xcalloc(1, size);
	struct piece piece = { .data = text, .size = size };
	struct place place;
	struct noted noted;

	(void)state;
	place_open(&place, script_refuse_early, NULL);
	struct transfer_request request = place_request(&place);
	request.method = "POST";
	request.pieces = &piece;
	request.piece_count = 1;
	assert_int_equal(place_ask(&place, &noted, &request), TRANSFER_OK);
	assert_int_equal(transfer_status(noted.transfer), 413);
	assert_body(&noted, "large");
	noted_clear(&noted);
	place_close(&place);
	free(text);
}

/* -- what is sent ------------------------------------------------------------------- */

/* Where others wait for the processor, a request on a kept connection goes out when they have had
 * it: if it still is wanted. */
static void a_request_gives_way(void **state)
{
	static const char body[TURN_BYTES_MAX + 1];
	const struct piece piece = { .data = body, .size = sizeof(body) };
	struct transfer_request request;
	struct place place;
	struct noted noted;
	struct crowd crowd;

	(void)state;
	place_open(&place, script_answers, HELLO);
	request = place_request(&place);
	assert_hello(&place, &request);
	for (int round = 0; round < 3; round++) {
		crowd_gather(&crowd, place.world.turn);
		noted_start(&noted, &place.world, &request);
		assert_false(direct_of(noted.transfer)->is_sent);
		if (round == 1) {
			transfer_close(noted.transfer);
			noted.transfer = NULL;
		} else {
			world_wait(&place.world, &noted.ends, 1);
			assert_int_equal(noted.result, TRANSFER_OK);
			assert_body(&noted, "hello");
		}
		noted_clear(&noted);
		crowd_clear(&crowd);
	}
	assert_int_equal(place.upstream.requests, 3);

	/* A large body is sent while it is warm. */
	assert_hello(&place, &request);
	request.method = "POST";
	request.pieces = &piece;
	request.piece_count = 1;
	crowd_gather(&crowd, place.world.turn);
	noted_start(&noted, &place.world, &request);
	assert_true(direct_of(noted.transfer)->is_sent);
	world_wait(&place.world, &noted.ends, 1);
	noted_clear(&noted);
	crowd_clear(&crowd);
	place_close(&place);
}

static int by_text(const void *one, const void *other)
{
	return strcmp(*(char *const *)one, *(char *const *)other);
}

/* The lines of a head in order, as one text. */
static void sort_lines(char *head)
{
	char *copy = xstrdup(head), *at = copy, *line;
	char *lines[64];
	size_t count = 0;

	while ((line = strsep(&at, "\n")) && count < COUNT_OF(lines))
		lines[count++] = line;
	qsort(lines, count, sizeof(*lines), by_text);
	*head = '\0';
	for (size_t i = 0; i < count; i++)
		strcat(strcat(head, lines[i]), "\n");
	free(copy);
}

static void record(const char *carrier, char *head, struct transfer_request request,
	const char *path)
{
	struct place place;
	char url[200];

	world_choose(carrier);
	place_open(&place, script_answer_and_close, HELLO);
	snprintf(url, sizeof(url), "%.*s%s",
		(int)(strlen(place.upstream.url) - strlen("/v1/x")), place.upstream.url,
		path);
	request.url = url;
	request.is_private_allowed = true;
	assert_hello(&place, &request);
	place_close(&place);
	strcpy(head, place.upstream.request);
	*strstr(head, "Host: 127.0.0.1:") = '#'; /* with its port */
	memmove(strchr(head, '#') + 1, strchr(strchr(head, '#'), '\n'),
		strlen(strchr(strchr(head, '#'), '\n')) + 1);
	sort_lines(head);
	world_choose(NULL);
}

/* libcurl's head is the reference; only the order of the fields is our own. */
static void both_carriers_send_the_same(void **state)
{
	static const char *const fields[] = { "Content-Type: application/json",
		"authorization: Bearer x", "Empty:", "X-Spaces:   a  b ", "Expect: x",
		"connection: x", "Transfer-Encoding: chunked", "content-length: 7" };
	static const char *const codings[] = { "accept-encoding: gzip", "accept: a/b",
		"User-Agent: neap", "accept-language: x" };
	static const struct piece body = { .data = "{}", .size = 2 };
	static const struct {
		const char *path, *method;
		bool has_body;
		const char *const *headers;
		size_t header_count;
	} cases[] = {
		{ "/v1/x", "POST", true, fields, COUNT_OF(fields) },
		{ "/v1/x", "POST", false, fields, 1 },
		{ "", "GET", false, codings, COUNT_OF(codings) },
		{ "?a=b", "GET", false, NULL, 0 },
		{ "/a/../b/./%7e?c=%20&d#e", "DELETE", false, NULL, 0 },
		{ "/", "DELETE", true, codings, 1 },
		{ "/", "PUT", true, fields, 2 },
		{ "/", "PATCH", false, NULL, 0 },
		{ "/", "OPTIONS", false, NULL, 0 },
	};
	static char ours[8192], theirs[8192];

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct transfer_request request = { .method = cases[i].method,
			.headers = cases[i].headers,
			.header_count = cases[i].header_count };

		if (cases[i].has_body) {
			request.pieces = &body;
			request.piece_count = 1;
		}
		record(NULL, ours, request, cases[i].path);
		record("curl", theirs, request, cases[i].path);
		assert_string_equal(ours, theirs);
	}
}

/* -- how it comes ------------------------------------------------------------------ */

static bool script_bytewise(struct scripted *upstream, int fd, int nth)
{
	int on = 1;

	(void)nth;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	while (scripted_read_request(upstream, fd))
		for (const char *at = upstream->text; *at; at++) {
			scripted_send_bytes(fd, at, 1);
			usleep(50);
		}
	return false;
}

static void an_answer_may_come_byte_by_byte(void **state)
{
	static const char *const answers[] = {
		HELLO,
		"HTTP/1.1 100 Continue\r\nA: b\r\n\r\n" HELLO,
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
		"002\r\nhe\r\n3\r\nllo\r\n0\r\nTrailer: x\r\n\r\n",
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(answers); i++) {
		struct place place;

		place_open(&place, script_bytewise, answers[i]);
		struct transfer_request request = place_request(&place);
		assert_hello(&place, &request);
		assert_hello(&place, &request);
		assert_int_equal(place.upstream.connections, 1);
		place_close(&place);
	}
}

static void a_head_without_an_answer_has_no_body(void **state)
{
	struct place place;
	struct noted noted;

	(void)state;
	place_open(&place, script_answer,
		"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n"
		"Content-Encoding: gzip\r\n\r\n");
	struct transfer_request request = place_request(&place);
	request.method = "HEAD";
	for (int i = 0; i < 2; i++) {
		assert_int_equal(place_ask(&place, &noted, &request), TRANSFER_OK);
		assert_string_equal(transfer_header(noted.transfer, "content-length"),
			"1000");
		assert_body(&noted, "");
		noted_clear(&noted);
	}
	assert_int_equal(place.upstream.connections, 1);
	place_close(&place);
}

/* A trailer without end, and a line without end. */
static bool script_endless(struct scripted *upstream, int fd, int nth)
{
	char block[1000];

	(void)nth;
	if (!scripted_read_request(upstream, fd))
		return false;
	scripted_send(fd, upstream->text);
	memset(block, 'x', sizeof(block));
	for (int i = 0; i < 200 && !upstream->is_stopping; i++)
		scripted_send_bytes(fd, block, sizeof(block));
	scripted_wait_closed(fd);
	return false;
}

static void what_has_no_end_is_cut(void **state)
{
	static const char *const begins[] = {
		"HTTP/1.1 200 OK\r\nA: ",
		"HTTP/1.1 200 ",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nA: ",
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(begins); i++) {
		struct place place;
		struct noted noted;

		place_open(&place, script_endless, begins[i]);
		struct transfer_request request = place_request(&place);
		assert_int_not_equal(place_ask(&place, &noted, &request), TRANSFER_OK);
		noted_clear(&noted);
		place_close(&place);
	}
}

/* -- what callbacks do ------------------------------------------------------------- */

static const struct transfer_handler at_end_handler;

struct meddler {
	struct place *place;
	struct transfer *transfer, *other;
	struct noted started;
	size_t size;
	int done;
};

static void close_when_told(struct transfer *transfer, void *arg)
{
	struct meddler *meddler = arg;

	transfer_close(transfer);
	transfer_close(meddler->other);
	meddler->other = NULL;
	meddler->done++;
}

static void never_data(struct transfer *transfer, const char *data, size_t size,
	void *arg)
{
	(void)transfer;
	(void)data;
	(void)size;
	(void)arg;
	fail_msg("a closed transfer goes on");
}

static void never_end(struct transfer *transfer, enum transfer_result result, void *arg)
{
	(void)transfer;
	(void)result;
	(void)arg;
	fail_msg("a closed transfer ends");
}

static const struct transfer_handler when_told_handler = {
	.on_data = never_data,
	.on_told = close_when_told,
	.on_end = never_end,
};

/* Itself, and another one that runs: neither hears of anything any more. */
static bool script_say_nothing(struct scripted *upstream, int fd, int nth)
{
	(void)upstream;
	(void)fd;
	(void)nth;
	return true;
}

static void a_callback_may_close_transfers(void **state)
{
	struct scripted silent;
	struct place place;

	(void)state;
	scripted_start(&silent, script_say_nothing, NULL);
	for (int i = 0; i < 20; i++) {
		struct meddler meddler = { .done = 0 };

		place_open(&place, script_side_by_side,
			"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n");
		struct transfer_request request = place_request(&place);
		meddler.transfer = transfer_start(place.world.transfers, &request,
			&when_told_handler, &meddler);
		request.url = silent.url;
		meddler.other = transfer_start(place.world.transfers, &request,
			&when_told_handler, &meddler);
		world_wait(&place.world, &meddler.done, 1);
		event_base_loop(place.world.base, EVLOOP_NONBLOCK);
		world_close(&place.world);
		sides_join();
		scripted_stop(&place.upstream);
	}
	scripted_stop(&silent);
}

static void start_at_end(struct transfer *transfer, enum transfer_result result,
	void *arg)
{
	struct meddler *meddler = arg;
	struct transfer_request request = place_request(meddler->place);

	assert_int_equal(result, TRANSFER_OK);
	transfer_close(transfer);
	if (++meddler->done < 50)
		transfer_start(meddler->place->world.transfers, &request, &at_end_handler,
			meddler);
}

static const struct transfer_handler at_end_handler = { .on_end = start_at_end };

static void an_end_may_start_the_next(void **state)
{
	struct place place;
	struct meddler meddler = { .place = &place };

	(void)state;
	place_open(&place, script_answer, HELLO);
	struct transfer_request request = place_request(&place);
	transfer_start(place.world.transfers, &request, &at_end_handler, &meddler);
	world_wait(&place.world, &meddler.done, 50);
	assert_int_equal(place.upstream.connections, 1);
	assert_int_equal(place.upstream.requests, 50);
	place_close(&place);
}

static bool script_large(struct scripted *upstream, int fd, int nth)
{
	char *block = xcalloc(1, LARGE);
	bool is_chunked = strstr(upstream->text, "chunked") != NULL;

	(void)nth;
	for (size_t i = 0; i < LARGE; i++)
		block[i] = (char)(i * 7 >> 4);
	while (scripted_read_request(upstream, fd)) {
		char head[100];

		snprintf(head, sizeof(head), "HTTP/1.1 200 OK\r\n%s%x\r\n",
			upstream->text, LARGE);
		scripted_send(fd, is_chunked ? head : LARGE_HEAD);
		scripted_send_bytes(fd, block, LARGE);
		if (is_chunked)
			scripted_send(fd, "\r\n0\r\n\r\n");
	}
	free(block);
	return false;
}

static void pause_and_resume(struct transfer *transfer, const char *data, size_t size,
	void *arg)
{
	struct meddler *meddler = arg;

	for (size_t i = 0; i < size; i++)
		if (data[i] != (char)((meddler->size + i) * 7 >> 4))
			fail_msg("byte %zu is wrong", meddler->size + i);
	meddler->size += size;
	transfer_pause(transfer);
	if (meddler->size % 3 == 0)
		transfer_resume(transfer);
}

static void note_end(struct transfer *transfer, enum transfer_result result, void *arg)
{
	struct meddler *meddler = arg;

	assert_int_equal(result, TRANSFER_OK);
	transfer_close(transfer);
	meddler->transfer = NULL;
	meddler->done++;
}

static const struct transfer_handler pausing_handler = {
	.on_data = pause_and_resume,
	.on_end = note_end,
};

static bool script_large_gzip(struct scripted *upstream, int fd, int nth)
{
	unsigned char *block = xcalloc(1, LARGE), *zipped = xcalloc(1, 2 * LARGE);
	z_stream stream = { .next_in = block,
		.avail_in = LARGE,
		.next_out = zipped,
		.avail_out = 2 * LARGE };

	(void)nth;
	for (size_t i = 0; i < LARGE; i++)
		block[i] = (unsigned char)(i * 7 >> 4);
	deflateInit2(&stream, 1, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY);
	deflate(&stream, Z_FINISH);
	if (scripted_read_request(upstream, fd)) {
		scripted_send(fd,
			"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n"
			"Connection: close\r\n\r\n");
		scripted_send_bytes(fd, zipped, stream.total_out);
	}
	deflateEnd(&stream);
	free(zipped);
	free(block);
	return false;
}

/* Nothing is lost, doubled or out of order, whoever resumes. */
static void a_slow_reader_gets_every_byte(void **state)
{
	static const struct {
		script_fn *script;
		const char *framing;
	} cases[] = {
		{ script_large, "" },
		{ script_large, "Transfer-Encoding: chunked\r\n\r\n" },
		{ script_large_gzip, "" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct place place;
		struct meddler meddler = { .done = 0 };

		place_open(&place, cases[i].script, cases[i].framing);
		struct transfer_request request = place_request(&place);
		meddler.transfer = transfer_start(place.world.transfers, &request,
			&pausing_handler, &meddler);
		for (int64_t until = clock_ms() + WORLD_WAIT_MS; !meddler.done;) {
			if (clock_ms() > until)
				fail_msg("stands still after %zu bytes", meddler.size);
			event_base_loop(place.world.base, EVLOOP_NONBLOCK);
			if (meddler.transfer)
				transfer_resume(meddler.transfer);
		}
		assert_int_equal(meddler.size, LARGE);
		place_close(&place);
	}
}

/* What the provider still sends is read and dropped, and the connection serves again. */
static void a_lingering_transfer_gives_its_connection_back(void **state)
{
	struct place place;
	struct noted noted;

	(void)state;
	place_open(&place, script_large, "");
	struct transfer_request request = place_request(&place);
	for (int i = 0; i < 3; i++) {
		noted_start(&noted, &place.world, &request);
		world_wait(&place.world, &noted.heads, 1);
		transfer_linger(noted.transfer, 5000);
		noted.transfer = NULL;
		for (int64_t until = clock_ms() + WORLD_WAIT_MS;
			transfers_open_count(place.world.transfers) &&
			clock_ms() < until;)
			event_base_loop(place.world.base, EVLOOP_ONCE);
		noted_clear(&noted);
	}
	assert_int_equal(place.upstream.connections, 1);
	place_close(&place);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_the_answer_says_of_the_connection_counts),
		cmocka_unit_test(bytes_on_a_kept_connection_close_it),
		cmocka_unit_test(a_request_is_sent_once_more_only),
		cmocka_unit_test(what_was_answered_in_part_is_not_sent_again),
		cmocka_unit_test(an_early_answer_is_taken),
		cmocka_unit_test(a_request_gives_way),
		cmocka_unit_test(both_carriers_send_the_same),
		cmocka_unit_test(an_answer_may_come_byte_by_byte),
		cmocka_unit_test(a_head_without_an_answer_has_no_body),
		cmocka_unit_test(what_has_no_end_is_cut),
		cmocka_unit_test(a_callback_may_close_transfers),
		cmocka_unit_test(an_end_may_start_the_next),
		cmocka_unit_test(a_slow_reader_gets_every_byte),
		cmocka_unit_test(a_lingering_transfer_gives_its_connection_back),
	};

	signal(SIGPIPE, SIG_IGN);
	world_choose(NULL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
