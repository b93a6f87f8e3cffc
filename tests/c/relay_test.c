/* Relays between a scripted provider and a sink that notes what it gets. */
#include "transfer_world.h"

#include "base/mem.h"
#include "scripted_upstream.h"
#include "upstream/relay.h"

#define SSE_HEAD "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
#define BROKEN "data: {\"error\":\"broken\"}\n\n"
#define LATE "data: {\"error\":\"late\"}\n\n"

/* A client: bytes wait in it as long as it does not read. */
struct client {
	struct sink sink;
	struct event_base *base;
	struct buf bytes;
	sink_drained_fn *drained;
	void *arg;
	size_t waiting;
	int writes;
	int wishes;
	int ends;
	int cuts;
	bool is_slow;
};

static size_t client_write(struct sink *sink, const void *data, size_t size)
{
	struct client *client = CONTAINER_OF(sink, struct client, sink);

	assert_int_equal(client->ends + client->cuts, 0);
	buf_append(&client->bytes, data, size);
	client->writes++;
	if (client->is_slow)
		client->waiting += size;
	return client->waiting;
}

static void client_when_drained(struct sink *sink, sink_drained_fn *fn, void *arg)
{
	struct client *client = CONTAINER_OF(sink, struct client, sink);

	client->drained = fn;
	client->arg = arg;
	client->wishes += fn != NULL;
}

static void client_end(struct sink *sink)
{
	CONTAINER_OF(sink, struct client, sink)->ends++;
}

static void client_cut(struct sink *sink)
{
	CONTAINER_OF(sink, struct client, sink)->cuts++;
}

static const struct sink_ops client_ops = {
	client_write,
	client_when_drained,
	client_end,
	client_cut,
};

static void client_read(struct client *client)
{
	sink_drained_fn *fn = client->drained;

	client->waiting = 0;
	client->drained = NULL;
	if (fn)
		fn(client->arg);
}

static const struct relay_condition usage[] = {
	{ .member = "choices", .is = "[]" },
	{ .member = "usage", .kind = JSON_OBJECT },
};
static const struct relay_condition finish[] = { { .member = "finish" } };
static const struct relay_condition done[] = { { .data = "[DONE]" } };
static const struct relay_condition failure[] = { { .event_name = "error" } };
static const struct relay_rule rules[] = {
	{ usage, 2, RELAY_KEEP_LAST },
	{ usage, 2, RELAY_DROP },
	{ finish, 1, RELAY_KEEP_FIRST },
	{ done, 1, RELAY_END },
	{ failure, 1, RELAY_ERROR },
};
static const struct relay_plan plan = { rules, COUNT_OF(rules), BROKEN, LATE, false };
static const struct relay_plan cutting_plan = { rules, COUNT_OF(rules), NULL, NULL,
	false };

struct story {
	struct scripted upstream;
	struct world world;
	struct client client;
	struct gate *gate;
	struct relay *relay;
	int changes;
	int heads;
	int ends;
	enum relay_outcome outcome;
	enum transfer_result transfer;
	uint64_t size;
	int64_t first_us;
	char error[200];
	char kept[COUNT_OF(rules)][200];
	uint64_t events, event_bytes;
	char tail[RELAY_TAIL + 1];
};

static void on_change(struct gate *gate, void *arg)
{
	struct story *story = arg;

	story->changes++;
	story->heads = gate_has_head(gate);
}

static void on_end(const struct relay_result *result, void *arg)
{
	struct story *story = arg;

	story->ends++;
	story->relay = NULL;
	story->outcome = result->outcome;
	story->transfer = result->transfer;
	story->size = result->size;
	story->first_us = result->first_us;
	story->events = result->events;
	story->event_bytes = result->event_bytes;
	if (result->tail)
		memcpy(story->tail, result->tail, result->tail_size);
	snprintf(story->error, sizeof(story->error), "%s", result->error);
	for (size_t i = 0; result->kept && i < COUNT_OF(rules); i++) {
		if (!result->kept[i])
			continue;
		assert_int_equal(strlen(result->kept[i]), result->kept_size[i]);
		snprintf(story->kept[i], sizeof(story->kept[i]), "%s", result->kept[i]);
	}
}

