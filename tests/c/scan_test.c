#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>

#include "json_suite.h"
#include "scan_agree.h"

static const char *const wanted[] = { "model", "stream", "stream_options", NULL };

static void refuses(const char *text, const char *why)
{
	struct scan *scan = scan_new(NULL);
	struct err err = { "" };

	assert_int_equal(scan_in_parts(scan, text, strlen(text), 1, &err), -EINVAL);
	assert_string_equal(err.text, why);
	/* The scan only repeats its failure. */
	assert_int_equal(scan_feed(scan, " ", 1, &err), -EINVAL);
	assert_string_equal(err.text, why);
	assert_int_equal(scan_end(scan, NULL), -EINVAL);
	scan_free(scan);
}

static void finds_members_and_keeps_wanted_values(void **state)
{
	static const char text[] =
		" { \"model\" : \"gpt\\n\\\"4\" ,\"messages\":[{\"a\":[1]}],"
		"\"stream\":true,\"n\": -1.5e3 ,\"x\":null}\r\n";
	size_t step;

	(void)state;
	for (step = 1; step <= sizeof(text); step++) {
		struct scan *scan = scan_new(wanted);
		const struct scan_member *member;

		assert_int_equal(scan_in_parts(scan, text, strlen(text), step, NULL), 0);
		assert_int_equal(scan_kind(scan), JSON_OBJECT);
		assert_int_equal(scan_member_count(scan), 5);
		assert_int_equal(scan_open_offset(scan), 2);
		member = scan_find(scan, "model");
		assert_string_equal(member->value, "\"gpt\\n\\\"4\"");
		assert_int_equal(member->kind, JSON_STRING);
		assert_int_equal(member->name_offset, 3);
		member = scan_find(scan, "n");
		assert_null(member->value);
		assert_memory_equal(text + member->offset, "-1.5e3", 6);
		assert_int_equal(member->size, 6);
		assert_string_equal(scan_find(scan, "stream")->value, "true");
		assert_int_equal(scan_find(scan, "messages")->size, 11);
		assert_null(scan_find(scan, "a"));
		assert_string_equal(scan_member_at(scan, 4)->name, "x");
		scan_free(scan);
	}
}

static void refuses_with_the_offset(void **state)
{
	(void)state;
	refuses("{\"a\":1,\"a\":2}", "a duplicate top-level name at byte 7");
	refuses("{\"a\\u0062\":1}", "an escape in a top-level name at byte 3");
	refuses("{\"a\tb\":1}", "unexpected byte 0x09 at byte 3");
	refuses("{\"\xff\":1}", "a top-level name that is no UTF-8 at byte 1");
	refuses("\xef\xbb\xbf{}", "a byte order mark at byte 0");
	refuses("{\"a\":1", "the document ends too early at byte 6");
	refuses("", "the document ends too early at byte 0");
	refuses("1 2", "unexpected \"2\" at byte 2");
	refuses("[1,]", "unexpected \"]\" at byte 3");
	refuses("{\"a\":01}", "unexpected \"1\" at byte 6");
	refuses("{\"a\":-}", "unexpected \"}\" at byte 6");
	refuses("{\"a\":tru}", "unexpected \"}\" at byte 8");
	refuses("{\"a\":[}", "unexpected \"}\" at byte 6");
}

static void bounds_depth_members_and_names(void **state)
{
	struct buf text = { 0 };
	int i;

	(void)state;
	for (i = 0; i <= SCAN_DEPTH; i++)
		buf_append_text(&text, "[");
	buf_append(&text, "", 1);
	refuses(buf_data(&text), "nested too deeply at byte 64");
	buf_reset(&text);
	buf_append_text(&text, "{");
	for (i = 0; i <= SCAN_MEMBERS; i++)
		buf_printf(&text, "\"%03d\":1,", i);
	buf_append(&text, "", 1);
	refuses(buf_data(&text), "too many top-level members at byte 2049");
	buf_reset(&text);
	buf_printf(&text, "{\"%0257d", 0);
	buf_append(&text, "", 1);
	refuses(buf_data(&text), "too long a top-level name at byte 258");
	buf_clear(&text);
}

