/* Gates: what is held, when they are full, and how their waiting ends. */
#include "transfer_world.h"

#include <errno.h>

#include "base/mem.h"
#include "scripted_upstream.h"
#include "upstream/gate.h"

#define SSE_HEAD "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"

struct story {
	struct scripted upstream;
	struct world world;
	struct gate *gate;
	int changes;
	int heads;
	int fulls;
	int ends;
	bool closes;
};

static void on_change(struct gate *gate, void *arg)
{
	struct story *story = arg;

	story->changes++;
	story->heads = gate_has_head(gate);
	story->fulls = gate_is_full(gate);
	story->ends = gate_is_ended(gate);
	if (story->closes && gate_size(gate)) {
		gate_close(gate);
		story->gate = NULL;
	}
}

static void open_story(struct story *story, script_fn *script, const char *text)
{
	struct transfer_request request = { .method = "GET", .is_private_allowed = true };

	memset(story, 0, sizeof(*story));
	scripted_start(&story->upstream, script, text);
	world_open(&story->world);
	request.url = story->upstream.url;
	story->gate = gate_start(story->world.transfers, &request, on_change, story);
	assert_int_equal(story->changes, 0);
}

static void close_story(struct story *story)
{
	gate_close(story->gate);
	world_close(&story->world);
	scripted_stop(&story->upstream);
}

static void events_are_read_at_offsets(void **state)
{
	struct story story;
	struct sse_event event;
	size_t at = 0;

	(void)state;
	open_story(&story, script_answer_and_close,
		SSE_HEAD "\xEF\xBB\xBF"
			 "event: a\ndata: 1\n\ndata: 2\ndata: 3\n\ndata: rest");
	world_wait(&story.world, &story.ends, 1);
	assert_int_equal(gate_result(story.gate), TRANSFER_OK);
	assert_int_equal(gate_event(story.gate, at, &event), 1);
	assert_memory_equal(event.name, "a", 1);
	assert_memory_equal(event.data, "1", 1);
	at += event.size;
	assert_int_equal(gate_event(story.gate, at, &event), 1);
	assert_int_equal(event.data_size, 3);
	assert_memory_equal(event.data, "2\n3", 3);
	gate_release(story.gate, at + event.size);
	assert_int_equal(gate_event(story.gate, 0, &event), 1);
	assert_memory_equal(event.data, "rest", 4);
	assert_int_equal(event.size, gate_size(story.gate));
	assert_int_equal(gate_event(story.gate, event.size, &event), -ENODATA);
	close_story(&story);
}

/* Whoever waits for the head finds the rest as well. */
static void what_came_at_once_is_told_once(void **state)
{
	struct story story;

	(void)state;
	open_story(&story, script_answer,
		"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello");
	world_wait(&story.world, &story.ends, 1);
	assert_int_equal(story.changes, 1);
	assert_int_equal(story.heads, 1);
	assert_int_equal(gate_size(story.gate), 5);
	close_story(&story);
}

static void a_broken_rest_is_no_event(void **state)
{
	struct story story;
	struct sse_event event;

	(void)state;
	open_story(&story, script_answer_and_close,
		"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\ndata: x\n\ndata: r");
	world_wait(&story.world, &story.ends, 1);
	assert_int_equal(gate_result(story.gate), TRANSFER_RESET);
	assert_int_equal(gate_event(story.gate, 0, &event), 1);
	assert_int_equal(gate_event(story.gate, event.size, &event), -ENODATA);
	close_story(&story);
}

static void an_event_may_not_be_there_yet(void **state)
{
	struct story story;
	struct sse_event event;

	(void)state;
	open_story(&story, script_answer_and_wait, SSE_HEAD "data: par");
	while (!gate_size(story.gate))
		event_base_loop(story.world.base, EVLOOP_ONCE);
	assert_int_equal(gate_event(story.gate, 0, &event), 0);
	gate_deadline(story.gate, 50);
	world_wait(&story.world, &story.ends, 1);
	assert_int_equal(gate_result(story.gate), TRANSFER_TIMEOUT);
	assert_true(*transfer_error(gate_transfer(story.gate)));
	assert_int_equal(transfer_status(gate_transfer(story.gate)), 200);
	close_story(&story);
}

