/* Transfers against a provider that misbehaves in every way that is known. */
#include "transfer_world.h"

#include <dirent.h>
#include <dlfcn.h>
#include <netdb.h>
#include <zlib.h>

#include "base/mem.h"
#include "scripted_upstream.h"
#include "upstream/outline.h"
#include "upstream/address.h"

#define OK_HEAD "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\n"

/* A resolver that never answers for one name, until the test is over. */
static pthread_mutex_t mute_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t mute_wake = PTHREAD_COND_INITIALIZER;
static bool is_mute = true;
static int mute_waiting, mute_left;

int getaddrinfo(const char *restrict name, const char *restrict service,
	const struct addrinfo *restrict hints, struct addrinfo **restrict result)
{
	int (*real)(const char *, const char *, const struct addrinfo *,
		struct addrinfo **);

	if (name && strcmp(name, "mute.test") == 0) {
		pthread_mutex_lock(&mute_lock);
		__atomic_add_fetch(&mute_waiting, 1, __ATOMIC_RELEASE);
		while (is_mute)
			pthread_cond_wait(&mute_wake, &mute_lock);
		mute_left++;
		pthread_cond_broadcast(&mute_wake);
		pthread_mutex_unlock(&mute_lock);
		return EAI_NONAME;
	}
	*(void **)&real = dlsym(RTLD_NEXT, "getaddrinfo");
	return real(name, service, hints, result);
}

static struct transfer_request request_to(const struct scripted *upstream)
{
	return (struct transfer_request) {
		.method = "GET",
		.url = upstream->url,
		.is_private_allowed = true,
	};
}

static int count_files(void)
{
	DIR *folder = opendir("/proc/self/fd");
	int count = 0;

	while (readdir(folder))
		count++;
	closedir(folder);
	return count;
}

/* One GET against one script: what became of it. */
static enum transfer_result run(script_fn *script, const char *text, struct noted *noted)
{
	struct scripted upstream;
	struct transfer_request request;
	struct world world;
	enum transfer_result result;
	struct noted local;
	struct noted *at = noted ? noted : &local;

	scripted_start(&upstream, script, text);
	world_open(&world);
	request = request_to(&upstream);
	noted_start(at, &world, &request);
	world_wait(&world, &at->ends, 1);
	assert_int_equal(at->ends, 1);
	result = at->result;
	assert_true((result == TRANSFER_OK) == (*transfer_error(at->transfer) == '\0'));
	transfer_close(at->transfer);
	at->transfer = NULL;
	if (!noted)
		buf_clear(&local.body);
	world_close(&world);
	scripted_stop(&upstream);
	return result;
}

static void an_answer_arrives(void **state)
{
	const char *headers[] = { "X-One: 1", "Empty:", "Content-Length: 99",
		"authorization: k" };
	struct scripted upstream;
	struct world world;
	struct noted noted;
	const char *name, *value;

	(void)state;
	scripted_start(&upstream, script_answer,
		"HTTP/1.1 201 Created\r\nX-A:  b \r\nx-a: c\r\nContent-Length: 5\r\n\r\nhello");
	strcat(upstream.url, "?key=a%20b#fragment");
	world_open(&world);
	struct transfer_request request = request_to(&upstream);
	request.headers = headers;
	request.header_count = COUNT_OF(headers);
	noted_start(&noted, &world, &request);
	assert_int_equal(transfers_open_count(world.transfers), 1);
	assert_int_equal(transfer_status(noted.transfer), 0);
	world_wait(&world, &noted.ends, 1);
	assert_int_equal(noted.result, TRANSFER_OK);
	assert_int_equal(transfer_status(noted.transfer), 201);
	assert_string_equal(transfer_header(noted.transfer, "X-a"), "b");
	assert_null(transfer_header(noted.transfer, "absent"));
	assert_int_equal(transfer_header_count(noted.transfer), 3);
	transfer_header_at(noted.transfer, 1, &name, &value);
	assert_string_equal(name, "x-a");
	assert_string_equal(value, "c");
	assert_int_equal(transfer_length(noted.transfer), 5);
	assert_string_equal(transfer_peer(noted.transfer), "127.0.0.1");
	assert_string_equal(transfer_error(noted.transfer), "");
	assert_body(&noted, "hello");
	noted_clear(&noted);
	world_close(&world);
	scripted_stop(&upstream);
	assert_non_null(strstr(upstream.request, "GET /v1/x?key=a%20b HTTP/1.1\r\n"));
	assert_non_null(strstr(upstream.request, "\r\nX-One: 1\r\n"));
	assert_non_null(strstr(upstream.request, "\r\nEmpty:\r\n"));
	assert_non_null(strstr(upstream.request, "\r\nauthorization: k\r\n"));
	assert_non_null(strstr(upstream.request, "\r\nAccept-Encoding: identity\r\n"));
	assert_null(strstr(upstream.request, "Content-Length"));
	assert_null(strstr(upstream.request, "Expect"));
	assert_null(strstr(upstream.request, "Accept:"));
	assert_null(strstr(upstream.request, "User-Agent"));
}

