/* TLS: who is trusted and who is not, against a server with certificates made here. */
#include "transfer_world.h"

#include <signal.h>

#include "scripted_sides.h"
#include "tls_upstream.h"

struct story {
	struct scripted upstream;
	struct world world;
	struct identity identity;
};

static void open_story(struct story *story, const char *names, long from, long until)
{
	make_identity(&story->identity, names, from, until);
	scripted_start(&story->upstream, script_tls, NULL);
	story->upstream.arg = &story->identity;
	snprintf(story->upstream.url, sizeof(story->upstream.url),
		"https://127.0.0.1:%d/", story->upstream.port);
	world_open(&story->world);
}

static void close_story(struct story *story)
{
	world_close(&story->world);
	scripted_stop(&story->upstream);
	free_identity(&story->identity);
}

static enum transfer_result ask(struct story *story, const char *ca_file)
{
	struct transfer_request request = {
		.method = "GET",
		.url = story->upstream.url,
		.is_private_allowed = true,
		.ca_file = ca_file,
	};
	struct noted noted;

	noted_start(&noted, &story->world, &request);
	world_wait(&story->world, &noted.ends, 1);
	assert_true((noted.result == TRANSFER_OK) == !*transfer_error(noted.transfer));
	noted_clear(&noted);
	return noted.result;
}

static void a_trusted_server_answers(void **state)
{
	struct story story;

	(void)state;
	open_story(&story, "IP:127.0.0.1,DNS:localhost", -60, 3600);
	assert_int_equal(ask(&story, story.identity.path), TRANSFER_OK);
	assert_int_equal(ask(&story, story.identity.path), TRANSFER_OK);
	assert_int_equal(story.upstream.connections, 1);
	close_story(&story);
}

/* A stream gives its buffers back while its record is read in parts, and between records. */
static void a_stream_is_read_in_parts(void **state)
{
	struct story story;
	char url[64];

	(void)state;
	open_story(&story, "IP:127.0.0.1", -60, 3600);
	snprintf(url, sizeof(url), "https://127.0.0.1:%d/long", story.upstream.port);
	for (int i = 0; i < 3; i++) {
		struct transfer_request request = {
			.method = "GET",
			.url = url,
			.is_private_allowed = true,
			.is_streamed = true,
			.ca_file = story.identity.path,
		};
		struct noted noted;

		noted_start(&noted, &story.world, &request);
		world_wait(&story.world, &noted.ends, 1);
		assert_int_equal(noted.result, TRANSFER_OK);
		assert_int_equal(buf_size(&noted.body), TLS_LONG);
		assert_string_equal(transfer_header(noted.transfer, "content-length"),
			"8000");
		noted_clear(&noted);
	}
	assert_int_equal(story.upstream.connections, 1);
	close_story(&story);
}

/* Neither a connection nor a session that another trust verified is a way in. */
static void an_unknown_authority_is_refused(void **state)
{
	struct story story;

	(void)state;
	open_story(&story, "IP:127.0.0.1", -60, 3600);
	assert_int_equal(ask(&story, NULL), TRANSFER_TLS);
	assert_int_equal(ask(&story, story.identity.path), TRANSFER_OK);
	transfers_free(story.world.transfers);
	turn_free(story.world.turn);
	event_base_free(story.world.base);
	world_open(&story.world);
	assert_int_equal(ask(&story, story.identity.path), TRANSFER_OK);
	assert_int_equal(story.upstream.requests, 2);
	close_story(&story);
}

static bool script_tls_side_by_side(struct scripted *upstream, int fd, int nth)
{
	(void)nth;
	return sides_serve(upstream, fd, script_tls);
}

static void trusts_do_not_mix(void **state)
{
	struct story story;

	(void)state;
	open_story(&story, "IP:127.0.0.1", -60, 3600);
	story.upstream.script = script_tls_side_by_side;
	assert_int_equal(ask(&story, story.identity.path), TRANSFER_OK);
	assert_int_equal(ask(&story, NULL), TRANSFER_TLS);
	assert_int_equal(ask(&story, story.identity.path), TRANSFER_OK);
	assert_int_equal(story.upstream.requests, 2);
	world_close(&story.world);
	sides_join();
	scripted_stop(&story.upstream);
	free_identity(&story.identity);
}

static void a_wrong_name_is_refused(void **state)
{
	struct story story;

	(void)state;
	open_story(&story, "IP:127.0.0.2,DNS:other.test", -60, 3600);
	assert_int_equal(ask(&story, story.identity.path), TRANSFER_TLS);
	assert_int_equal(story.upstream.requests, 0);
	close_story(&story);
}