#define FLOOD (2 * 1024 * 1024)

static bool script_flood(struct scripted *upstream, int fd, int nth)
{
	static char block[FLOOD];

	(void)nth;
	memset(block, 'x', sizeof(block));
	memcpy(block, "data: ", 6);
	if (!scripted_read_request(upstream, fd))
		return false;
	scripted_send(fd, SSE_HEAD);
	scripted_send_bytes(fd, block, sizeof(block));
	return false;
}

static void a_full_gate_holds_the_provider_back(void **state)
{
	struct story story;
	struct sse_event event;
	size_t seen = 0;

	(void)state;
	open_story(&story, script_flood, NULL);
	world_wait(&story.world, &story.fulls, 1);
	for (int i = 0; i < 5; i++)
		event_base_loop(story.world.base, EVLOOP_NONBLOCK);
	assert_in_range(gate_size(story.gate), GATE_MAX, GATE_MAX + 65536);
	assert_int_equal(gate_event(story.gate, 0, &event), -EMSGSIZE);
	while (!story.ends) {
		int changes = story.changes;

		seen += gate_size(story.gate);
		gate_release(story.gate, gate_size(story.gate));
		world_wait(&story.world, &story.changes, changes + 1);
	}
	assert_int_equal(seen + gate_size(story.gate), FLOOD);
	close_story(&story);
}

#define LONG_EVENT (GATE_MAX + 1000)

static bool script_long_event(struct scripted *upstream, int fd, int nth)
{
	static char block[LONG_EVENT];

	(void)nth;
	memset(block, 'x', sizeof(block));
	memcpy(block, "data: ", 6);
	memcpy(block + sizeof(block) - 2, "\n\n", 2);
	if (!scripted_read_request(upstream, fd))
		return false;
	scripted_send(fd, SSE_HEAD);
	scripted_send_bytes(fd, block, sizeof(block));
	return false;
}

/* However much of it came with the read that has filled the gate. */
static void a_longer_event_does_not_fit(void **state)
{
	struct story story;
	struct sse_event event;

	(void)state;
	open_story(&story, script_long_event, NULL);
	world_wait(&story.world, &story.fulls, 1);
	assert_int_equal(gate_event(story.gate, 0, &event), -EMSGSIZE);
	while (gate_size(story.gate) < LONG_EVENT) {
		transfer_resume(gate_transfer(story.gate));
		event_base_loop(story.world.base, EVLOOP_ONCE);
	}
	assert_int_equal(gate_event(story.gate, 0, &event), -EMSGSIZE);
	close_story(&story);
}

static void a_gate_may_be_closed_by_its_watcher(void **state)
{
	struct story story;

	(void)state;
	open_story(&story, script_answer_and_wait, SSE_HEAD "data: x\n\n");
	story.closes = true;
	while (story.gate)
		event_base_loop(story.world.base, EVLOOP_ONCE);
	/* The transfer goes as soon as curl is off the stack. */
	while (transfers_open_count(story.world.transfers))
		event_base_loop(story.world.base, EVLOOP_NONBLOCK);
	close_story(&story);
}

static void nobody_has_to_watch(void **state)
{
	struct story story;

	(void)state;
	open_story(&story, script_answer_and_close, SSE_HEAD "data: x\n\n");
	gate_watch(story.gate, NULL, NULL);
	while (!gate_is_ended(story.gate))
		event_base_loop(story.world.base, EVLOOP_ONCE);
	assert_int_equal(story.changes, 0);
	assert_int_equal(gate_size(story.gate), 9);
	assert_memory_equal(gate_data(story.gate), "data: x\n\n", 9);
	gate_release(story.gate, 9);
	assert_int_equal(gate_size(story.gate), 0);
	close_story(&story);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(events_are_read_at_offsets),
		cmocka_unit_test(what_came_at_once_is_told_once),
		cmocka_unit_test(a_broken_rest_is_no_event),
		cmocka_unit_test(an_event_may_not_be_there_yet),
		cmocka_unit_test(a_full_gate_holds_the_provider_back),
		cmocka_unit_test(a_longer_event_does_not_fit),
		cmocka_unit_test(a_gate_may_be_closed_by_its_watcher),
		cmocka_unit_test(nobody_has_to_watch),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