static void keeps_no_value_that_is_too_long(void **state)
{
	size_t size;

	(void)state;
	for (size = SCAN_VALUE_MAX; size <= SCAN_VALUE_MAX + 1; size++) {
		struct buf text = { 0 };
		struct scan *scan = scan_new(wanted);
		const struct scan_member *member;

		buf_printf(&text, "{\"model\":\"%0*d\",\"stream\":1}", (int)size - 2, 0);
		assert_int_equal(scan_in_parts(scan, buf_data(&text), buf_size(&text),
					 100, NULL),
			0);
		member = scan_find(scan, "model");
		assert_int_equal(member->size, size);
		assert_int_equal(member->value != NULL, size == SCAN_VALUE_MAX);
		assert_string_equal(scan_find(scan, "stream")->value, "1");
		scan_free(scan);
		buf_clear(&text);
	}
}

/* Runs of backslashes of every length around the borders of the blocks in which strings
 * are passed over. */
static void finds_the_end_of_a_string_behind_any_backslashes(void **state)
{
	size_t before, run;

	(void)state;
	for (before = 0; before < 70; before++) {
		for (run = 0; run < 70; run++) {
			struct buf text = { 0 };
			size_t i;

			buf_append_text(&text, "{\"a\":\"");
			for (i = 0; i < before; i++)
				buf_append_text(&text, "x");
			for (i = 0; i < run; i++)
				buf_append_text(&text, "\\");
			buf_append_text(&text, run % 2 ? "\"\"" : "\"");
			for (i = 0; i < 130; i++)
				buf_append_text(&text, " ");
			buf_append_text(&text, "}");
			assert_true(scan_agrees(buf_data(&text), buf_size(&text)));
			assert_true(scan_same_in_parts(buf_data(&text), buf_size(&text),
				1 + run));
			buf_clear(&text);
		}
	}
}

static void stands_the_suite(void **state)
{
	struct json_suite *suite = json_suite_new();
	size_t i, step, refused = 0;

	(void)state;
	for (i = 0; i < suite->count; i++) {
		struct json_case *item = &suite->cases[i];
		struct scan *scan = scan_new(NULL);
		int rc = scan_in_parts(scan, item->input, item->size, 1, NULL);

		if (item->name[0] == 'y' && rc != 0) {
			print_message("refused: %s\n", item->name);
			refused++;
		}
		scan_free(scan);
		assert_true(scan_agrees(item->input, item->size));
		for (step = 1; step < 20 && item->size < 1000; step++)
			assert_true(scan_same_in_parts(item->input, item->size, step));
	}
	/* Two with a duplicate name, one with an escaped one. */
	assert_int_equal(refused, 3);
	json_suite_free(suite);
}

static void same_with_marks(const char *text, const char *const *steps, size_t count,
	enum json_kind kind, const char *value, size_t size)
{
	struct scan_marks marks;
	const char *marked;
	size_t marked_size;

	scan_mark(&marks, text, strlen(text));
	assert_int_equal(scan_marked_path(&marks, text, strlen(text), steps, count,
				 &marked, &marked_size),
		kind);
	if (kind == JSON_NONE)
		return;
	assert_ptr_equal(marked, value);
	assert_int_equal(marked_size, size);
}

static void leads_to(const char *text, const char *path, const char *expected)
{
	char copy[64], *step, *rest = copy;
	const char *steps[8], *value;
	size_t count = 0, size;
	enum json_kind kind;

	snprintf(copy, sizeof(copy), "%s", path);
	while ((step = strsep(&rest, "/")) != NULL)
		steps[count++] = step;
	kind = scan_path(text, strlen(text), steps, count, &value, &size);
	same_with_marks(text, steps, count, kind, value, size);
	if (!expected) {
		assert_int_equal(kind, JSON_NONE);
		return;
	}
	assert_int_not_equal(kind, JSON_NONE);
	assert_int_equal(size, strlen(expected));
	assert_memory_equal(value, expected, size);
}

static void walks_paths(void **state)
{
	static const char text[] =
		" {\"id\":\"}]\", \"choices\" : [ 1, {\"message\":{\"content\":"
		"\"a\\\"b\"},\"n\":-1e3}, [] ],\"e\\n\":1,\"last\":null} ";
	size_t size;
	const char *value;

	(void)state;
	leads_to(text, "choices/1/message/content", "\"a\\\"b\"");
	leads_to(text, "choices/1/n", "-1e3");
	leads_to(text, "choices/0", "1");
	leads_to(text, "choices/2", "[]");
	leads_to(text, "choices/3", NULL);
	leads_to(text, "choices/2/0", NULL);
	leads_to(text, "choices/x", NULL);
	leads_to(text, "last", "null");
	leads_to(text, "e\\n", NULL);
	leads_to(text, "id/x", NULL);
	leads_to("{\"a\":", "a", NULL);
	leads_to("{\"a\":\"", "a", NULL);
	leads_to("{\"a\" 1}", "a", NULL);
	leads_to("[[", "0/0", NULL);
	assert_int_equal(scan_path("7", 1, NULL, 0, &value, &size), JSON_NUMBER);
	assert_int_equal(scan_path("", 0, NULL, 0, &value, &size), JSON_NONE);
}

