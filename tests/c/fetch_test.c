/* fetch_test.c - host.fetch: what it brings, its bounds, its cancelling, and the library's
 * checks of keys on top of it. */
#include "transfer_world.h"

#include <signal.h>
#include <stdlib.h>

#include <lauxlib.h>

#include "script/api.h"
#include "script/fiber.h"
#include "script/sandbox.h"
#include "script/script.h"
#include "script/sources.h"
#include "tls_upstream.h"

struct story {
	struct world world;
	struct script script;
	struct sources *sources;
	struct state *state;
	struct scripted upstream;
	struct fiber *fiber;
	int ends;
	enum fiber_status status;
	char text[4096]; /* what the chunk returned, or the error */
};

static struct identity trusted; /* by the whole process, as the system's authorities */

static void on_end(struct fiber *fiber, enum fiber_status status, const char *message,
	void *arg)
{
	struct story *story = arg;

	if (status == FIBER_DONE)
		message = lua_tostring(fiber_lua(fiber), -1);
	story->status = status;
	snprintf(story->text, sizeof(story->text), "%s", message ? message : "");
	story->ends++;
}

static void open_story(struct story *story, script_fn *script, const char *text)
{
	struct err err = { "" };

	memset(story, 0, sizeof(*story));
	world_open(&story->world);
	story->script.base = story->world.base;
	story->script.transfers = story->world.transfers;
	story->sources = sources_new(".", NULL);
	story->state = state_new(&state_default_limits);
	sandbox_open(state_lua(story->state));
	lua_pushcfunction(state_lua(story->state), api_l_open);
	lua_pushlightuserdata(state_lua(story->state), story->sources);
	lua_pushliteral(state_lua(story->state), "neap.json");
	if (state_call(story->state, 2, 0, 0, &err) != 0)
		fail_msg("%s", err.text);
	state_set_data(story->state, &story->script);
	scripted_start(&story->upstream, script, text);
}

static void close_story(struct story *story)
{
	assert_int_equal(fiber_count(story->state), 0);
	state_free(story->state);
	sources_free(story->sources);
	world_close(&story->world);
	scripted_stop(&story->upstream);
}

/* Begins a chunk; URL in it is the provider's. */
static void begin(struct story *story, const char *chunk)
{
	lua_State *L = state_lua(story->state);
	struct err err = { "" };

	story->ends = 0;
	lua_pushfstring(L, "local URL, host = '%s', require 'neap.host' %s",
		story->upstream.url, chunk);
	assert_int_equal(luaL_loadstring(L, lua_tostring(L, -1)), 0);
	lua_remove(L, -2);
	story->status = fiber_start(&story->fiber, story->state, 0, on_end, story, &err);
	if (story->status == FIBER_WAITS)
		return;
	snprintf(story->text, sizeof(story->text), "%s", err.text);
	story->ends++;
}

static const char *run(struct story *story, const char *chunk)
{
	begin(story, chunk);
	world_wait(&story->world, &story->ends, 1);
	return story->text;
}

#define SHOW \
	"local function show(a, b, c) return tostring(a) .. '|' .. tostring(b) .. '|' .. " \
	"tostring(c) end "

/* -- answers ---------------------------------------------------------------------- */

static void test_brings_an_answer(void **arg)
{
	struct story story;

	(void)arg;
	open_story(&story, script_answer,
		"HTTP/1.1 201 Created\r\nX-One: first\r\nx-one: second\r\n"
		"Content-Length: 5\r\n\r\nhello");
	assert_string_equal(
		run(&story,
			"local s, h, b = host.fetch { url = URL, private = true } "
			"return s .. ' ' .. h['x-one'] .. ' ' .. b"),
		"201 first hello");
	assert_non_null(strstr(story.upstream.request, "GET /v1/x HTTP/1.1\r\n"));
	close_story(&story);
}

static void test_sends_method_headers_and_body(void **arg)
{
	struct story story;

	(void)arg;
	open_story(&story, script_answer,
		"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n");
	assert_string_equal(
		run(&story,
			"local s, h, b = host.fetch { method = 'PUT', url = URL, "
			"private = true, headers = { 'X-Key: a', 'X-Other: b' }, "
			"body = ('x'):rep(300000) } return s .. type(h) .. #b"),
		"204table0");
	assert_non_null(strstr(story.upstream.request, "PUT /v1/x HTTP/1.1\r\n"));
	assert_non_null(strstr(story.upstream.request, "X-Key: a\r\n"));
	assert_non_null(strstr(story.upstream.request, "X-Other: b\r\n"));
	assert_int_equal(story.upstream.body_size, 300000);
	close_story(&story);
}

static void test_an_error_is_an_answer(void **arg)
{
	struct story story;

	(void)arg;
	open_story(&story, script_answer,
		"HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\n\r\nno");
	assert_string_equal(
		run(&story,
			"local s, _, b = host.fetch { url = URL, private = true } "
			"return s .. b"),
		"401no");
	close_story(&story);
}

/* -- bounds ----------------------------------------------------------------------- */