static void open_story_with(struct story *story, script_fn *script, const char *text,
	void *script_arg, struct transfer_timeouts timeouts)
{
	struct transfer_request request = {
		.method = "GET",
		.is_private_allowed = true,
		.timeouts = timeouts,
	};

	memset(story, 0, sizeof(*story));
	scripted_start(&story->upstream, script, text);
	story->upstream.arg = script_arg; /* before there is a connection */
	world_open(&story->world);
	request.url = story->upstream.url;
	story->client.sink.ops = &client_ops;
	story->gate = gate_start(story->world.transfers, &request, on_change, story);
}

static void open_story(struct story *story, script_fn *script, const char *text,
	struct transfer_timeouts timeouts)
{
	open_story_with(story, script, text, NULL, timeouts);
}

static void start_relay(struct story *story, const struct relay_plan *its_plan)
{
	world_wait(&story->world, &story->heads, 1);
	story->relay = relay_start(story->gate, &story->client.sink, its_plan, on_end,
		story);
	assert_int_equal(story->ends, 0);
}

static void close_story(struct story *story)
{
	int64_t until = clock_ms() + WORLD_WAIT_MS;

	/* What lingers ends by itself. */
	while (transfers_open_count(story->world.transfers) && clock_ms() < until)
		event_base_loop(story->world.base, EVLOOP_ONCE);
	world_close(&story->world);
	scripted_stop(&story->upstream);
	buf_clear(&story->client.bytes);
}

static void assert_client(const struct story *story, const char *text)
{
	const struct buf *bytes = &story->client.bytes;

	if (buf_size(bytes) != strlen(text) ||
		(*text && memcmp(buf_data(bytes), text, strlen(text)) != 0))
		fail_msg("the client got \"%.*s\", not \"%s\"", (int)buf_size(bytes),
			buf_data(bytes), text);
	assert_int_equal(story->size, strlen(text));
	assert_true((story->first_us != 0) == (*text != '\0'));
}

static void tell_story(struct story *story, script_fn *script, const char *text,
	const struct relay_plan *its_plan, struct transfer_timeouts timeouts)
{
	open_story(story, script, text, timeouts);
	start_relay(story, its_plan);
	world_wait(&story->world, &story->ends, 1);
	assert_int_equal(story->ends, 1);
	assert_int_equal(story->client.ends + story->client.cuts, 1);
}

static const struct transfer_timeouts no_timeouts = { 0 };

#define A ": hello\n\ndata:{\"a\":1,\"usage\":null}\n\n"
#define USAGE "data: {\"choices\":[],\"usage\":{\"n\":3}}\r\n\r\n"
#define B "data: {\"choices\":[{}],\"finish\":\"stop\"}\n\n"

static void events_pass_as_they_came(void **state)
{
	struct story story;

	(void)state;
	tell_story(&story, script_answer_and_close,
		SSE_HEAD "\xEF\xBB\xBF" A B USAGE "data: [DONE]\n\n", &plan, no_timeouts);
	assert_int_equal(story.outcome, RELAY_COMPLETE);
	assert_int_equal(story.client.ends, 1);
	assert_client(&story, "\xEF\xBB\xBF" A B "data: [DONE]\n\n");
	assert_string_equal(story.kept[0], "{\"choices\":[],\"usage\":{\"n\":3}}");
	assert_string_equal(story.kept[1], "");
	assert_string_equal(story.kept[2], "{\"choices\":[{}],\"finish\":\"stop\"}");
	/* Neither what was dropped counts nor what ended the stream. */
	assert_int_equal(story.events, 2);
	assert_int_equal(story.event_bytes,
		strlen("{\"a\":1,\"usage\":null}{\"choices\":[{}],\"finish\":\"stop\"}"));
	assert_string_equal(story.tail, "");
	close_story(&story);
}

struct cut {
	size_t at;
	_Atomic bool goes_on;
};

/* Sends the text in two parts, with a pause that lets the first one arrive alone. */
static bool script_halves(struct scripted *upstream, int fd, int nth)
{
	struct cut *cut = upstream->arg;

	(void)nth;
	if (!scripted_read_request(upstream, fd))
		return false;
	scripted_send(fd, SSE_HEAD);
	scripted_send_bytes(fd, upstream->text, cut->at);
	while (!upstream->is_stopping && !cut->goes_on)
		usleep(50);
	scripted_send(fd, upstream->text + cut->at);
	return false;
}