static void methods_are_sent(void **state)
{
	static const struct {
		const char *method, *body, *line, *length;
	} cases[] = {
		{ "POST", NULL, "POST /v1/x HTTP/1.1\r\n", "Content-Length: 0\r\n" },
		{ "POST", "abc", "POST /v1/x HTTP/1.1\r\n", "Content-Length: 3\r\n" },
		{ "PUT", "abc", "PUT /v1/x HTTP/1.1\r\n", "Content-Length: 3\r\n" },
		{ "DELETE", NULL, "DELETE /v1/x HTTP/1.1\r\n", NULL },
		{ "DELETE", "abc", "DELETE /v1/x HTTP/1.1\r\n", "Content-Length: 3\r\n" },
		{ "GET", NULL, "GET /v1/x HTTP/1.1\r\n", NULL },
	};
	struct scripted upstream;
	struct world world;
	struct noted noted;

	(void)state;
	scripted_start(&upstream, script_answer, OK_HEAD "hello");
	world_open(&world);
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct transfer_request request = request_to(&upstream);
		struct piece piece = { .data = cases[i].body };

		request.method = cases[i].method;
		if (cases[i].body) {
			piece.size = strlen(cases[i].body);
			request.pieces = &piece;
			request.piece_count = 1;
		}
		noted_start(&noted, &world, &request);
		world_wait(&world, &noted.ends, 1);
		assert_int_equal(noted.result, TRANSFER_OK);
		noted_clear(&noted);
		assert_ptr_equal(strstr(upstream.request, cases[i].line),
			upstream.request);
		if (cases[i].length)
			assert_non_null(strstr(upstream.request, cases[i].length));
		else
			assert_null(strstr(upstream.request, "Content-Length"));
		assert_null(strstr(upstream.request, "Content-Type"));
		assert_int_equal(upstream.body_size, piece.size);
	}
	assert_int_equal(upstream.connections, 1);
	world_close(&world);
	scripted_stop(&upstream);
}

/* Files and memory stay what they are over many requests on one connection. */
static void connections_are_used_again(void **state)
{
	struct scripted upstream;
	struct world world;
	struct noted noted;
	int files = 0;

	(void)state;
	scripted_start(&upstream, script_answer, OK_HEAD "hello");
	world_open(&world);
	for (int i = 0; i < 3000; i++) {
		struct transfer_request request = request_to(&upstream);

		noted_start(&noted, &world, &request);
		world_wait(&world, &noted.ends, 1);
		assert_int_equal(noted.result, TRANSFER_OK);
		noted_clear(&noted);
		if (i == 10)
			files = count_files();
	}
	assert_int_equal(count_files(), files);
	assert_int_equal(upstream.connections, 1);
	assert_int_equal(upstream.requests, 3000);
	world_close(&world);
	scripted_stop(&upstream);
}

static bool script_close_idle(struct scripted *upstream, int fd, int nth)
{
	return script_answer_and_close(upstream, fd, nth);
}

/* A connection that the provider closed while it was idle costs nothing but a new one. */
static size_t count_of(const char *text, const char *part)
{
	size_t count = 0;

	for (; (text = strstr(text, part)); text++)
		count++;
	return count;
}

/* The first request finds what the second one uses again. */
static void an_outline_serves_one_request_after_another(void **state)
{
	static const char *const common[] = { "X-Common: 1", "expect: nothing" };
	static const char *const own[] = { "X-Own: a", "X-Own: b", "accept-encoding: x" };
	struct scripted upstream;
	struct world world;
	struct outline outline;

	(void)state;
	scripted_start(&upstream, script_answer, OK_HEAD "hello");
	world_open(&world);
	struct transfer_request request = request_to(&upstream);
	request.headers = common;
	request.header_count = COUNT_OF(common);
	outline_init(&outline, &request);
	request.outline = &outline;
	for (size_t i = 0; i < COUNT_OF(own); i++) {
		struct noted noted;

		request.own_headers = own + i;
		request.own_header_count = 1;
		noted_start(&noted, &world, &request);
		world_wait(&world, &noted.ends, 1);
		assert_int_equal(noted.result, TRANSFER_OK);
		assert_body(&noted, "hello");
		noted_clear(&noted);
		assert_int_equal(upstream.requests, i + 1);
		assert_non_null(strstr(upstream.request, own[i]));
		assert_int_equal(count_of(upstream.request, "X-Common: 1\r\n"), 1);
		assert_int_equal(count_of(upstream.request, "X-Own:"), i < 2);
		assert_int_equal(count_of(upstream.request, "Host: "), 1);
		assert_int_equal(count_of(upstream.request,
					 "Accept-Encoding: identity\r\n"),
			i < 2);
		assert_null(strstr(upstream.request, "expect"));
	}
	request.own_headers = (const char *const[]) { "no colon" };
	struct noted bad;
	noted_start(&bad, &world, &request);
	world_wait(&world, &bad.ends, 1);
	assert_int_equal(bad.result, TRANSFER_PROTOCOL);
	noted_clear(&bad);
	outline_clear(&outline);
	world_close(&world);
	scripted_stop(&upstream);
}