static void an_expired_certificate_is_refused(void **state)
{
	struct story story;

	(void)state;
	open_story(&story, "IP:127.0.0.1", -7200, -3600);
	assert_int_equal(ask(&story, story.identity.path), TRANSFER_TLS);
	assert_int_equal(story.upstream.requests, 0);
	close_story(&story);
}

static void a_missing_ca_file_is_refused(void **state)
{
	struct story story;

	(void)state;
	open_story(&story, "IP:127.0.0.1", -60, 3600);
	assert_int_equal(ask(&story, "/nonexistent/ca.pem"), TRANSFER_TLS);
	assert_int_equal(ask(&story, "/dev/null"), TRANSFER_TLS);
	assert_int_equal(story.upstream.connections, 0);
	close_story(&story);
}

static void no_tls_at_all_is_refused(void **state)
{
	struct story story;

	(void)state;
	open_story(&story, "IP:127.0.0.1", -60, 3600);
	story.upstream.script = script_answer_and_close;
	story.upstream.text = "HTTP/1.1 200 OK\r\n\r\n";
	/* The script waits for a blank line in what is no text: the timer ends it. */
	struct transfer_request request = {
		.method = "GET",
		.url = story.upstream.url,
		.is_private_allowed = true,
		.timeouts.connect = 100,
	};
	struct noted noted;
	noted_start(&noted, &story.world, &request);
	world_wait(&story.world, &noted.ends, 1);
	assert_int_equal(noted.result, TRANSFER_CONNECT);
	noted_clear(&noted);
	close_story(&story);
}

/* -- connections that end ----------------------------------------------------------- */

#define CLOSE_HEAD "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"
#define FLOOD_SIZE 1000000

struct ending {
	struct identity identity;
	bool is_announced;
	bool is_flood;
	_Atomic int resumed;
};

/* One request for each connection, and a body that ends with it. */
static bool script_ending(struct scripted *upstream, int fd, int nth)
{
	struct ending *ending = upstream->arg;
	SSL *ssl = SSL_new(ending->identity.context);
	char block[1000], room[4096];
	size_t got = 0;

	(void)nth;
	SSL_set_fd(ssl, fd);
	if (SSL_accept(ssl) == 1 && SSL_read_ex(ssl, room, sizeof(room), &got)) {
		ending->resumed += SSL_session_reused(ssl);
		SSL_write(ssl, CLOSE_HEAD, sizeof(CLOSE_HEAD) - 1);
		for (size_t i = 0; i < sizeof(block); i++)
			block[i] = (char)('a' + i % 23);
		for (size_t i = 0; ending->is_flood && i < FLOOD_SIZE; i += sizeof(block))
			SSL_write(ssl, block, sizeof(block));
		SSL_write(ssl, "hello", 5);
		if (ending->is_announced)
			SSL_shutdown(ssl);
	}
	SSL_free(ssl);
	return false;
}

struct ending_story {
	struct scripted upstream;
	struct world world;
	struct ending ending;
	struct transfer_request request;
};

static void open_ending(struct ending_story *story, const char *names, const char *host)
{
	memset(story, 0, sizeof(*story));
	make_identity(&story->ending.identity, names, -60, 3600);
	SSL_CTX_set_session_id_context(story->ending.identity.context,
		(const unsigned char *)"x", 1);
	story->ending.is_announced = true;
	scripted_start(&story->upstream, script_ending, NULL);
	story->upstream.arg = &story->ending;
	snprintf(story->upstream.url, sizeof(story->upstream.url), "https://%s:%d/", host,
		story->upstream.port);
	world_open(&story->world);
	story->request = (struct transfer_request) {
		.method = "GET",
		.url = story->upstream.url,
		.is_private_allowed = true,
		.ca_file = story->ending.identity.path,
	};
}

static void close_ending(struct ending_story *story)
{
	world_close(&story->world);
	scripted_stop(&story->upstream);
	free_identity(&story->ending.identity);
}

static enum transfer_result ask_ending(struct ending_story *story)
{
	struct noted noted;

	noted_start(&noted, &story->world, &story->request);
	world_wait(&story->world, &noted.ends, 1);
	if (noted.result == TRANSFER_OK && !story->ending.is_flood)
		assert_body(&noted, "hello");
	noted_clear(&noted);
	return noted.result;
}