static void every_split_gives_the_same_bytes(void **state)
{
	static const char text[] = "\xEF\xBB\xBF" A USAGE
				   "event: x\rdata: y\r\rdata: l1\n"
				   "data: l2\r\n\r\n" USAGE B "data: no end";
	static const char want[] = "\xEF\xBB\xBF" A "event: x\rdata: y\r\rdata: l1\n"
				   "data: l2\r\n\r\n" B "data: no end";

	(void)state;
	for (size_t at = 0; at < sizeof(text); at++) {
		struct story story;
		struct cut cut = { .at = at };
		size_t seen = 0;

		open_story_with(&story, script_halves, text, &cut, no_timeouts);
		start_relay(&story, &plan);
		/* What may pass of the first part has passed when nothing comes any
		 * more. */
		for (int idle = 0; idle < 3; idle++) {
			struct timeval slice = { .tv_usec = 300 };

			event_base_loopexit(story.world.base, &slice);
			event_base_dispatch(story.world.base);
			if (buf_size(&story.client.bytes) != seen)
				idle = 0;
			seen = buf_size(&story.client.bytes);
		}
		cut.goes_on = true;
		world_wait(&story.world, &story.ends, 1);
		assert_int_equal(story.outcome, RELAY_COMPLETE);
		assert_client(&story, want);
		assert_string_equal(story.kept[0],
			"{\"choices\":[],\"usage\":{\"n\":3}}");
		assert_int_equal(story.events, 5);
		close_story(&story);
	}
}

static void what_follows_the_end_passes(void **state)
{
	struct story story;

	(void)state;
	tell_story(&story, script_answer_and_wait,
		SSE_HEAD A "data: [DONE]\n\ndata: more\n\n", &plan, no_timeouts);
	assert_int_equal(story.outcome, RELAY_COMPLETE);
	assert_int_equal(story.transfer, TRANSFER_OK);
	assert_client(&story, A "data: [DONE]\n\ndata: more\n\n");
	assert_int_equal(story.client.ends, 1);
	close_story(&story);
}

static bool script_chunked_twice(struct scripted *upstream, int fd, int nth)
{
	(void)nth;
	while (scripted_read_request(upstream, fd)) {
		scripted_send(fd,
			"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
			"e\r\ndata: [DONE]\n\n\r\n");
		usleep(20000); /* the body's end comes later than its last event */
		scripted_send(fd, "0\r\n\r\n");
	}
	return false;
}

static void the_connection_serves_again(void **state)
{
	struct story story;
	struct transfer_request request = { .method = "GET", .is_private_allowed = true };

	(void)state;
	tell_story(&story, script_chunked_twice, NULL, &plan, no_timeouts);
	while (transfers_open_count(story.world.transfers))
		event_base_loop(story.world.base, EVLOOP_ONCE);
	request.url = story.upstream.url;
	story.heads = 0;
	story.ends = 0;
	story.client.ends = 0;
	story.gate = gate_start(story.world.transfers, &request, on_change, &story);
	start_relay(&story, &plan);
	world_wait(&story.world, &story.ends, 1);
	assert_int_equal(story.upstream.connections, 1);
	close_story(&story);
}

static void an_error_event_ends_the_stream(void **state)
{
	struct story story;

	(void)state;
	tell_story(&story, script_answer_and_close,
		SSE_HEAD A "event: error\ndata: {\"e\":1}\n\ndata: more\n\n", &plan,
		no_timeouts);
	assert_int_equal(story.outcome, RELAY_FAILED);
	assert_client(&story, A "event: error\ndata: {\"e\":1}\n\n");
	assert_string_equal(story.kept[4], "{\"e\":1}");
	assert_int_equal(story.client.ends, 1);
	close_story(&story);
}