static void a_dead_idle_connection_is_replaced(void **state)
{
	struct scripted upstream;
	struct world world;
	struct noted noted;

	(void)state;
	scripted_start(&upstream, script_close_idle, OK_HEAD "hello");
	world_open(&world);
	for (int i = 0; i < 50; i++) {
		struct transfer_request request = request_to(&upstream);
		struct piece pieces[] = { { .data = "a", .size = 1 },
			{ .data = "bc", .size = 2 } };

		request.method = "POST";
		request.pieces = pieces;
		request.piece_count = 2;
		noted_start(&noted, &world, &request);
		world_wait(&world, &noted.ends, 1);
		assert_int_equal(noted.result, TRANSFER_OK);
		assert_body(&noted, "hello");
		noted_clear(&noted);
	}
	world_close(&world);
	scripted_stop(&upstream);
}

/* Answers once, and closes instead of answering again. */
static bool script_close_second(struct scripted *upstream, int fd, int nth)
{
	(void)nth;
	if (!scripted_read_request(upstream, fd))
		return false;
	scripted_send(fd, upstream->text);
	scripted_read_request(upstream, fd);
	return false;
}

/* A provider closes while the next request is already on its way: it is sent once more on a
 * new connection. However often that happened before, to the same handle too. */
static void a_connection_that_dies_with_a_request_is_replaced(void **state)
{
	struct scripted upstream;
	struct world world;
	struct noted noted;

	(void)state;
	scripted_start(&upstream, script_close_second, OK_HEAD "hello");
	world_open(&world);
	for (int i = 0; i < 50; i++) {
		struct transfer_request request = request_to(&upstream);
		struct piece piece = { .data = "abc", .size = 3 };

		request.method = "POST";
		request.pieces = &piece;
		request.piece_count = 1;
		noted_start(&noted, &world, &request);
		world_wait(&world, &noted.ends, 1);
		assert_int_equal(noted.result, TRANSFER_OK);
		assert_body(&noted, "hello");
		noted_clear(&noted);
	}
	assert_int_equal(upstream.connections, 50);
	world_close(&world);
	scripted_stop(&upstream);
}

static void failures_have_their_names(void **state)
{
	static const struct {
		script_fn *script;
		const char *answer;
		enum transfer_result result;
	} cases[] = {
		{ script_answer_and_close, "", TRANSFER_RESET },
		{ script_answer_and_reset, "HTTP/1.1 200 OK\r\nX-A", TRANSFER_RESET },
		{ script_answer_and_reset, OK_HEAD "he", TRANSFER_RESET },
		{ script_answer_and_close, OK_HEAD "he", TRANSFER_RESET },
		{ script_answer_and_close,
			"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
			TRANSFER_RESET },
		{ script_answer_and_close,
			"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\nhello\r\n",
			TRANSFER_RESET },
		{ script_answer_and_close,
			"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n"
			"Content-Length: 5\r\n\r\n0\r\n\r\n",
			TRANSFER_PROTOCOL },
		{ script_answer_and_close,
			"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n"
			"Content-Length: 6\r\n\r\nhello",
			TRANSFER_PROTOCOL },
		{ script_answer_and_close,
			"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n",
			TRANSFER_PROTOCOL },
		{ script_answer_and_close,
			"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
			TRANSFER_PROTOCOL },
		{ script_answer_and_close,
			"HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\n\r\n",
			TRANSFER_PROTOCOL },
		{ script_answer_and_close, "HTTP/1.1 101 Switching\r\nUpgrade: x\r\n\r\n",
			TRANSFER_PROTOCOL },
		{ script_answer_and_close,
			"SSH-2.0-OpenSSH_9.2 this is no HTTP at all\r\n",
			TRANSFER_PROTOCOL },
		{ script_answer_and_close, "HTTP/1.1 200 OK\r\nno colon here\r\n\r\n",
			TRANSFER_PROTOCOL },
		{ script_answer_and_close,
			"HTTP/1.1 200 OK\r\nContent-Encoding: unheard\r\n"
			"Content-Length: 5\r\n\r\nhello",
			TRANSFER_PROTOCOL },
		{ script_answer_and_close, "HTTP/1.1 200 OK\r\n\r\nuntil the end",
			TRANSFER_OK },
		{ script_answer_and_close, "HTTP/1.1 204 No Content\r\n\r\n",
			TRANSFER_OK },
		{ script_answer_and_close, "HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n",
			TRANSFER_OK },
		{ script_answer_and_close,
			"HTTP/1.1 100 Continue\r\n\r\n"
			"HTTP/1.1 103 Early\r\nLink: x\r\n\r\n" OK_HEAD "hello",
			TRANSFER_OK },
		{ script_answer_and_close, OK_HEAD "hello and too much", TRANSFER_OK },
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		enum transfer_result result = run(cases[i].script, cases[i].answer, NULL);

		if (result != cases[i].result)
			fail_msg("%s: %s", cases[i].answer, transfer_result_name(result));
	}
}

