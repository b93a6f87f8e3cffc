/* One transfer after another to the same place: nothing of the one is left in the next. */
#include "transfer_place.h"

#include "base/mem.h"

#define OK_ANSWER "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
#define LARGE 100000

static void open_place(struct place *place)
{
	place_open(place, script_answer, OK_ANSWER);
}

static struct transfer_request post_to(const struct place *place)
{
	struct transfer_request request = place_request(place);

	request.method = "POST";
	return request;
}

static void run(struct place *place, const struct transfer_request *request,
	enum transfer_result wanted)
{
	struct noted noted;

	assert_int_equal(place_ask(place, &noted, request), wanted);
	noted_clear(&noted);
}

static void run_with(struct place *place, const char *const *headers, size_t count,
	enum transfer_result wanted)
{
	struct transfer_request request = post_to(place);

	request.headers = headers;
	request.header_count = count;
	run(place, &request, wanted);
}

static bool was_sent(const struct place *place, const char *text)
{
	return strstr(place->upstream.request, text) != NULL;
}

static void headers_are_those_of_the_request(void **state)
{
	const char *first[] = { "authorization: one", "x-more: 1" };
	const char *second[] = { "authorization: two" };
	const char *malformed[] = { "authorization: two", "nothing" };
	struct place place;

	(void)state;
	open_place(&place);
	for (int i = 0; i < 2; i++) {
		run_with(&place, first, 2, TRANSFER_OK);
		assert_true(was_sent(&place, "\r\nauthorization: one\r\n"));
		assert_true(was_sent(&place, "\r\nx-more: 1\r\n"));
	}
	run_with(&place, first, 1, TRANSFER_OK);
	assert_true(was_sent(&place, "\r\nauthorization: one\r\n"));
	assert_false(was_sent(&place, "x-more"));
	run_with(&place, second, 1, TRANSFER_OK);
	assert_true(was_sent(&place, "\r\nauthorization: two\r\n"));
	assert_false(was_sent(&place, "one"));
	run_with(&place, malformed, 2, TRANSFER_PROTOCOL);
	run_with(&place, NULL, 0, TRANSFER_OK);
	assert_false(was_sent(&place, "authorization"));
	run_with(&place, second, 1, TRANSFER_OK);
	assert_true(was_sent(&place, "\r\nauthorization: two\r\n"));
	place_close(&place);
}

/* A stream lets go of its headers once they are sent; the next request has them again. */
static void headers_stand_behind_a_stream(void **state)
{
	const char *headers[] = { "authorization: one", "x-more: 1" };
	struct place place;

	(void)state;
	open_place(&place);
	for (int i = 0; i < 4; i++) {
		struct transfer_request request = post_to(&place);

		request.headers = headers;
		request.header_count = COUNT_OF(headers);
		request.is_streamed = i < 2;
		run(&place, &request, TRANSFER_OK);
		assert_true(was_sent(&place, "\r\nauthorization: one\r\n"));
		assert_true(was_sent(&place, "\r\nx-more: 1\r\n"));
		assert_false(was_sent(&place, "\r\nAccept: "));
	}
	assert_int_equal(place.upstream.connections, 1);
	place_close(&place);
}

/* In one run, from the pieces, and none: and an answer that is a stream in between. */
static void bodies_are_those_of_the_request(void **state)
{
	static const size_t sizes[] = { 3, LARGE, 0, LARGE, 3, 3, 0 };
	char *text = xcalloc(1, LARGE);
	struct place place;

	(void)state;
	memset(text, 'x', LARGE);
	open_place(&place);
	for (size_t i = 0; i < COUNT_OF(sizes); i++) {
		struct transfer_request request = post_to(&place);
		const struct piece pieces[] = { { .data = text, .size = sizes[i] / 2 },
			{ .data = text, .size = sizes[i] - sizes[i] / 2 } };

		request.is_streamed = i % 2 == 1;
		request.pieces = pieces;
		request.piece_count = COUNT_OF(pieces);
		run(&place, &request, TRANSFER_OK);
		assert_int_equal(place.upstream.body_size, sizes[i]);
	}
	assert_int_equal(place.upstream.connections, 1);
	place_close(&place);
	free(text);
}

/* More places than handles are kept, each asked twice. */
static void places_are_kept_apart(void **state)
{
	struct place place;
	char url[128], line[128];

	(void)state;
	open_place(&place);
	for (int i = 0; i < 200; i++) {
		struct transfer_request request = post_to(&place);

		snprintf(url, sizeof(url), "%s/%d?n=%d", place.upstream.url, i / 2,
			i % 3);
		snprintf(line, sizeof(line), "/%d?n=%d HTTP/1.1\r\n", i / 2, i % 3);
		request.url = url;
		run(&place, &request, TRANSFER_OK);
		assert_true(was_sent(&place, line));
	}
	assert_int_equal(place.upstream.connections, 1);
	place_close(&place);
}

static void a_malformed_place_fails_each_time(void **state)
{
	static const struct {
		const char *url, *proxy;
		enum transfer_result wanted;
	} cases[] = {
		{ "ftp://127.0.0.1/", NULL, TRANSFER_PROTOCOL },
		{ "http://", NULL, TRANSFER_PROTOCOL },
		{ "http://127.0.0.1:99999999/", NULL, TRANSFER_PROTOCOL },
		{ "http://127.0.0.1/", "gopher://127.0.0.1", TRANSFER_CONNECT },
	};
	struct place place;

	(void)state;
	open_place(&place);
	for (size_t i = 0; i < 2 * COUNT_OF(cases); i++) {
		struct transfer_request request = post_to(&place);

		request.url = cases[i / 2].url;
		request.proxy = cases[i / 2].proxy;
		run(&place, &request, cases[i / 2].wanted);
	}
	assert_int_equal(place.upstream.requests, 0);
	place_close(&place);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(headers_are_those_of_the_request),
		cmocka_unit_test(headers_stand_behind_a_stream),
		cmocka_unit_test(bodies_are_those_of_the_request),
		cmocka_unit_test(places_are_kept_apart),
		cmocka_unit_test(a_malformed_place_fails_each_time),
	};

	return world_run_on_each(tests, COUNT_OF(tests));
}