static void a_break_is_told(void **state)
{
	struct story story;

	(void)state;
	tell_story(&story, script_answer_and_reset, SSE_HEAD A "data: par", &plan,
		no_timeouts);
	assert_int_equal(story.outcome, RELAY_TRUNCATED);
	assert_int_equal(story.transfer, TRANSFER_RESET);
	assert_true(*story.error);
	assert_client(&story, A BROKEN);
	assert_int_equal(story.client.ends, 1);
	close_story(&story);
	tell_story(&story, script_answer_and_wait, SSE_HEAD A "data: par", &plan,
		(struct transfer_timeouts) { .idle = 1000 });
	assert_int_equal(story.transfer, TRANSFER_TIMEOUT);
	assert_client(&story, A LATE);
	close_story(&story);
	tell_story(&story, script_answer_and_reset, SSE_HEAD A "data: par", &cutting_plan,
		no_timeouts);
	assert_client(&story, A);
	assert_int_equal(story.client.cuts, 1);
	close_story(&story);
	tell_story(&story, script_answer_and_reset, SSE_HEAD A "data: par", NULL,
		no_timeouts);
	assert_int_equal(story.outcome, RELAY_TRUNCATED);
	assert_client(&story, A "data: par");
	assert_int_equal(story.client.cuts, 1);
	close_story(&story);
}

static const struct relay_condition reason[] = { { .text = "finish_reason" } };
static const struct relay_rule finishing_rules[COUNT_OF(rules)] = {
	{ usage, 2, RELAY_KEEP_LAST },
	{ usage, 2, RELAY_DROP },
	{ finish, 1, RELAY_KEEP_FIRST },
	{ done, 1, RELAY_END },
	{ reason, 1, RELAY_FINISH },
};
static const struct relay_plan finishing_plan = { finishing_rules,
	COUNT_OF(finishing_rules), BROKEN, LATE, true };

#define OPEN "data: {\"choices\":[{\"finish_reason\":null}]}\n\n"
#define LAST "data: {\"choices\":[{\"finish_reason\": \"stop\"}]}"

static void a_stream_says_that_it_is_finished(void **state)
{
	static const struct {
		const char *text;
		const char *client;
	} cases[] = {
		{ OPEN LAST "\n\n", OPEN LAST "\n\n" },
		{ OPEN LAST "\n\n: bye", OPEN LAST "\n\n: bye" },
		{ OPEN LAST, OPEN LAST },
		{ "data: {\"finish_reason\"\t:\ndata: \"x\"}\n\n",
			"data: {\"finish_reason\"\t:\ndata: \"x\"}\n\n" },
		{ OPEN "data: [DONE]", OPEN "data: [DONE]" },
		{ OPEN "data: [DONE] \n\n", OPEN "data: [DONE] \n\n" },
		{ OPEN, OPEN BROKEN },
		{ OPEN "data: {\"a\":\"\\\"finish_reason\\\":1\"}\n\n",
			OPEN "data: {\"a\":\"\\\"finish_reason\\\":1\"}\n\n" BROKEN },
		{ OPEN "data: {\"finish_reason\":\"\"}\n\n",
			OPEN "data: {\"finish_reason\":\"\"}\n\n" BROKEN },
		{ OPEN LAST "\n\ndata: [DO", OPEN LAST "\n\n" BROKEN },
		{ OPEN "data: {\"choices\":[{\"finish_reason\":\"stop\"}", OPEN BROKEN },
	};
	struct story story;

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		char text[1024];
		bool is_broken = strstr(cases[i].client, BROKEN) != NULL;

		snprintf(text, sizeof(text), SSE_HEAD "%s", cases[i].text);
		tell_story(&story, script_answer_and_close, text, &finishing_plan,
			no_timeouts);
		assert_client(&story, cases[i].client);
		assert_int_equal(story.outcome,
			is_broken ? RELAY_TRUNCATED : RELAY_COMPLETE);
		close_story(&story);
	}
}

static void bytes_pass_without_a_plan(void **state)
{
	struct story story;

	(void)state;
	tell_story(&story, script_answer_and_close,
		"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\ndata: x\r\n", NULL,
		no_timeouts);
	assert_int_equal(story.outcome, RELAY_COMPLETE);
	assert_client(&story, "data: x\r\n");
	assert_int_equal(story.client.ends, 1);
	close_story(&story);
}

/* The gate may have seen the end before anybody relays. */
static void a_finished_gate_is_relayed(void **state)
{
	struct story story;
	struct sse_event event;

	(void)state;
	open_story(&story, script_answer_and_close, SSE_HEAD A B, no_timeouts);
	while (!gate_is_ended(story.gate))
		event_base_loop(story.world.base, EVLOOP_ONCE);
	assert_int_equal(gate_event(story.gate, 0, &event), 1);
	start_relay(&story, &plan);
	world_wait(&story.world, &story.ends, 1);
	assert_int_equal(story.outcome, RELAY_COMPLETE);
	assert_client(&story, A B);
	close_story(&story);
}