static bool script_many_fields(struct scripted *upstream, int fd, int nth)
{
	(void)nth;
	if (!scripted_read_request(upstream, fd))
		return false;
	scripted_send(fd, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n");
	for (int i = 0; i < *(int *)upstream->arg; i++)
		scripted_send(fd, upstream->text);
	scripted_send(fd, "\r\n");
	return false;
}

static enum transfer_result run_fields(const char *line, int count)
{
	struct scripted upstream;
	struct transfer_request request;
	struct world world;
	struct noted noted;

	scripted_start(&upstream, script_many_fields, line);
	upstream.arg = &count;
	world_open(&world);
	request = request_to(&upstream);
	noted_start(&noted, &world, &request);
	world_wait(&world, &noted.ends, 1);
	noted_clear(&noted);
	world_close(&world);
	scripted_stop(&upstream);
	return noted.result;
}

static void heads_have_limits(void **state)
{
	char line[1024];

	(void)state;
	assert_int_equal(run_fields("A: b\r\n", 255), TRANSFER_OK);
	assert_int_equal(run_fields("A: b\r\n", 256), TRANSFER_PROTOCOL);
	memset(line, 'x', sizeof(line));
	memcpy(line, "A: ", 3);
	memcpy(line + sizeof(line) - 3, "\r\n", 3);
	assert_int_equal(run_fields(line, 60), TRANSFER_OK);
	assert_int_equal(run_fields(line, 65), TRANSFER_PROTOCOL);
}

static bool script_informal(struct scripted *upstream, int fd, int nth)
{
	(void)nth;
	if (!scripted_read_request(upstream, fd))
		return false;
	for (int i = 0; i < 1000; i++)
		scripted_send(fd, "HTTP/1.1 100 Continue\r\n\r\n");
	return false;
}

static void informal_answers_have_an_end(void **state)
{
	(void)state;
	assert_int_equal(run(script_informal, "", NULL), TRANSFER_PROTOCOL);
}

static void a_closed_port_is_no_connection(void **state)
{
	struct scripted upstream;
	struct transfer_request request;
	struct world world;
	struct noted noted;

	(void)state;
	scripted_start(&upstream, script_answer, "");
	scripted_stop(&upstream);
	world_open(&world);
	request = request_to(&upstream);
	noted_start(&noted, &world, &request);
	world_wait(&world, &noted.ends, 1);
	assert_int_equal(noted.result, TRANSFER_CONNECT);
	assert_true(*transfer_error(noted.transfer));
	noted_clear(&noted);
	request.url = "http://host.invalid/";
	noted_start(&noted, &world, &request);
	world_wait(&world, &noted.ends, 1);
	assert_int_equal(noted.result, TRANSFER_CONNECT);
	noted_clear(&noted);
	request.url = "ftp://127.0.0.1/";
	noted_start(&noted, &world, &request);
	world_wait(&world, &noted.ends, 1);
	assert_int_equal(noted.result, TRANSFER_PROTOCOL);
	noted_clear(&noted);
	request.url = "http://user:geheim@[::zz]/?key=geheim";
	noted_start(&noted, &world, &request);
	world_wait(&world, &noted.ends, 1);
	assert_null(strstr(transfer_error(noted.transfer), "geheim"));
	noted_clear(&noted);
	world_close(&world);
}

static void timers_end_a_transfer(void **state)
{
	static const struct {
		struct transfer_timeouts timeouts;
		int deadline;
		const char *answer, *text;
	} cases[] = {
		{ { .first_byte = 50 }, 0, "", "no answer" },
		{ { .first_byte = 50 }, 0, "HTTP/1.1 100 Continue\r\n\r\n", "no answer" },
		{ { .idle = 50 }, 0, OK_HEAD "he", "nothing came" },
		{ { .idle = 5000, .first_byte = 6000, .total = 50 }, 0, OK_HEAD "he",
			"not finished" },
		{ { .total = 5000 }, 50, OK_HEAD "he", "deadline" },
		/* Of later deadlines the pool is told by its own timer. */
		{ { .total = 1300 }, 0, OK_HEAD "he", "not finished" },
	};
	struct scripted upstream;
	struct world world;
	struct noted noted;

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		int64_t start = clock_ms();

		scripted_start(&upstream, script_answer_and_wait, cases[i].answer);
		world_open(&world);
		struct transfer_request request = request_to(&upstream);
		request.timeouts = cases[i].timeouts;
		noted_start(&noted, &world, &request);
		if (cases[i].deadline)
			transfer_set_deadline(noted.transfer, cases[i].deadline);
		world_wait(&world, &noted.ends, 1);
		assert_int_equal(noted.result, TRANSFER_TIMEOUT);
		assert_non_null(strstr(transfer_error(noted.transfer), cases[i].text));
		assert_in_range(clock_ms() - start, 40, WORLD_WAIT_MS);
		noted_clear(&noted);
		world_close(&world);
		scripted_stop(&upstream);
	}
}