static void test_a_larger_answer_is_cut_off(void **arg)
{
	struct story story;

	(void)arg;
	open_story(&story, script_answer,
		"HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\nhello world");
	assert_string_equal(run(&story,
				    SHOW
				    "return show(host.fetch { url = URL, private = true, "
				    "size_max = 10 })"),
		"nil|protocol|the answer is larger than 10 bytes");
	assert_string_equal(
		run(&story,
			"local _, _, b = host.fetch { url = URL, private = true, "
			"size_max = 11 } return b"),
		"hello world");
	close_story(&story);
}

static void test_it_takes_no_longer_than_allowed(void **arg)
{
	struct story story;
	int64_t began;

	(void)arg;
	open_story(&story, script_answer_and_wait,
		"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhe");
	began = clock_ms();
	assert_string_equal(run(&story,
				    SHOW
				    "return show(host.fetch { url = URL, private = true, "
				    "timeout = 0.2 })"),
		"nil|timeout|not finished within 200 ms");
	assert_in_range(clock_ms() - began, 190, 5000);
	close_story(&story);
}

static void test_follows_no_redirect(void **arg)
{
	struct story story;

	(void)arg;
	open_story(&story, script_answer_and_close,
		"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\n"
		"Content-Length: 0\r\n\r\n");
	assert_string_equal(
		run(&story, SHOW "return show(host.fetch { url = URL, private = true })"),
		"nil|protocol|the provider redirects, which is not followed");
	assert_int_equal(story.upstream.requests, 1);
	close_story(&story);
}

