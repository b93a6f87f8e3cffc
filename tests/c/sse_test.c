/* Events come out the same wherever the bytes are cut. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "upstream/sse.h"

static const char *const corpus[] = {
	"",
	"\n",
	"\r\n",
	"\r",
	"\r\r",
	"data: one\n\n",
	"data: one\r\n\r\n",
	"data: one\r\r",
	"data: one\rdata: two\r\n\ndata:three\n\r",
	"data:{\"a\":1}\n\ndata:{\"b\":2}\n\n",
	"event: message_start\ndata: {\"type\":\"message_start\"}\n\nevent:x\ndata:y\n\n",
	": comment\n\n: another\r\n\r\ndata: x\n\n",
	":\n\ndata: behind\n\n\n\n\n",
	"data: first\ndata: second\ndata:third\n\n",
	"data\ndata\n\ndata:\n\n",
	"data:\ndata: x\n\n",
	"data:  two spaces\nid: 7\nretry: 10\n\n",
	"database: no\nevents: no\nevent\nevent:\ndata: x\n\n",
	"data: gr\xC3\xBC\xC3\x9F\n\ndata: \xF0\x9F\x98\x80\n\n",
	"data: no final blank line",
	"data: no final blank line\n",
	"data: no final blank line\r",
	"data: a\n\ndata: b\r\n",
	"data: [DONE]\n\n",
};

static void note(struct buf *out, const struct sse_event *event)
{
	if (!event->data && !event->name)
		return; /* how blank lines are grouped may differ */
	buf_printf(out, "<%.*s|", (int)event->name_size, event->name ? event->name : "");
	if (event->data)
		buf_append(out, event->data, event->data_size);
	else
		buf_append_text(out, "(none)");
	buf_append_text(out, ">");
}

/* Takes what is complete of data; the bytes are copied to memory of their exact size, so
 * that a sanitizer sees a read behind them. */
static size_t take(struct buf *events, struct buf *raw, const char *data, size_t size,
	bool is_end)
{
	char *exact = malloc(size ? size : 1);
	struct buf joined = { 0 };
	struct sse_event event;
	size_t at = 0;

	memcpy(exact, data, size);
	while (sse_next(exact + at, size - at, is_end, &joined, &event)) {
		assert_true(event.size > 0 && event.size <= size - at);
		note(events, &event);
		buf_append(raw, exact + at, event.size);
		at += event.size;
	}
	buf_clear(&joined);
	free(exact);
	return at;
}

static void check_split(const char *text, size_t first, size_t second,
	const struct buf *want)
{
	struct buf events = { 0 }, raw = { 0 };
	size_t size = strlen(text), at;

	at = take(&events, &raw, text, first, false);
	at += take(&events, &raw, text + at, second - at, false);
	at += take(&events, &raw, text + at, size - at, true);
	assert_int_equal(at, size);
	assert_int_equal(buf_size(&events), buf_size(want));
	if (buf_size(want))
		assert_memory_equal(buf_data(&events), buf_data(want), buf_size(want));
	assert_int_equal(buf_size(&raw), size);
	if (size)
		assert_memory_equal(buf_data(&raw), text, size);
	buf_clear(&events);
	buf_clear(&raw);
}

static void every_split_gives_the_same(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT_OF(corpus); i++) {
		struct buf whole = { 0 }, raw = { 0 };
		size_t size = strlen(corpus[i]);

		take(&whole, &raw, corpus[i], size, true);
		for (size_t first = 0; first <= size; first++)
			for (size_t second = first; second <= size; second++)
				check_split(corpus[i], first, second, &whole);
		buf_clear(&whole);
		buf_clear(&raw);
	}
}

static void fields_are_read(void **state)
{
	static const struct {
		const char *text, *events;
	} cases[] = {
		{ "data: one\n\n", "<|one>" },
		{ "data:{\"a\":1}\n\n", "<|{\"a\":1}>" },
		{ "event: e\ndata: one\r\ndata:two\r\r", "<e|one\ntwo>" },
		{ "data:\ndata: x\n\n", "<|\nx>" },
		{ "data\ndata\n\n", "<|\n>" },
		{ "event: only\n\n", "<only|(none)>" },
		{ "database: x\n\n", "" },
		{ ": comment\n\n", "" },
		{ "data:  two\n\n", "<| two>" },
		{ "data: rest", "<|rest>" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct buf events = { 0 }, raw = { 0 };

		take(&events, &raw, cases[i].text, strlen(cases[i].text), true);
		buf_append(&events, "", 1);
		assert_string_equal(buf_data(&events), cases[i].events);
		buf_clear(&events);
		buf_clear(&raw);
	}
}

static void an_incomplete_event_waits(void **state)
{
	struct buf joined = { 0 };
	struct sse_event event;

	(void)state;
	assert_false(sse_next("data: x\n", 8, false, &joined, &event));
	assert_false(sse_next("data: x\r\n\r", 10, false, &joined, &event));
	assert_true(sse_next("data: x\r\n\r", 10, true, &joined, &event));
	assert_int_equal(event.size, 10);
	assert_false(sse_next("", 0, true, &joined, &event));
	buf_clear(&joined);
}

static void a_mark_is_known(void **state)
{
	(void)state;
	assert_int_equal(sse_bom("\xEF\xBB\xBF"
				 "data",
				 7),
		3);
	assert_int_equal(sse_bom("\xEF\xBB", 2), 0);
	assert_int_equal(sse_bom("data", 4), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_split_gives_the_same),
		cmocka_unit_test(fields_are_read),
		cmocka_unit_test(an_incomplete_event_waits),
		cmocka_unit_test(a_mark_is_known),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