/* Neither the request nor its close waits for the resolver's thread. */
static void a_mute_resolver_holds_up_nobody(void **state)
{
	struct scripted upstream;
	struct world world;
	struct noted mute, timed, noted;
	int64_t start;

	(void)state;
	scripted_start(&upstream, script_answer, OK_HEAD "hello");
	world_open(&world);
	struct transfer_request request = request_to(&upstream);
	request.url = "http://mute.test/";
	noted_start(&mute, &world, &request);
	request.timeouts.connect = 50;
	noted_start(&timed, &world, &request);
	world_wait(&world, &timed.ends, 1);
	assert_int_equal(timed.result, TRANSFER_CONNECT);
	assert_non_null(strstr(transfer_error(timed.transfer), "no connection"));
	world_wait(&world, &mute_waiting, 1);
	request = request_to(&upstream);
	noted_start(&noted, &world, &request);
	world_wait(&world, &noted.ends, 1);
	assert_int_equal(noted.result, TRANSFER_OK);
	start = clock_ms();
	noted_clear(&mute);
	noted_clear(&timed);
	noted_clear(&noted);
	world_close(&world);
	assert_in_range(clock_ms() - start, 0, 5000);
	assert_int_equal(mute.ends, 0);
	scripted_stop(&upstream);
	pthread_mutex_lock(&mute_lock);
	is_mute = false;
	pthread_cond_broadcast(&mute_wake);
	while (mute_left < mute_waiting)
		pthread_cond_wait(&mute_wake, &mute_lock);
	is_mute = true;
	mute_waiting = mute_left = 0;
	pthread_mutex_unlock(&mute_lock);
}

struct zipped {
	unsigned char *data;
	size_t size;
};

static struct zipped zip(const char *data, size_t size)
{
	struct zipped zipped = { .size = size / 2 + 4096 };
	z_stream stream = { 0 };

	zipped.data = xmalloc(zipped.size);
	assert_int_equal(deflateInit2(&stream, 9, Z_DEFLATED, 31, 9, Z_DEFAULT_STRATEGY),
		Z_OK);
	stream.next_in = (unsigned char *)data;
	stream.avail_in = (unsigned)size;
	stream.next_out = zipped.data;
	stream.avail_out = (unsigned)zipped.size;
	assert_int_equal(deflate(&stream, Z_FINISH), Z_STREAM_END);
	zipped.size = stream.total_out;
	deflateEnd(&stream);
	return zipped;
}

static bool script_zipped(struct scripted *upstream, int fd, int nth)
{
	struct zipped *zipped = upstream->arg;
	char head[200];

	(void)nth;
	if (!scripted_read_request(upstream, fd))
		return false;
	snprintf(head, sizeof(head),
		"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n"
		"Content-Length: %zu\r\n\r\n",
		zipped->size);
	scripted_send(fd, head);
	scripted_send_bytes(fd, zipped->data, zipped->size);
	return false;
}

static enum transfer_result run_zipped(const char *data, size_t size,
	uint64_t decoded_max)
{
	struct zipped zipped = zip(data, size);
	struct scripted upstream;
	struct world world;
	struct noted noted;

	scripted_start(&upstream, script_zipped, NULL);
	upstream.arg = &zipped;
	world_open(&world);
	struct transfer_request request = request_to(&upstream);
	request.decoded_max = decoded_max;
	noted_start(&noted, &world, &request);
	world_wait(&world, &noted.ends, 1);
	assert_int_equal(transfer_length(noted.transfer), -1);
	if (noted.result == TRANSFER_OK) {
		assert_int_equal(buf_size(&noted.body), size);
		assert_memory_equal(buf_data(&noted.body), data, size);
	} else {
		assert_in_range(buf_size(&noted.body), 0, 4 * 1024 * 1024);
	}
	noted_clear(&noted);
	world_close(&world);
	scripted_stop(&upstream);
	free(zipped.data);
	return noted.result;
}

static void encoded_answers_are_decoded_under_a_cap(void **state)
{
	size_t size = 10 * 1024 * 1024;
	char *zeros = xcalloc(1, size);
	unsigned seed = 1;

	(void)state;
	assert_int_equal(run_zipped("hello", 5, 0), TRANSFER_OK);
	assert_int_equal(run_zipped(zeros, size, 0), TRANSFER_PROTOCOL);
	for (size_t i = 0; i < 1000000; i++)
		zeros[i] = "abcdefgh"[(seed = seed * 1103515245 + 12345) >> 29];
	assert_int_equal(run_zipped(zeros, 1000000, 0), TRANSFER_OK);
	assert_int_equal(run_zipped(zeros, 1000000, 999999), TRANSFER_PROTOCOL);
	free(zeros);
}

static void addresses_are_judged(void **state)
{
	static const struct {
		const char *text;
		enum address_kind kind;
	} cases[] = {
		{ "8.8.8.8", ADDRESS_PUBLIC },
		{ "127.0.0.1", ADDRESS_PRIVATE },
		{ "10.1.2.3", ADDRESS_PRIVATE },
		{ "172.16.0.1", ADDRESS_PRIVATE },
		{ "172.32.0.1", ADDRESS_PUBLIC },
		{ "192.168.1.1", ADDRESS_PRIVATE },
		{ "100.64.0.1", ADDRESS_PRIVATE },
		{ "100.100.100.200", ADDRESS_FORBIDDEN },
		{ "169.254.169.254", ADDRESS_FORBIDDEN },
		{ "0.0.0.0", ADDRESS_FORBIDDEN },
		{ "224.0.0.1", ADDRESS_FORBIDDEN },
		{ "255.255.255.255", ADDRESS_FORBIDDEN },
		{ "::", ADDRESS_FORBIDDEN },
		{ "::1", ADDRESS_PRIVATE },
		{ "fe80::1", ADDRESS_FORBIDDEN },
		{ "fd00:ec2::254", ADDRESS_FORBIDDEN },
		{ "fd12::1", ADDRESS_PRIVATE },
		{ "ff02::1", ADDRESS_FORBIDDEN },
		{ "::ffff:169.254.169.254", ADDRESS_FORBIDDEN },
		{ "::ffff:127.0.0.1", ADDRESS_PRIVATE },
		{ "::ffff:8.8.8.8", ADDRESS_PUBLIC },
		{ "64:ff9b::a9fe:a9fe", ADDRESS_FORBIDDEN },
		{ "2002:7f00:1::", ADDRESS_PRIVATE },
		{ "2606:4700::1111", ADDRESS_PUBLIC },
		{ "no address", ADDRESS_FORBIDDEN },
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++)
		if (address_kind_of_text(cases[i].text) != cases[i].kind)
			fail_msg("%s", cases[i].text);
	assert_true(address_is_allowed(ADDRESS_PUBLIC, false));
	assert_false(address_is_allowed(ADDRESS_PRIVATE, false));
	assert_false(address_is_allowed(ADDRESS_FORBIDDEN, true));
}

