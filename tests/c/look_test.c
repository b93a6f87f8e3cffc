/* What a look finds in one walk. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "json/look.h"

/* A look of one question. */
static struct look *ask(enum look_take take, const char *const *paths)
{
	struct look *look = look_new();

	assert_int_equal(look_ask(look, take, 1000), 0);
	for (; *paths; paths++)
		assert_int_equal(look_add_path(look, *paths), 0);
	return look;
}

#define PATHS(...) ((const char *const[]) { __VA_ARGS__, NULL })

static struct look_answer answer_of(enum look_take take, const char *const *paths,
	const char *text)
{
	struct look *look = ask(take, paths);
	/* Memory of just this size: a read beyond it is seen. */
	char *copy = xmalloc(strlen(text) ? strlen(text) : 1);
	struct look_answer answer;

	memcpy(copy, text, strlen(text));
	look_read(look, copy, strlen(text), NULL, &answer);
	if (answer.text)
		answer.text = text + (answer.text - copy);
	free(copy);
	look_free(look);
	return answer;
}

static void value_is(const char *const *paths, const char *text, const char *value)
{
	struct look_answer answer = answer_of(LOOK_VALUE, paths, text);

	if (!value) {
		assert_int_equal(answer.kind, JSON_NONE);
		return;
	}
	assert_int_not_equal(answer.kind, JSON_NONE);
	assert_int_equal(answer.size, strlen(value));
	assert_memory_equal(answer.text, value, answer.size);
}

static void number_is(enum look_take take, const char *text, double number)
{
	struct look_answer answer = answer_of(take, PATHS("a", "b/c", "d/*"), text);

	if (number < 0)
		assert_int_equal(answer.kind, JSON_NONE);
	else
		assert_int_not_equal(answer.kind, JSON_NONE);
	assert_true(answer.number == (number < 0 ? 0 : number));
}

static void finds_the_value_at_the_earliest_path(void **state)
{
	(void)state;
	value_is(PATHS("a"), "{\"b\":1,\"a\":[2, {}] ,\"c\":3}", "[2, {}]");
	value_is(PATHS("a", "b"), "{\"b\":1,\"a\":2}", "2");
	value_is(PATHS("x", "b"), " { \"b\" : \"1\" }", "\"1\"");
	value_is(PATHS("a/b"), "{\"a\":{\"x\":{\"b\":1},\"b\":{\"b\":2}}}", "{\"b\":2}");
	value_is(PATHS("a", "a/b"), "{\"a\":{\"b\":2}}", "{\"b\":2}");
	value_is(PATHS("a"), "{\"a\":1,\"a\":2}", "1");
	value_is(PATHS("a/*/b"), "{\"a\":[{},7,[{\"b\":0}],{\"b\":1},{\"b\":2}]}", "1");
	value_is(PATHS("a/b"), "{\"a\":[{\"b\":1}]}", NULL);
	value_is(PATHS("a/*"), "{\"a\":{\"*\":1}}", NULL);
	value_is(PATHS("a"), "{\"\\u0061\":1}", NULL);
}

static void passes_over_what_is_no_good_document(void **state)
{
	static const char *const texts[] = { "", "{", "[]", "7", "{\"a", "{\"a\"",
		"{\"a\":", "{\"a\":[", "{\"a\":[1", "{\"a\":{\"b\":1", "{\"a\" 1}",
		"{\"x\":}", "{\"x\":[}", "{\"a\":\"1", "{,\"a\":1}", "null" };

	(void)state;
	for (size_t i = 0; i < COUNT_OF(texts); i++)
		value_is(PATHS("a", "a/*/x"), texts[i], NULL);
	value_is(PATHS("a/b"), "{\"a\":{\"b\":1,\"c\":", "1");
}

static void reads_good_numbers(void **state)
{
	(void)state;
	number_is(LOOK_NUMBER, "{\"a\":7}", 7);
	number_is(LOOK_NUMBER, "{\"a\":0.25}", 0.25);
	number_is(LOOK_NUMBER, "{\"a\":\"9.5\"}", 9.5);
	number_is(LOOK_NUMBER, "{\"a\":1e2}", 100);
	number_is(LOOK_NUMBER, "{\"a\":1000}", 1000);
	number_is(LOOK_NUMBER, "{\"a\":0000000000000000000012}", 12);
	number_is(LOOK_COUNT, "{\"a\":2.9}", 2);
	number_is(LOOK_COUNT, "{\"b\":{\"c\":5},\"a\":4}", 4);
	number_is(LOOK_COUNT, "{\"b\":{\"c\":5},\"a\":-4}", 5);
	number_is(LOOK_COUNT, "{\"b\":{\"c\":5},\"a\":\"\"}", 5);
	number_is(LOOK_GREATEST, "{\"a\":3,\"b\":{\"c\":8},\"d\":[1,7.5,\"8.5\"]}", 8);
	number_is(LOOK_GREATEST, "{\"a\":0}", 0);
	static const char *const bad[] = { "-1", "1000.5", "1e300", "\"nan\"", "\"inf\"",
		"\"many\"", "\"\"", "\"1x\"", "1-2", "[]", "{}", "null", "true",
		"99999999999999999999",
		"\"1000000000000000000000000000000000000000000000000000000000000000\"" };
	for (size_t i = 0; i < COUNT_OF(bad); i++) {
		char text[128] = "{\"a\":";

		strcat(strcat(text, bad[i]), "}");
		number_is(LOOK_NUMBER, text, -1);
		number_is(LOOK_GREATEST, text, -1);
	}
}

