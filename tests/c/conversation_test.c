/* Which conversation a request goes on with: gists of texts, and the guess. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "base/buf.h"
#include "base/clock.h"
#include "storage/conversation.h"

#define HALF_HOUR_MS 1800000

static struct recent *recent;
static char fresh[RECENT_TEXT_MAX + 1];
static char id[RECENT_TEXT_MAX + 1];
static int made;

static void forget(void)
{
	recent_free(recent);
	recent = recent_new(4096);
}

/* The gist of a value in memory of just its size. */
static struct gist gist_of(const char *json)
{
	size_t size = strlen(json);
	char *copy = memcpy(malloc(size + 1), json, size);
	struct scan_slice slice = { copy, size, JSON_NONE };
	struct gist gist;

	slice.kind = scan_path(json, size, NULL, 0, &slice.data, &slice.size);
	slice.data = copy + (slice.data - json);
	gist_of_value(&gist, &slice, "text");
	free(copy);
	return gist;
}

/* Asks with what was said last and before it, as JSON. Returns the id. */
static const char *ask_as(const char *scope, const char *last, const char *before,
	int64_t ttl_ms)
{
	struct gist last_gist = gist_of(last), before_gist;
	struct said said = { scope, strlen(scope), &last_gist, NULL };

	if (before) {
		before_gist = gist_of(before);
		said.before = &before_gist;
	}
	snprintf(fresh, sizeof(fresh), "new-%d", ++made);
	id[conversation_guess(recent, &said, fresh, strlen(fresh), ttl_ms, id)] = '\0';
	return id;
}

static const char *ask(const char *last, const char *before)
{
	return ask_as("", last, before, HALF_HOUR_MS);
}

static bool is_fresh(const char *got)
{
	return strcmp(got, fresh) == 0;
}

#define REMEMBER(name, expression) \
	char name[RECENT_TEXT_MAX + 1]; \
	strcpy(name, expression)

static void goes_on(void **state)
{
	(void)state;
	forget();
	REMEMBER(first, ask("\"Where is the harbour?\"", NULL));
	assert_true(is_fresh(first));
	assert_string_equal(ask("\"And the station?\"", "\"Where is the harbour?\""),
		first);
	assert_string_equal(ask("\"Thanks!\"", "\"And the station?\""), first);
	assert_true(is_fresh(ask("\"Where is the station?\"", NULL)));
}

static void stays_where_it_is_sent_again(void **state)
{
	(void)state;
	forget();
	REMEMBER(first, ask("\"Where is the harbour?\"", NULL));
	assert_string_equal(ask("\"Where is the harbour?\"", NULL), first);
	assert_string_equal(ask("\"Why?\"", "\"Where is the harbour?\""), first);
	assert_string_equal(ask("\"Why?\"", "\"Where is the harbour?\""), first);
	assert_string_equal(ask("\"Why?\"", "\"Never said\""), first);
}

static void takes_what_stands_before_first(void **state)
{
	(void)state;
	forget();
	REMEMBER(ships, ask("\"Tell me of ships\"", NULL));
	REMEMBER(trains, ask("\"Tell me of trains\"", NULL));
	assert_string_not_equal(ships, trains);
	assert_string_equal(ask("\"more\"", "\"Tell me of ships\""), ships);
	assert_string_equal(ask("\"more\"", "\"Tell me of trains\""), trains);
	assert_string_equal(ask("\"more\"", "\"Tell me of ships\""), ships);
}

/* Characters, not bytes: the Chinese questions have their first twenty bytes in common. */
static void takes_twenty_characters_for_enough(void **state)
{
	(void)state;
	forget();
	REMEMBER(first, ask("\"Übersetze diesen Satz: one\"", NULL));
	assert_string_equal(ask("\"Übersetze diesen Satz: two\"", NULL), first);
	assert_true(is_fresh(ask("\"Übersetze diesen Text: two\"", NULL)));
	assert_true(is_fresh(ask("\"请问今天上海的天气怎么样？\"", NULL)));
	assert_true(is_fresh(ask("\"请问今天上海的天气如何？\"", NULL)));
	assert_true(is_fresh(ask("\"hi there\"", NULL)));
	assert_true(is_fresh(ask("\"hi there, you\"", NULL)));
	assert_string_equal(ask("\"new\"", "\"Übersetze diesen Satz: three\""), first);
}

static void keeps_scopes_apart(void **state)
{
	(void)state;
	forget();
	REMEMBER(first, ask_as("a", "\"Where is the harbour?\"", NULL, HALF_HOUR_MS));
	assert_true(
		is_fresh(ask_as("b", "\"Where is the harbour?\"", NULL, HALF_HOUR_MS)));
	assert_true(
		is_fresh(ask_as("", "\"Where is the harbour?\"", NULL, HALF_HOUR_MS)));
	assert_string_equal(ask_as("a", "\"Where is the harbour?\"", NULL, HALF_HOUR_MS),
		first);
}

/* Each request begins the time anew: what was kept for long is now kept for 20 ms. */
static void forgets_in_time(void **state)
{
	int64_t began;

	(void)state;
	forget();
	REMEMBER(first, ask("\"Where is the harbour?\"", NULL));
	assert_string_equal(ask_as("", "\"Where is the harbour?\"", NULL, 20), first);
	began = clock_ms();
	while (clock_ms() < began + 25)
		;
	assert_true(is_fresh(ask("\"Where is the harbour?\"", NULL)));
}