static void forbidden_addresses_are_refused(void **state)
{
	static const char *const urls[] = {
		"http://169.254.169.254/",
		"http://[fe80::1]/",
		"http://0.0.0.0/",
		"http://[::ffff:169.254.169.254]/",
		"http://2852039166/",
	};
	struct scripted upstream;
	struct world world;
	struct noted noted;

	(void)state;
	scripted_start(&upstream, script_answer, OK_HEAD "hello");
	world_open(&world);
	struct transfer_request request = request_to(&upstream);
	for (size_t i = 0; i < COUNT_OF(urls); i++) {
		request.url = urls[i];
		noted_start(&noted, &world, &request);
		world_wait(&world, &noted.ends, 1);
		assert_int_equal(noted.result, TRANSFER_CONNECT);
		assert_non_null(
			strstr(transfer_error(noted.transfer), "may not be connected"));
		noted_clear(&noted);
	}
	/* A connection that another request was allowed to open is no way in. */
	request = request_to(&upstream);
	noted_start(&noted, &world, &request);
	world_wait(&world, &noted.ends, 1);
	assert_int_equal(noted.result, TRANSFER_OK);
	noted_clear(&noted);
	request.is_private_allowed = false;
	noted_start(&noted, &world, &request);
	world_wait(&world, &noted.ends, 1);
	assert_int_equal(noted.result, TRANSFER_CONNECT);
	assert_non_null(strstr(transfer_error(noted.transfer), "may not be connected"));
	noted_clear(&noted);
	assert_int_equal(upstream.requests, 1);
	world_close(&world);
	scripted_stop(&upstream);
}

static bool script_socks(struct scripted *upstream, int fd, int nth)
{
	unsigned char room[300];

	(void)nth;
	if (recv(fd, room, 2, MSG_WAITALL) != 2 ||
		recv(fd, room, room[1], MSG_WAITALL) < 1)
		return false;
	scripted_send_bytes(fd, "\x05\x00", 2);
	if (recv(fd, room, 5, MSG_WAITALL) != 5 || room[3] != 3)
		return false;
	if (recv(fd, room + 5, (size_t)room[4] + 2, MSG_WAITALL) < 3)
		return false;
	scripted_send_bytes(fd, "\x05\x00\x00\x01\x7f\x00\x00\x01\x00\x50", 10);
	return script_answer(upstream, fd, nth);
}

static void check_proxy(script_fn *script, const char *proxy, const char *line)
{
	struct scripted upstream;
	struct world world;
	struct noted noted;
	char address[100];

	scripted_start(&upstream, script, OK_HEAD "hello");
	world_open(&world);
	snprintf(address, sizeof(address), "%s%d", proxy, upstream.port);
	for (int i = 0; i < 2; i++) {
		struct transfer_request request = {
			.method = "GET",
			.url = "http://provider.test/path",
			.proxy = address,
		};

		noted_start(&noted, &world, &request);
		world_wait(&world, &noted.ends, 1);
		if (noted.result != TRANSFER_OK)
			fail_msg("%s", transfer_error(noted.transfer));
		assert_body(&noted, "hello");
		noted_clear(&noted);
	}
	assert_int_equal(upstream.connections, 1);
	world_close(&world);
	scripted_stop(&upstream);
	assert_ptr_equal(strstr(upstream.request, line), upstream.request);
}

static void proxies_are_used(void **state)
{
	struct world world;
	struct noted noted;
	struct transfer_request request = {
		.method = "GET",
		.url = "http://provider.test/path",
		.proxy = "gopher://user:geheim@127.0.0.1:1",
	};

	(void)state;
	setenv("http_proxy", "http://127.0.0.1:1", 1); /* not asked */
	check_proxy(script_answer, "http://user:geheim@127.0.0.1:",
		"GET http://provider.test/path HTTP/1.1\r\n");
	check_proxy(script_socks, "socks5h://127.0.0.1:", "GET /path HTTP/1.1\r\n");
	assert_int_equal(run(script_answer, OK_HEAD "hello", NULL), TRANSFER_OK);
	unsetenv("http_proxy");
	world_open(&world);
	noted_start(&noted, &world, &request);
	world_wait(&world, &noted.ends, 1);
	assert_int_equal(noted.result, TRANSFER_CONNECT);
	assert_null(strstr(transfer_error(noted.transfer), "geheim"));
	noted_clear(&noted);
	request.proxy = "http://user:geheim@169.254.1.1:1";
	noted_start(&noted, &world, &request);
	world_wait(&world, &noted.ends, 1);
	assert_int_equal(noted.result, TRANSFER_CONNECT);
	assert_null(strstr(transfer_error(noted.transfer), "geheim"));
	noted_clear(&noted);
	world_close(&world);
}