static void tells_whether_something_is_said(void **state)
{
	const char *const *paths = PATHS("c/*/m", "c/*/t");

	(void)state;
	assert_true(
		answer_of(LOOK_SOME, paths, "{\"c\":[{\"m\":\"\"},{\"t\":[0]}]}").kind);
	assert_true(answer_of(LOOK_SOME, paths, "{\"c\":[{\"t\":\"x\"}").kind);
	assert_false(answer_of(LOOK_SOME, paths,
		"{\"m\":\"x\",\"c\":[{\"m\":\"\",\"t\":null},{\"t\":[]},{\"t\":{}},{}]}")
			     .kind);
	assert_true(answer_of(LOOK_BYTES, paths,
			    "{\"c\":[{\"m\":\"ab\",\"t\":null},{\"t\":[1]}]}")
			    .number == 7);
	assert_true(answer_of(LOOK_BYTES, paths, "{\"c\":[]}").number == 0);
}

static void marks_on_the_way(void **state)
{
	static const char text[] = "{\"a\":{\"b\":1}, \"c\" : [2]}";
	struct look *look = ask(LOOK_VALUE, PATHS("a/b"));
	struct look_answer answer;
	struct scan_marks marks, plain;

	(void)state;
	look_read(look, text, strlen(text), &marks, &answer);
	assert_int_equal(answer.size, 1);
	look_read_marked(look, &marks, &answer);
	assert_ptr_equal(answer.text, strchr(text, '1'));
	scan_mark(&plain, text, strlen(text));
	assert_true(marks.is_whole && plain.is_whole);
	assert_int_equal(marks.count, 2);
	assert_int_equal(plain.count, 2);
	for (size_t i = 0; i < 2; i++) {
		assert_ptr_equal(marks.at[i].value, plain.at[i].value);
		assert_int_equal(marks.at[i].value_size, plain.at[i].value_size);
		assert_int_equal(marks.at[i].kind, i ? JSON_ARRAY : JSON_OBJECT);
	}
	look_free(look);
}

/* More members than there are marks: all of them are looked at. */
static void looks_on_where_the_marks_end(void **state)
{
	char text[512] = "{";
	struct look *look = ask(LOOK_VALUE, PATHS("last"));
	struct look_answer answer;
	struct scan_marks marks;

	(void)state;
	for (int i = 0; i < SCAN_MARKS_MAX; i++)
		strcat(text, "\"x\":[],");
	strcat(text, "\"last\":1}");
	look_read(look, text, strlen(text), &marks, &answer);
	assert_false(marks.is_whole);
	assert_int_equal(answer.kind, JSON_NUMBER);
	look_free(look);
}

static void reads_what_a_scan_keeps(void **state)
{
	static const char *const wanted[] = { "m", "o", NULL };
	static const char text[] = "{\"n\":1,\"o\":{\"x\":true},\"m\":\"name\"}";
	struct look *look = look_new();
	struct scan *scan = scan_new(wanted);
	struct look_answer answers[3];
	struct err err;

	(void)state;
	assert_int_equal(look_ask(look, LOOK_VALUE, 0), 0);
	assert_int_equal(look_add_path(look, "m"), 0);
	assert_int_equal(look_ask(look, LOOK_VALUE, 0), 1);
	assert_int_equal(look_add_path(look, "o/x"), 0);
	assert_int_equal(look_ask(look, LOOK_NUMBER, 10), 2);
	assert_int_equal(look_add_path(look, "n"), 0);
	assert_int_equal(scan_feed(scan, text, strlen(text), &err), 0);
	assert_int_equal(scan_end(scan, &err), 0);
	look_read_scan(look, scan, answers);
	assert_int_equal(answers[0].kind, JSON_STRING);
	assert_memory_equal(answers[0].text, "\"name\"", answers[0].size);
	assert_int_equal(answers[1].kind, JSON_TRUE);
	assert_int_equal(answers[2].kind, JSON_NONE);
	scan_free(scan);
	look_free(look);
}

static void refuses_odd_questions(void **state)
{
	struct look *look = look_new();

	(void)state;
	for (int i = 0; i < LOOK_QUESTIONS_MAX; i++)
		assert_int_equal(look_ask(look, LOOK_VALUE, 0), i);
	assert_int_equal(look_ask(look, LOOK_VALUE, 0), -ENOSPC);
	assert_int_equal(look_add_path(look, "a/b"), 0);
	assert_int_equal(look_add_path(look, "a"), 0);
	assert_int_equal(look_add_path(look, "a/b"), -EINVAL);
	assert_int_equal(look_add_path(look, ""), -EINVAL);
	assert_int_equal(look_add_path(look, "x/"), -EINVAL);
	assert_int_equal(look_add_path(look, "x//y"), -EINVAL);
	assert_int_equal(look_add_path(look, "x\\n"), -EINVAL);
	look_free(look);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(finds_the_value_at_the_earliest_path),
		cmocka_unit_test(passes_over_what_is_no_good_document),
		cmocka_unit_test(reads_good_numbers),
		cmocka_unit_test(tells_whether_something_is_said),
		cmocka_unit_test(marks_on_the_way),
		cmocka_unit_test(looks_on_where_the_marks_end),
		cmocka_unit_test(reads_what_a_scan_keeps),
		cmocka_unit_test(refuses_odd_questions),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