#define LARGE (300 * 1000)

static bool script_large_event(struct scripted *upstream, int fd, int nth)
{
	static char block[LARGE];

	(void)nth;
	memset(block, 'x', sizeof(block));
	if (!scripted_read_request(upstream, fd))
		return false;
	scripted_send(fd, SSE_HEAD "event: error\r\ndata: ");
	scripted_send_bytes(fd, block, sizeof(block));
	scripted_send(fd, upstream->text);
	return false;
}

static void a_large_event_passes(void **state)
{
	struct story story;

	(void)state;
	/* Too long to be held, so that its name is not looked at; the next one is. */
	tell_story(&story, script_large_event, "\r\n\r\n" USAGE "data: [DONE]\n\n", &plan,
		no_timeouts);
	assert_int_equal(story.outcome, RELAY_COMPLETE);
	assert_int_equal(buf_size(&story.client.bytes), LARGE + 20 + 4 + 14);
	assert_string_equal(story.kept[0], "{\"choices\":[],\"usage\":{\"n\":3}}");
	close_story(&story);
	/* It breaks in the middle: a blank line ends it before the text. */
	tell_story(&story, script_large_event, "", &plan, no_timeouts);
	assert_int_equal(story.outcome, RELAY_COMPLETE);
	close_story(&story);
}

static bool script_large_event_and_reset(struct scripted *upstream, int fd, int nth)
{
	script_large_event(upstream, fd, nth);
	scripted_reset(fd);
	return false;
}

static void a_large_event_breaks(void **state)
{
	static const char tail[] = "x\n\n" BROKEN;
	struct story story;
	size_t size;

	(void)state;
	open_story(&story, script_large_event_and_reset, "", no_timeouts);
	start_relay(&story, &plan);
	world_wait(&story.world, &story.ends, 1);
	assert_int_equal(story.outcome, RELAY_TRUNCATED);
	size = buf_size(&story.client.bytes);
	if (size > RELAY_HOLD)
		assert_memory_equal(buf_data(&story.client.bytes) + size - strlen(tail),
			tail, strlen(tail));
	close_story(&story);
}

#define FLOOD 3000

static bool script_flood(struct scripted *upstream, int fd, int nth)
{
	char event[1000];

	(void)nth;
	memset(event, 'x', sizeof(event));
	memcpy(event, "data: ", 6);
	memcpy(event + sizeof(event) - 2, "\n\n", 2);
	if (!scripted_read_request(upstream, fd))
		return false;
	scripted_send(fd, SSE_HEAD);
	for (int i = 0; i < FLOOD; i++)
		scripted_send_bytes(fd, event, sizeof(event));
	return false;
}

static void a_slow_client_holds_the_provider_back(void **state)
{
	struct story story;

	(void)state;
	open_story(&story, script_flood, NULL, no_timeouts);
	story.client.is_slow = true;
	start_relay(&story, &plan);
	while (!story.ends) {
		int wishes = story.client.wishes + (story.client.drained ? 0 : 1);

		world_wait(&story.world, &story.client.wishes, wishes);
		assert_in_range(story.client.waiting, SINK_HIGH,
			SINK_HIGH + GATE_MAX + 65536);
		for (int i = 0; i < 5; i++)
			event_base_loop(story.world.base, EVLOOP_NONBLOCK);
		assert_in_range(story.client.waiting, SINK_HIGH,
			SINK_HIGH + GATE_MAX + 65536);
		client_read(&story.client);
		if (buf_size(&story.client.bytes) + SINK_HIGH > FLOOD * 1000)
			story.client.is_slow = false;
		if (!story.client.is_slow)
			world_wait(&story.world, &story.ends, 1);
	}
	assert_int_equal(story.outcome, RELAY_COMPLETE);
	assert_int_equal(buf_size(&story.client.bytes), FLOOD * 1000);
	/* Many events of one read go out with one write. */
	assert_in_range(story.client.writes, 1, FLOOD / 4);
	close_story(&story);
}