struct pattern {
	struct source source;
	int64_t fail_at;
};

static ssize_t read_pattern(struct source *source, uint64_t offset, void *room,
	size_t size)
{
	struct pattern *pattern = CONTAINER_OF(source, struct pattern, source);

	if (pattern->fail_at >= 0 && offset >= (uint64_t)pattern->fail_at)
		return -EIO;
	if (size > 5000)
		size = 5000;
	for (size_t i = 0; i < size; i++)
		((unsigned char *)room)[i] = (unsigned char)((offset + i) * 7 >> 3);
	return (ssize_t)size;
}

static const struct source_ops pattern_ops = { .read = read_pattern };

static void upload(size_t size, int64_t fail_at, enum transfer_result wanted)
{
	struct pattern pattern = { .source.ops = &pattern_ops, .fail_at = fail_at };
	struct piece pieces[] = {
		{ .data = "{\"x\":", .size = 5 },
		{ .source = &pattern.source, .offset = 3, .size = size },
		{ .data = "", .size = 0 },
		{ .data = "}", .size = 1 },
	};
	struct scripted upstream;
	struct world world;
	struct noted noted;
	unsigned sum = 0;
	const char *at;

	for (at = "{\"x\":"; *at; at++)
		sum = sum * 31 + (unsigned char)*at;
	for (uint64_t i = 0; i < size; i++)
		sum = sum * 31 + (unsigned char)((i + 3) * 7 >> 3);
	sum = sum * 31 + '}';
	scripted_start(&upstream, script_answer, OK_HEAD "hello");
	world_open(&world);
	struct transfer_request request = request_to(&upstream);
	request.method = "POST";
	request.pieces = pieces;
	request.piece_count = COUNT_OF(pieces);
	for (int i = 0; i < 2; i++) {
		noted_start(&noted, &world, &request);
		world_wait(&world, &noted.ends, 1);
		assert_int_equal(noted.result, wanted);
		noted_clear(&noted);
	}
	world_close(&world);
	scripted_stop(&upstream);
	if (wanted != TRANSFER_OK)
		return;
	assert_int_equal(upstream.body_size, size + 6);
	assert_int_equal(upstream.body_sum, sum);
}

static void bodies_are_sent_from_pieces(void **state)
{
	(void)state;
	upload(1000, -1, TRANSFER_OK);
	upload(100 * 1000, -1, TRANSFER_OK);
	upload(5 * 1000 * 1000, -1, TRANSFER_OK);
	upload(1000, 3, TRANSFER_PROTOCOL);
	upload(5 * 1000 * 1000, 1000 * 1000, TRANSFER_PROTOCOL);
}

static bool script_large(struct scripted *upstream, int fd, int nth)
{
	char block[1000];

	(void)nth;
	memset(block, 'x', sizeof(block));
	if (!scripted_read_request(upstream, fd))
		return false;
	scripted_send(fd, "HTTP/1.1 200 OK\r\nContent-Length: 8000000\r\n\r\n");
	for (int i = 0; i < 8000; i++)
		scripted_send_bytes(fd, block, sizeof(block));
	return false;
}

struct pausing {
	struct noted noted;
	size_t size;
	int pauses;
	int is_paused;
};

static void pause_at_data(struct transfer *transfer, const char *data, size_t size,
	void *arg)
{
	struct pausing *pausing = arg;

	(void)data;
	assert_false(pausing->is_paused);
	pausing->size += size;
	if (pausing->pauses < 20) {
		transfer_pause(transfer);
		pausing->pauses++;
		pausing->is_paused = true;
	}
}

static void count_end(struct transfer *transfer, enum transfer_result result, void *arg)
{
	struct pausing *pausing = arg;

	(void)transfer;
	assert_int_equal(result, TRANSFER_OK);
	assert_false(pausing->is_paused);
	pausing->noted.ends++;
}