static void a_session_is_resumed(void **state)
{
	struct ending_story story;

	(void)state;
	open_ending(&story, "IP:127.0.0.1", "127.0.0.1");
	for (int i = 0; i < 4; i++)
		assert_int_equal(ask_ending(&story), TRANSFER_OK);
	assert_int_equal(story.upstream.connections, 4);
	assert_int_equal(story.ending.resumed, 3);
	close_ending(&story);
}

/* Where only the end says that a body is complete, somebody could cut it. Old ones of libcurl (7.88)
 * do not mind. */
static void an_end_must_be_announced(void **state)
{
	struct ending_story story;
	enum transfer_result result;

	(void)state;
	open_ending(&story, "IP:127.0.0.1", "127.0.0.1");
	assert_int_equal(ask_ending(&story), TRANSFER_OK);
	story.ending.is_announced = false;
	result = ask_ending(&story);
	if (!getenv("NEAP_TRANSFER") || result != TRANSFER_OK)
		assert_int_equal(result, TRANSFER_RESET);
	close_ending(&story);
}

static void names_are_verified(void **state)
{
	static const struct {
		const char *names;
		enum transfer_result result;
	} cases[] = {
		{ "DNS:localhost", TRANSFER_OK },
		{ "DNS:LOCALHOST,DNS:other.test", TRANSFER_OK },
		{ "DNS:local*", TRANSFER_TLS },
		{ "DNS:*", TRANSFER_TLS },
		{ "IP:127.0.0.1", TRANSFER_TLS },
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct ending_story story;
		enum transfer_result result;

		open_ending(&story, cases[i].names, "localhost");
		result = ask_ending(&story);
		if (result != cases[i].result)
			fail_msg("%s: %s", cases[i].names, transfer_result_name(result));
		close_ending(&story);
	}
}

struct reader {
	struct transfer *transfer;
	size_t size;
	int ends;
};

static void read_and_pause(struct transfer *transfer, const char *data, size_t size,
	void *arg)
{
	struct reader *reader = arg;

	for (size_t i = 0; i < size && reader->size + i < FLOOD_SIZE; i++)
		assert_int_equal(data[i], 'a' + (reader->size + i) % 1000 % 23);
	reader->size += size;
	transfer_pause(transfer);
}

static void end_reading(struct transfer *transfer, enum transfer_result result, void *arg)
{
	struct reader *reader = arg;

	assert_int_equal(result, TRANSFER_OK);
	transfer_close(transfer);
	reader->transfer = NULL;
	reader->ends++;
}

/* The socket is silent about what OpenSSL holds. */
static void a_paused_transfer_goes_on(void **state)
{
	static const struct transfer_handler handler = { .on_data = read_and_pause,
		.on_end = end_reading };

	(void)state;
	for (int is_streamed = 0; is_streamed < 2; is_streamed++) {
		struct ending_story story;
		struct reader reader = { .ends = 0 };
		int64_t until = clock_ms() + WORLD_WAIT_MS;

		open_ending(&story, "IP:127.0.0.1", "127.0.0.1");
		story.ending.is_flood = true;
		story.request.is_streamed = is_streamed;
		reader.transfer = transfer_start(story.world.transfers, &story.request,
			&handler, &reader);
		while (!reader.ends) {
			if (clock_ms() > until)
				fail_msg("stands still after %zu bytes", reader.size);
			event_base_loop(story.world.base, EVLOOP_NONBLOCK);
			if (reader.transfer)
				transfer_resume(reader.transfer);
		}
		assert_int_equal(reader.size, FLOOD_SIZE + 5);
		close_ending(&story);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_trusted_server_answers),
		cmocka_unit_test(a_stream_is_read_in_parts),
		cmocka_unit_test(an_unknown_authority_is_refused),
		cmocka_unit_test(trusts_do_not_mix),
		cmocka_unit_test(a_wrong_name_is_refused),
		cmocka_unit_test(an_expired_certificate_is_refused),
		cmocka_unit_test(a_missing_ca_file_is_refused),
		cmocka_unit_test(no_tls_at_all_is_refused),
		cmocka_unit_test(a_session_is_resumed),
		cmocka_unit_test(an_end_must_be_announced),
		cmocka_unit_test(names_are_verified),
		cmocka_unit_test(a_paused_transfer_goes_on),
	};

	/* As in the program: the scripted server may write to a client that has hung up. */
	signal(SIGPIPE, SIG_IGN);
	return world_run_on_each(tests, COUNT_OF(tests));
}