static void a_drained_relay_reads_on(void **state)
{
	struct story story;
	struct cut cut = { .at = strlen(A) };
	size_t seen;

	(void)state;
	open_story_with(&story, script_halves, A B USAGE, &cut, no_timeouts);
	start_relay(&story, &plan);
	world_wait(&story.world, &story.client.writes, 1);
	seen = buf_size(&story.client.bytes);
	relay_drain(story.relay, 5000);
	cut.goes_on = true;
	world_wait(&story.world, &story.ends, 1);
	assert_int_equal(story.outcome, RELAY_COMPLETE);
	assert_int_equal(buf_size(&story.client.bytes), seen);
	assert_int_equal(story.client.ends + story.client.cuts, 0);
	assert_string_equal(story.kept[0], "{\"choices\":[],\"usage\":{\"n\":3}}");
	close_story(&story);
	open_story(&story, script_answer_and_wait, SSE_HEAD A, no_timeouts);
	start_relay(&story, &plan);
	relay_drain(story.relay, 50);
	world_wait(&story.world, &story.ends, 1);
	assert_int_equal(story.outcome, RELAY_TRUNCATED);
	close_story(&story);
}

static void a_closed_relay_is_silent(void **state)
{
	struct story story;
	struct relay_result result;

	(void)state;
	open_story(&story, script_answer_and_wait, SSE_HEAD B, no_timeouts);
	start_relay(&story, &plan);
	world_wait(&story.world, &story.client.writes, 1);
	relay_peek(story.relay, &result);
	assert_int_equal(result.outcome, RELAY_TRUNCATED);
	assert_int_equal(result.size, strlen(B));
	assert_string_equal(result.kept[2], "{\"choices\":[{}],\"finish\":\"stop\"}");
	relay_close(story.relay);
	for (int i = 0; i < 5; i++)
		event_base_loop(story.world.base, EVLOOP_NONBLOCK);
	assert_int_equal(story.ends + story.client.ends + story.client.cuts, 0);
	close_story(&story);
}

/* Sends a text of numbered lines, cut in sizes that grow. */
#define LINES 2000

static bool script_lines(struct scripted *upstream, int fd, int nth)
{
	char text[LINES * 8 + 8];

	(void)nth;
	if (!scripted_read_request(upstream, fd))
		return false;
	for (int i = 0; i < LINES; i++)
		snprintf(text + i * 8, 16, "%7d\n", i);
	scripted_send(fd, "HTTP/1.1 200 OK\r\nContent-Length: 16000\r\n\r\n");
	for (size_t at = 0, size = 1; at < LINES * 8; at += size, size *= 3) {
		if (size > LINES * 8 - at)
			size = LINES * 8 - at;
		scripted_send_bytes(fd, text + at, size);
	}
	return false;
}

static void the_end_of_plain_bytes_is_kept(void **state)
{
	struct story story;

	(void)state;
	tell_story(&story, script_lines, NULL, NULL, no_timeouts);
	assert_int_equal(story.outcome, RELAY_COMPLETE);
	assert_int_equal(strlen(story.tail), RELAY_TAIL);
	for (int i = 0; i < RELAY_TAIL / 8; i++)
		assert_int_equal(atoi(story.tail + 8 * i), LINES - RELAY_TAIL / 8 + i);
	assert_int_equal(story.events, 0);
	close_story(&story);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(events_pass_as_they_came),
		cmocka_unit_test(every_split_gives_the_same_bytes),
		cmocka_unit_test(what_follows_the_end_passes),
		cmocka_unit_test(the_connection_serves_again),
		cmocka_unit_test(an_error_event_ends_the_stream),
		cmocka_unit_test(a_break_is_told),
		cmocka_unit_test(a_stream_says_that_it_is_finished),
		cmocka_unit_test(bytes_pass_without_a_plan),
		cmocka_unit_test(the_end_of_plain_bytes_is_kept),
		cmocka_unit_test(a_finished_gate_is_relayed),
		cmocka_unit_test(a_large_event_passes),
		cmocka_unit_test(a_large_event_breaks),
		cmocka_unit_test(a_slow_client_holds_the_provider_back),
		cmocka_unit_test(a_drained_relay_reads_on),
		cmocka_unit_test(a_closed_relay_is_silent),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