static void a_transfer_can_be_paused(void **state)
{
	static const struct transfer_handler handler = {
		.on_data = pause_at_data,
		.on_end = count_end,
	};
	enum { IDLE_MS = 1000 }; /* than which the provider is faster, on any machine */
	struct pausing pausing = { .size = 0 };
	struct scripted upstream;
	struct world world;
	struct transfer *transfer;

	(void)state;
	scripted_start(&upstream, script_large, NULL);
	world_open(&world);
	struct transfer_request request = request_to(&upstream);
	request.timeouts.idle = IDLE_MS;
	transfer = transfer_start(world.transfers, &request, &handler, &pausing);
	for (int i = 1; i <= 20; i++) {
		int turns = 0, pause_ms = i == 3 ? IDLE_MS * 6 / 5 : 0;

		world_wait(&world, &pausing.pauses, i);
		/* Longer than the idle timer once, which does not count
		 * while it is paused. */
		for (int64_t until = clock_ms() + pause_ms; clock_ms() < until;)
			event_base_loop(world.base, EVLOOP_NONBLOCK);
		for (turns = 0; turns < 3; turns++)
			event_base_loop(world.base, EVLOOP_NONBLOCK);
		pausing.is_paused = false;
		size_t before = pausing.size;
		transfer_resume(transfer);
		assert_int_equal(pausing.size, before); /* never from within resume */
	}
	world_wait(&world, &pausing.noted.ends, 1);
	assert_int_equal(pausing.size, 8000000);
	transfer_close(transfer);
	world_close(&world);
	scripted_stop(&upstream);
}

static bool script_stream(struct scripted *upstream, int fd, int nth)
{
	(void)nth;
	if (!scripted_read_request(upstream, fd))
		return false;
	scripted_send(fd,
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n");
	return true;
}

/* Streams that stay open, over several shards, while another request goes through. */
static void many_are_open_at_once(void **state)
{
	enum { COUNT = 200 };
	static struct noted noted[COUNT];
	struct scripted upstream, other;
	struct world world;
	struct noted short_one;
	int64_t start;

	(void)state;
	scripted_start(&upstream, script_stream, NULL);
	scripted_start(&other, script_answer, OK_HEAD "hello");
	world_open(&world);
	struct transfer_request request = request_to(&upstream);
	for (int i = 0; i < COUNT; i++)
		noted_start(&noted[i], &world, &request);
	for (int i = 0; i < COUNT; i++)
		world_wait(&world, &noted[i].heads, 1);
	assert_int_equal(transfers_open_count(world.transfers), COUNT);
	request = request_to(&other);
	for (int i = 0; i < 20; i++) {
		noted_start(&short_one, &world, &request);
		world_wait(&world, &short_one.ends, 1);
		assert_int_equal(short_one.result, TRANSFER_OK);
		noted_clear(&short_one);
	}
	assert_int_equal(other.connections, 1);
	start = clock_ms();
	for (int i = 0; i < COUNT; i++)
		noted_clear(&noted[i]);
	assert_in_range(clock_ms() - start, 0, 5000);
	assert_int_equal(noted[0].ends, 0);
	world_close(&world);
	scripted_stop(&upstream);
	scripted_stop(&other);
}

static bool script_see_close(struct scripted *upstream, int fd, int nth)
{
	script_stream(upstream, fd, nth);
	scripted_wait_closed(fd);
	*(_Atomic int *)upstream->arg = 1;
	return false;
}

static void a_close_cuts_the_connection(void **state)
{
	_Atomic int is_closed = 0;
	struct scripted upstream;
	struct world world;
	struct noted noted;

	(void)state;
	scripted_start(&upstream, script_see_close, NULL);
	upstream.arg = &is_closed;
	world_open(&world);
	struct transfer_request request = request_to(&upstream);
	/* Once from outside, once from within the callback. */
	noted_start(&noted, &world, &request);
	world_wait(&world, &noted.heads, 1);
	noted_clear(&noted);
	world_wait(&world, (const int *)&is_closed, 1);
	assert_int_equal(noted.ends, 0);
	is_closed = 0;
	noted_start(&noted, &world, &request);
	noted.closes_at_data = true;
	world_wait(&world, (const int *)&is_closed, 1);
	assert_int_equal(noted.ends, 1);
	noted_clear(&noted);
	/* And before it has begun; and the pool's end closes what nobody did. */
	noted_start(&noted, &world, &request);
	noted_clear(&noted);
	noted_start(&noted, &world, &request);
	world_wait(&world, &noted.heads, 1);
	transfers_free(world.transfers);
	turn_free(world.turn);
	event_base_free(world.base);
	buf_clear(&noted.body);
	scripted_stop(&upstream);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_answer_arrives),
		cmocka_unit_test(an_outline_serves_one_request_after_another),
		cmocka_unit_test(methods_are_sent),
		cmocka_unit_test(connections_are_used_again),
		cmocka_unit_test(a_dead_idle_connection_is_replaced),
		cmocka_unit_test(a_connection_that_dies_with_a_request_is_replaced),
		cmocka_unit_test(failures_have_their_names),
		cmocka_unit_test(heads_have_limits),
		cmocka_unit_test(informal_answers_have_an_end),
		cmocka_unit_test(a_closed_port_is_no_connection),
		cmocka_unit_test(timers_end_a_transfer),
		cmocka_unit_test(a_mute_resolver_holds_up_nobody),
		cmocka_unit_test(encoded_answers_are_decoded_under_a_cap),
		cmocka_unit_test(addresses_are_judged),
		cmocka_unit_test(forbidden_addresses_are_refused),
		cmocka_unit_test(proxies_are_used),
		cmocka_unit_test(bodies_are_sent_from_pieces),
		cmocka_unit_test(a_transfer_can_be_paused),
		cmocka_unit_test(many_are_open_at_once),
		cmocka_unit_test(a_close_cuts_the_connection),
	};

	return world_run_on_each(tests, COUNT_OF(tests));
}
