#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "base/buf.h"
#include "json/scan.h"
#include "json/splice.h"

struct text_source {
	struct source source;
	const char *text;
};

/* What the document becomes; in is the memory, or NULL with the bytes in a source. */
static int edited(struct buf *out, const char *text, bool in_memory,
	const struct splice_edit *edits, size_t count)
{
	struct text_source source = { { NULL }, text };
	struct arena arena = { 0 };
	struct scan *scan = scan_new(NULL);
	struct piece *pieces;
	size_t piece_count, i;
	struct err err = { "" };
	int rc;

	assert_int_equal(scan_feed(scan, text, strlen(text), NULL), 0);
	assert_int_equal(scan_end(scan, NULL), 0);
	rc = splice(&pieces, &piece_count, &arena, scan, in_memory ? text : NULL,
		in_memory ? NULL : &source.source, strlen(text), edits, count, &err);
	if (rc != 0)
		assert_true(err.text[0]);
	for (i = 0; rc == 0 && i < piece_count; i++) {
		struct piece *piece = &pieces[i];

		assert_true(piece->size > 0);
		assert_true(piece->data || piece->source == &source.source);
		buf_append(out, piece->data ? piece->data : text + piece->offset,
			piece->size);
	}
	buf_append(out, "", 1);
	scan_free(scan);
	arena_clear(&arena);
	return rc;
}

static void becomes(const char *text, const char *expected,
	const struct splice_edit *edits, size_t count)
{
	int in_memory;

	for (in_memory = 0; in_memory < 2; in_memory++) {
		struct buf out = { 0 };

		assert_int_equal(edited(&out, text, in_memory, edits, count), 0);
		assert_string_equal(buf_data(&out), expected);
		buf_clear(&out);
	}
}

#define SET(name, value) \
	{ \
		name, value, sizeof(value) - 1 \
	}
#define REMOVE(name) \
	{ \
		name, NULL, 0 \
	}
#define BECOMES(text, expected, ...) \
	becomes(text, expected, (const struct splice_edit[]) { __VA_ARGS__ }, \
		sizeof((const struct splice_edit[]) { __VA_ARGS__ }) / \
			sizeof(struct splice_edit))

static void replaces_and_keeps_every_other_byte(void **state)
{
	(void)state;
	BECOMES(" { \"a\" :1.0 , \"model\":\"x\" ,\"b\":[ ]} ",
		" { \"a\" :1.0 , \"model\":\"yy\" ,\"b\":[ ]} ", SET("model", "\"yy\""));
	BECOMES("{\"a\":1,\"b\":2}", "{\"a\":3,\"b\":4}", SET("b", "4"), SET("a", "3"));
	becomes(" {} ", " {} ", NULL, 0);
}

static void adds_first(void **state)
{
	(void)state;
	BECOMES("{ }", "{\"a\":1 }", SET("a", "1"));
	BECOMES("{ \"b\":2}", "{\"a\":1, \"b\":2}", SET("a", "1"));
	BECOMES("{\"b\":2}", "{\"a\":1,\"c\":3,\"b\":4}", SET("a", "1"), SET("b", "4"),
		SET("c", "3"));
	BECOMES("{\"b\":2}", "{\"a\":1}", SET("a", "1"), REMOVE("b"));
	BECOMES("{}", "{\"a\":1,\"c\":3}", SET("a", "1"), SET("c", "3"));
}

static void removes_with_the_comma(void **state)
{
	static const char text[] = "{ \"a\" : 1 , \"b\":2 ,\"c\":3 }";

	(void)state;
	BECOMES(text, "{ \"b\":2 ,\"c\":3 }", REMOVE("a"));
	BECOMES(text, "{ \"a\" : 1 ,\"c\":3 }", REMOVE("b"));
	BECOMES(text, "{ \"a\" : 1 , \"b\":2 }", REMOVE("c"));
	BECOMES(text, "{ \"c\":3 }", REMOVE("a"), REMOVE("b"));
	BECOMES(text, "{ \"a\" : 1 }", REMOVE("c"), REMOVE("b"));
	BECOMES(text, "{ \"b\":2 }", REMOVE("a"), REMOVE("c"));
	BECOMES(text, "{  }", REMOVE("a"), REMOVE("b"), REMOVE("c"));
	BECOMES(text, "{ \"b\":5 }", REMOVE("a"), REMOVE("c"), SET("b", "5"));
	BECOMES(text, text, REMOVE("z"));
}

static void refuses_bad_edits(void **state)
{
	static const struct splice_edit twice[] = { SET("a", "1"), REMOVE("a") };
	static const struct splice_edit empty[] = { { "a", "", 0 } };
	static const struct splice_edit quote[] = { SET("a\"", "1") };
	static const struct splice_edit good[] = { SET("a", "1") };
	struct buf out = { 0 };

	(void)state;
	assert_int_equal(edited(&out, "{}", true, twice, 2), -EINVAL);
	assert_int_equal(edited(&out, "{}", true, empty, 1), -EINVAL);
	assert_int_equal(edited(&out, "{}", true, quote, 1), -EINVAL);
	assert_int_equal(edited(&out, "[]", true, good, 1), -EINVAL);
	buf_clear(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(replaces_and_keeps_every_other_byte),
		cmocka_unit_test(adds_first),
		cmocka_unit_test(removes_with_the_comma),
		cmocka_unit_test(refuses_bad_edits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