/* list: what the member is; before and behind it stand others that say the same. */
static void last_are(const char *list, const char *last, const char *before)
{
	static const struct scan_wanted lists[] = { { "contents", "role", "user",
							    "parts" },
		{ "messages", "role", "user", "content" } };
	const char *const expected[] = { last, before };
	char text[512];
	size_t size = (size_t)snprintf(text, sizeof(text),
		"{\"a\":[%s],\"messages\":%s,\"b\":[%s],\"role\":\"user\"}",
		"{\"role\":\"user\"}", list, "{\"role\":\"user\",\"content\":1}");

	for (size_t step = 1; step <= size; step++) {
		struct scan *scan = scan_new(NULL);
		const struct scan_place *found;
		const struct scan_wanted *whose;
		size_t count = 0;

		scan_want_last(scan, lists, 2);
		if (scan_in_parts(scan, text, size, step, NULL) == 0)
			count = scan_last(scan, &found, &whose);
		assert_int_equal(count, before ? 2 : last ? 1 : 0);
		if (count)
			assert_ptr_equal(whose, &lists[1]);
		for (size_t i = 0; i < count; i++) {
			assert_int_equal(found[i].size, strlen(expected[i]));
			assert_int_equal(found[i].kind == JSON_NONE, !found[i].size);
			assert_memory_equal(text + found[i].offset, expected[i],
				found[i].size);
		}
		scan_free(scan);
	}
}

static void finds_the_last_elements_of_a_kind(void **state)
{
#define U1 "{\"role\":\"user\",\"content\":\"a]\\\"}\"}"
#define U2 "{ \"content\" : [ { \"role\":\"x\" } ] , \"role\" : \"user\" }"
#define U3 "{\"n\":-1.5e3,\"role\":\"user\"}"
#define A "{\"role\":\"assistant\",\"content\":\"\\\"role\\\":\\\"user\\\"\"}"
	(void)state;
#define C1 "\"a]\\\"}\""
#define C2 "[ { \"role\":\"x\" } ]"
	last_are("[]", NULL, NULL);
	last_are(" [ " U1 " ] ", C1, NULL);
	last_are("[" A "," U1 "," A "]", C1, NULL);
	last_are("[" U1 "," A "," U2 "]", C2, C1);
	last_are("[" U1 "," A "," U2 ", " U3 " ]", "", C2);
	last_are("[1,\"user\",{},[" U1 "]," U2 ",null]", C2, NULL);
	last_are("[{\"role\":[\"user\"]},{\"role\":7},{\"x\":{\"role\":\"user\"}}]", NULL,
		NULL);
	last_are("[{\"role\":\"us\\u0065r\"}]", NULL, NULL);
	last_are("{\"role\":\"user\"}", NULL, NULL);
	last_are("[" U1 "," A, NULL, NULL);
	last_are("[" U1 ",{\"role\"", NULL, NULL);
	last_are("[" U1 ",{\"role\":\"user", NULL, NULL);
	last_are("[{\"role\":\"user\"", NULL, NULL);
	last_are("", NULL, NULL);
	last_are("[{\"content\":7,\"content\":8,\"role\":\"x\",\"role\":\"user\"}]", "8",
		NULL);
	last_are("[{\"role\":{\"content\":1},\"rol\":1,\"roles\":2,\"role\":\"user\"}]",
		"", NULL);
	last_are("[{\"role\":\"users\"},{\"role\":\"use\"},{\"content\":\"user\"}]", NULL,
		NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(finds_members_and_keeps_wanted_values),
		cmocka_unit_test(refuses_with_the_offset),
		cmocka_unit_test(bounds_depth_members_and_names),
		cmocka_unit_test(keeps_no_value_that_is_too_long),
		cmocka_unit_test(finds_the_end_of_a_string_behind_any_backslashes),
		cmocka_unit_test(stands_the_suite),
		cmocka_unit_test(walks_paths),
		cmocka_unit_test(finds_the_last_elements_of_a_kind),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
