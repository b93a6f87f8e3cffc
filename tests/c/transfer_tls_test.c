/* TLS: who is trusted and who is not, against a server with certificates made here. */
#include "transfer_world.h"

#include <signal.h>

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
	event_base_free(story.world.base);
	world_open(&story.world);
	assert_int_equal(ask(&story, story.identity.path), TRANSFER_OK);
	assert_int_equal(story.upstream.requests, 2);
	close_story(&story);
}

static struct side {
	pthread_t thread;
	struct scripted *upstream;
	int fd;
} sides[8];
static int side_count;

static void *serve_one(void *arg)
{
	struct side *side = arg;

	script_tls(side->upstream, side->fd, 0);
	return NULL;
}

/* Each connection in a thread of its own, so that an idle one does not stop the next. */
static bool script_tls_side_by_side(struct scripted *upstream, int fd, int nth)
{
	struct side *side = &sides[side_count++];

	(void)nth;
	side->upstream = upstream;
	side->fd = fd;
	pthread_create(&side->thread, NULL, serve_one, side);
	return true;
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
	while (side_count)
		pthread_join(sides[--side_count].thread, NULL);
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
	};

	/* As in the program: the scripted server may write to a client that has hung up. */
	signal(SIGPIPE, SIG_IGN);
	return world_run_on_each(tests, COUNT_OF(tests));
}