static void compares_texts_as_they_are_meant(void **state)
{
	(void)state;
	forget();
	REMEMBER(first, ask("\"Grüße\\n\\\"x\\\"\"", NULL));
	assert_string_equal(ask("\"Gr\\u00fc\\u00dfe\\u000a\\\"x\\\"\"", NULL), first);
	assert_string_equal(
		ask("[{\"type\":\"image_url\",\"image_url\":{\"url\":\"data:\"}}, 7,"
		    " {\"type\":\"text\",\"text\":\"Gr\\u00fc\\u00dfe\\n\"},"
		    "{\"text\":\"\\\"x\\\"\",\"type\":\"text\"},{\"text\":7}]",
			NULL),
		first);
	assert_true(is_fresh(ask("\"Grüße\\n'x'\"", NULL)));
}

/* A value of a string: begin, then count times fill, then end. */
static const char *long_text(const char *begin, const char *fill, int count,
	const char *end)
{
	static struct buf texts[2];
	static int turn;
	struct buf *text = &texts[turn++ % 2];

	buf_reset(text);
	buf_printf(text, "\"%s", begin);
	for (int i = 0; i < count; i++)
		buf_append_text(text, fill);
	buf_printf(text, "%s\"", end);
	buf_append(text, "", 1);
	return buf_data(text);
}

static bool is_same(const char *one, const char *other)
{
	struct gist a = gist_of(one), b = gist_of(other);

	return a.size == b.size && a.begin_size == b.begin_size &&
		a.end_size == b.end_size && memcmp(a.begin, b.begin, a.begin_size) == 0 &&
		memcmp(a.end, b.end, a.end_size) == 0;
}

static void tells_long_texts_apart(void **state)
{
	static const int counts[] = { 0, 1, 30, 47, 48, 49, 100, 1900, 3000 };

	(void)state;
	for (size_t i = 0; i < COUNT_OF(counts); i++) {
		int count = counts[i];

		assert_true(is_same(long_text("a", "x", count, "b"),
			long_text("a", "x", count, "b")));
		assert_false(is_same(long_text("a", "x", count, "b"),
			long_text("a", "x", count + 1, "b")));
		assert_false(is_same(long_text("a", "x", count, "b"),
			long_text("b", "x", count, "b")));
		assert_false(is_same(long_text("a", "x", count, "b"),
			long_text("a", "x", count, "c")));
	}
	/* All of a short one counts, and of a long one its beginning as it is meant. */
	assert_false(
		is_same(long_text("", "x", 126, "ab"), long_text("", "x", 126, "ba")));
	assert_true(is_same(long_text("\\u0041", "x", 1000, "\\u00e9"),
		long_text("A", "x", 1000, "é")));
	struct gist gist = gist_of(long_text("", "\\u0041", 5000, ""));
	assert_int_equal(gist.begin_size, GIST_BEGIN);
	for (size_t i = 0; i < GIST_BEGIN; i++)
		assert_int_equal(gist.begin[i], 'A');
	assert_int_equal(gist.size, 30000);
}

static void adds_in_any_parts(void **state)
{
	char text[300];

	(void)state;
	for (size_t i = 0; i < sizeof(text); i++)
		text[i] = (char)('a' + i % 26);
	for (size_t size = 0; size <= sizeof(text); size += 3) {
		for (size_t step = 1; step < 100; step += 7) {
			struct gist whole = { 0 }, parts = { 0 };

			gist_add(&whole, text, size);
			for (size_t at = 0; at < size; at += step)
				gist_add(&parts, text + at,
					step < size - at ? step : size - at);
			assert_int_equal(parts.size, size);
			assert_int_equal(parts.end_size, whole.end_size);
			assert_memory_equal(parts.begin, whole.begin, whole.begin_size);
			assert_memory_equal(parts.end, whole.end, whole.end_size);
		}
	}
}

static void counts_characters(void **state)
{
	static const struct {
		const char *text;
		size_t count, size;
	} cases[] = { { "abcdef", 3, 3 }, { "äöü", 2, 4 }, { "a€", 2, 4 }, { "ab", 3, 0 },
		{ "\x80"
		  "ab",
			1, 0 } };

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct gist gist = { 0 };

		gist_add(&gist, cases[i].text, strlen(cases[i].text));
		assert_int_equal(gist_characters(&gist, cases[i].count), cases[i].size);
	}
	struct gist gist = { 0 };
	for (int i = 0; i < 21; i++)
		gist_add(&gist, "\xf0\x9f\x98\x80", 4);
	assert_int_equal(gist_characters(&gist, CONVERSATION_SIMILAR), GIST_BEGIN);
}

static void says_nothing_of_odd_values(void **state)
{
	static const char *const values[] = { "\"\"", "7", "null", "{}",
		"{\"text\":\"x\"}", "[]", "[7,{}]", "[{\"text\":\"\"}]",
		"[[{\"text\":\"x\"}]]", "[" };
	struct gist bad = gist_of("\"\\x\"");

	(void)state;
	for (size_t i = 0; i < COUNT_OF(values); i++)
		assert_int_equal(gist_of(values[i]).size, 0);
	assert_int_equal(bad.size, 2); /* it counts as it stands there */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(goes_on),
		cmocka_unit_test(stays_where_it_is_sent_again),
		cmocka_unit_test(takes_what_stands_before_first),
		cmocka_unit_test(takes_twenty_characters_for_enough),
		cmocka_unit_test(keeps_scopes_apart),
		cmocka_unit_test(forgets_in_time),
		cmocka_unit_test(compares_texts_as_they_are_meant),
		cmocka_unit_test(tells_long_texts_apart),
		cmocka_unit_test(adds_in_any_parts),
		cmocka_unit_test(counts_characters),
		cmocka_unit_test(says_nothing_of_odd_values),
	};
	int rc;

	if (sodium_init() < 0)
		return 1;
	rc = cmocka_run_group_tests(tests, NULL, NULL);
	recent_free(recent);
	return rc;
}