static void test_addresses(void **arg)
{
	struct story story;

	(void)arg;
	open_story(&story, script_answer, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
	assert_string_equal(run(&story, SHOW "return show(host.fetch { url = URL })"),
		"nil|connect|the provider's address is one that may not be connected to");
	assert_string_equal(
		run(&story,
			SHOW "return show(host.fetch { url = 'http://169.254.169.254/', "
			     "private = true })"),
		"nil|connect|the provider's address is one that may not be connected to");
	assert_string_equal(
		run(&story,
			SHOW "return show(host.fetch { url = 'file:///etc/passwd' })"),
		"nil|protocol|the URL is neither http nor https");
	assert_int_equal(story.upstream.connections, 0);
	close_story(&story);
}

static void test_a_broken_connection(void **arg)
{
	struct story story;

	(void)arg;
	open_story(&story, script_answer_and_reset,
		"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhe");
	run(&story, SHOW "return show(host.fetch { url = URL, private = true })");
	assert_non_null(strstr(story.text, "nil|reset|"));
	close_story(&story);
}

/* -- whose turn it is ------------------------------------------------------------- */

static void test_a_cancelled_fiber_takes_its_transfer_along(void **arg)
{
	struct story story;
	int64_t until = clock_ms() + WORLD_WAIT_MS;

	(void)arg;
	open_story(&story, script_answer_and_wait, "HTTP/1.1 200 OK\r\n");
	begin(&story,
		"host.fetch { url = URL, private = true, body = 'secret' } error()");
	assert_int_equal(story.status, FIBER_WAITS);
	while (!story.upstream.requests && clock_ms() < until)
		event_base_loop(story.world.base, EVLOOP_NONBLOCK);
	assert_int_equal(story.upstream.requests, 1);
	assert_int_equal(transfers_open_count(story.world.transfers), 1);
	fiber_cancel(story.fiber);
	assert_int_equal(transfers_open_count(story.world.transfers), 0);
	assert_int_equal(story.ends, 0);
	close_story(&story);
}

static void test_one_after_the_other(void **arg)
{
	struct story story;

	(void)arg;
	open_story(&story, script_answer,
		"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx");
	assert_string_equal(
		run(&story,
			"local all = '' for _ = 1, 20 do "
			"local _, _, b = host.fetch { url = URL, private = true } "
			"all = all .. b end return all"),
		"xxxxxxxxxxxxxxxxxxxx");
	assert_int_equal(story.upstream.connections, 1);
	close_story(&story);
}

static void test_wrong_arguments_raise(void **arg)
{
	static const char *const wrong[] = {
		"'text'",
		"expected",
		"{}",
		"no url",
		"{ url = 5 }",
		"url is no text",
		"{ url = URL .. '\\r\\nHost: x' }",
		"url holds a line end",
		"{ url = ('x'):rep(9000) }",
		"url is too long",
		"{ url = URL, method = 'get it' }",
		"method is none of HTTP",
		"{ url = URL, headers = 'X: y' }",
		"headers is no list",
		"{ url = URL, headers = { 'X: secret\\nY: z' } }",
		"a header holds",
		"{ url = URL, headers = { 5 } }",
		"a header is no text",
		"{ url = URL, timeout = 0 }",
		"timeout is out of range",
		"{ url = URL, timeout = 1e9 }",
		"timeout is out of range",
		"{ url = URL, timeout = 0/0 }",
		"timeout is out of range",
		"{ url = URL, size_max = 1e9 }",
		"size_max is out of range",
		"{ url = URL, body = {} }",
		"body is no text",
	};
	struct story story;
	char chunk[256];

	(void)arg;
	open_story(&story, script_answer, "");
	for (size_t i = 0; i < COUNT_OF(wrong); i += 2) {
		snprintf(chunk, sizeof(chunk), "host.fetch(%s)", wrong[i]);
		begin(&story, chunk);
		assert_int_equal(story.status, FIBER_FAILED);
		if (!strstr(story.text, wrong[i + 1]))
			fail_msg("%s: %s", wrong[i], story.text);
		assert_null(strstr(story.text, "secret"));
	}
	close_story(&story);
}

/* -- the library on top ------------------------------------------------------------- */

/* What neap.key_check says of a key of the provider, as "state why". */
static const char *check(struct story *story, const char *timeout)
{
	char chunk[512];

	snprintf(chunk, sizeof(chunk),
		"local check = require('neap.key_check').check "
		"local verdict = check({ url = URL:match('^%%w+://[^/]+') .. '/v1', "
		"dialect = 'openai', balance = { path = '/me', member = 'data.left' } }, "
		"'sk-secret', { timeout = %s }) "
		"return verdict.state .. ' ' .. tostring(verdict.why or verdict.balance)",
		timeout);
	return run(story, chunk);
}

static void test_a_check_of_a_key(void **arg)
{
	static const char *const cases[] = {
		"HTTP/1.1 200 OK\r\nContent-Length: 24\r\n\r\n{\"data\":{\"left\":\"12.5\"}}",
		"good 12.5",
		"HTTP/1.1 401 No\r\nContent-Length: 24\r\n\r\n{\"message\":\"sk-secret?\"}\n",
		"refused the provider refused the key: 401: …?",
		"HTTP/1.1 429 Slow\r\nContent-Length: 0\r\n\r\n",
		"limited its rate is limited: 429",
		"HTTP/1.1 503 Away\r\nContent-Length: 0\r\n\r\n",
		"unknown the provider answered 503",
		"HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n",
		"unknown the provider redirects, which is not followed",
		"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{",
		"unknown not finished within 1000 ms",
	};
	struct story story;

	(void)arg;
	for (size_t i = 0; i < COUNT_OF(cases); i += 2) {
		bool is_late = i + 2 == COUNT_OF(cases);

		open_story(&story, script_answer, cases[i]);
		assert_string_equal(check(&story, is_late ? "1" : "20"), cases[i + 1]);
		assert_non_null(strstr(story.upstream.request, "GET /me HTTP/1.1\r\n"));
		assert_non_null(strstr(story.upstream.request,
			"Authorization: Bearer sk-secret\r\n"));
		close_story(&story);
	}
}

/* -- TLS -------------------------------------------------------------------------- */

static void test_tls(void **arg)
{
	struct identity other;
	struct story story;
	char chunk[256];

	(void)arg;
	open_story(&story, script_tls, NULL);
	story.upstream.arg = &trusted;
	snprintf(chunk, sizeof(chunk),
		SHOW "return show(select(3, host.fetch { url = 'https://127.0.0.1:%d/', "
		     "private = true }))",
		story.upstream.port);
	assert_string_equal(run(&story, chunk), "hello|nil|nil");
	close_story(&story);

	make_identity(&other, "IP:127.0.0.1", -60, 3600);
	open_story(&story, script_tls, NULL);
	story.upstream.arg = &other;
	snprintf(chunk, sizeof(chunk),
		SHOW "return show(host.fetch { url = 'https://127.0.0.1:%d/', "
		     "private = true })",
		story.upstream.port);
	run(&story, chunk);
	if (strncmp(story.text, "nil|tls|", 8) != 0)
		fail_msg("%s", story.text);
	assert_int_equal(story.upstream.requests, 0);
	close_story(&story);
	free_identity(&other);
}

static int trust(void **arg)
{
	(void)arg;
	make_identity(&trusted, "IP:127.0.0.1", -60, 3600);
	return setenv("SSL_CERT_FILE", trusted.path, 1);
}

static int forget(void **arg)
{
	(void)arg;
	free_identity(&trusted);
	return unsetenv("SSL_CERT_FILE");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_brings_an_answer),
		cmocka_unit_test(test_sends_method_headers_and_body),
		cmocka_unit_test(test_an_error_is_an_answer),
		cmocka_unit_test(test_a_larger_answer_is_cut_off),
		cmocka_unit_test(test_it_takes_no_longer_than_allowed),
		cmocka_unit_test(test_follows_no_redirect),
		cmocka_unit_test(test_addresses),
		cmocka_unit_test(test_a_broken_connection),
		cmocka_unit_test(test_a_cancelled_fiber_takes_its_transfer_along),
		cmocka_unit_test(test_one_after_the_other),
		cmocka_unit_test(test_wrong_arguments_raise),
		cmocka_unit_test(test_a_check_of_a_key),
		cmocka_unit_test(test_tls),
	};

	/* As in the program: the scripted server may write to a client that has hung up. */
	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, trust, forget);
}
