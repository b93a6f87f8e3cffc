/* What is taken out of bodies before they are kept, and what must stay. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "storage/body.h"
#include "storage/redaction.h"

#define KNOWN "the operator's own secret"
#define LONGER KNOWN ", and more"

static struct redaction *known_secrets(void)
{
	const struct bytes secrets[] = { { KNOWN, sizeof(KNOWN) - 1 }, { "short", 5 },
		{ LONGER, sizeof(LONGER) - 1 } };

	return redaction_new(secrets, COUNT_OF(secrets));
}

/* The text without secrets, up to size_max; to be freed. */
static char *redact(const char *text, size_t size_max, bool *is_whole)
{
	struct redaction *redaction = known_secrets();
	struct buf out = { 0 };

	*is_whole = redaction_apply(redaction, (struct bytes) { text, strlen(text) }, 0,
		size_max, &out);
	buf_append(&out, "", 1);
	redaction_unref(redaction);
	return buf_data(&out);
}

static void becomes(const char *text, const char *wanted)
{
	bool is_whole;
	char *found = redact(text, 1000000, &is_whole);

	assert_string_equal(found, wanted);
	assert_true(is_whole);
	free(found);
}

static void stays(const char *text)
{
	becomes(text, text);
}

static void known_secrets_go(void **state)
{
	(void)state;
	becomes(KNOWN, "[redacted]");
	becomes("x" KNOWN KNOWN "y", "x[redacted][redacted]y");
	becomes("{\"a\":\"" LONGER "\"}", "{\"a\":\"[redacted]\"}");
	stays("short");
	stays("the operator's own secre");
	stays("");
}

static void known_secrets_are_found(void **state)
{
	struct redaction *redaction = known_secrets();

	(void)state;
	assert_true(redaction_finds(redaction,
		(struct bytes) { "x" KNOWN "y", 2 + sizeof(KNOWN) - 1 }));
	assert_true(
		redaction_finds(redaction, (struct bytes) { KNOWN, sizeof(KNOWN) - 1 }));
	assert_false(
		redaction_finds(redaction, (struct bytes) { KNOWN, sizeof(KNOWN) - 2 }));
	assert_false(redaction_finds(redaction,
		(struct bytes) { "short sk-abcdef0123456789", 25 }));
	assert_false(redaction_finds(redaction, (struct bytes) { "", 0 }));
	redaction_unref(redaction);
}

static void secrets_go_by_their_looks(void **state)
{
	(void)state;
	becomes("use sk-abcdef0123456789ABCDEF now", "use [redacted] now");
	becomes("\\nsk-ant-api03-abcdefghijklmnop-x", "\\n[redacted]");
	becomes("\"neap-0123456789abcdefghijABCDEFGHIJ\"", "\"[redacted]\"");
	becomes("AIzaSyA0123456789abcdefghijklmnopq", "[redacted]");
	becomes("Authorization: Bearer abcdefghijklmnop\r\n",
		"Authorization: Bearer [redacted]\r\n");
	becomes("{\"authorization\": \"Basic dXNlcjpwYXNz\",\"b\":1}",
		"{\"authorization\": \"Basic [redacted]\",\"b\":1}");
	becomes("{\\\"x-api-key\\\":\\\"123456789\\\"}",
		"{\\\"x-api-key\\\":\\\"[redacted]\\\"}");
	becomes("curl -H 'X-API-Key: 0123456789' x", "curl -H 'X-API-Key: [redacted]' x");
	becomes("PASSWORD=hunter22 run", "PASSWORD=[redacted] run");
	becomes("as bearer 0123456789abcdefghij/+=", "as bearer [redacted]");
	becomes("https://x.y/z?key=abcdefgh&a=1", "https://x.y/z?key=[redacted]&a=1");
	becomes("z?a=1\\u0026key=abcdefgh\"", "z?a=1\\u0026key=[redacted]\"");
	becomes("postgres://me:topsecret@db/x", "postgres://[redacted]@db/x");
}

static void harmless_words_stay(void **state)
{
	(void)state;
	stays("ask-me-anything-about-task-sk-lists and sk-learn-contrib-packages");
	stays("the bearer of good news, the password is: x");
	stays("api_key: str = None; key = 1; the token tokenizer");
	stays("https://example.com:8080/a@b?keyboard=qwerty");
	stays("{\"model\":\"m\",\"max_tokens\":100,\"secretary\":\"Ms Smith\"}");
}

static void base64_is_shortened(void **state)
{
	static const char head[] = "{\"url\":\"data:image/png;base64,";
	static char text[5000], wanted[200], shown[33];
	size_t at = sizeof(head) - 1;

	(void)state;
	memcpy(text, head, at);
	memset(text + at, 'A', 3000);
	memcpy(text + at + 3000, "\"}", 3);
	memset(shown, 'A', 32);
	snprintf(wanted, sizeof(wanted), "%s%s[and 2968 more]\"}", head, shown);
	becomes(text, wanted);
	text[at + 1000] = text[at + 2000] = '"';
	stays(text);
	/* A secret where the run is still shown goes whole. */
	memset(text, 'A', 2000);
	memcpy(text + 20, KNOWN, sizeof(KNOWN) - 1);
	text[2000] = '\0';
	{
		bool is_whole;
		char *found = redact(text, 1000000, &is_whole);

		assert_null(strstr(found, "operator"));
		free(found);
	}
}

static void a_cut_leaves_no_part_of_a_secret(void **state)
{
	static const char text[] = "0123456789" KNOWN " and more";

	(void)state;
	for (size_t most = 0; most < sizeof(text); most++) {
		bool is_whole;
		char *found = redact(text, most, &is_whole);

		assert_null(strstr(found, "the op"));
		assert_in_range(strlen(found), 0, most + 10);
		assert_memory_equal(found, text, most < 10 ? most : 10);
		assert_int_equal(is_whole,
			most >= strlen("0123456789[redacted] and more"));
		free(found);
	}
}

static void the_end_of_a_cut_text_is_only_looked_at(void **state)
{
	static const char text[] = "{\"a\":\"" KNOWN;
	struct redaction *redaction = known_secrets();
	struct buf out = { 0 };

	(void)state;
	for (size_t size = 0; size < sizeof(text); size++) {
		buf_reset(&out);
		redaction_apply(redaction, (struct bytes) { text, size },
			sizeof(KNOWN) - 1, 100, &out);
		buf_append(&out, "", 1);
		assert_null(strstr(buf_data(&out), "t"));
	}
	buf_reset(&out);
	/* Three bytes each: of the second one nothing is left. */
	assert_false(redaction_apply(redaction, (struct bytes) { "\u20ac\u20ac", 6 }, 0,
		5, &out));
	assert_int_equal(buf_size(&out), 3);
	redaction_unref(redaction);
	buf_clear(&out);
}

/* -- a body with all of that --------------------------------------------------------- */

static void unpack(const struct body *body, struct buf *out, struct body_facts *facts)
{
	struct buf row = { 0 };

	body_pack(body, &row);
	assert_int_equal(body_unpack((struct bytes) { buf_data(&row), buf_size(&row) },
				 out, facts),
		0);
	buf_clear(&row);
}

static void bodies_are_packed_without_secrets(void **state)
{
	static const char text[] = "{\"a\":\"" KNOWN "\",\"b\":\"0123456789\"}";
	struct body *body = body_new(BODY_REQUEST, text, sizeof(text) - 1,
		sizeof(text) - 1);
	struct body_facts facts;
	struct buf out = { 0 };

	(void)state;
	body->redaction = known_secrets();
	unpack(body, &out, &facts);
	buf_append(&out, "", 1);
	assert_string_equal(buf_data(&out),
		"{\"a\":\"[redacted]\",\"b\":\"0123456789\"}");
	assert_int_equal(facts.size, buf_size(&out) - 1);
	assert_int_equal(facts.whole_size, sizeof(text) - 1);
	assert_false(facts.is_cut);
	body->size_max = 20;
	buf_reset(&out);
	unpack(body, &out, &facts);
	assert_true(facts.is_cut);
	assert_int_equal(facts.size, 20);
	assert_memory_equal(buf_data(&out), "{\"a\":\"[redacted]\",\"b", 20);
	body_free(body);
	buf_clear(&out);
}

static void nothing_but_length_makes_it_slow(void **state)
{
	size_t size = 4 * 1024 * 1024;
	char *text = xmalloc(size + 1);
	bool is_whole;
	char *found;

	(void)state;
	for (size_t i = 0; i < size; i++)
		text[i] = "a/"[i & 1];
	for (size_t i = 1000; i < size; i += 1000)
		text[i] = ' ';
	text[size] = '\0';
	found = redact(text, size, &is_whole);
	assert_true(is_whole);
	assert_int_equal(strlen(found), size);
	free(found);
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(known_secrets_go),
		cmocka_unit_test(known_secrets_are_found),
		cmocka_unit_test(secrets_go_by_their_looks),
		cmocka_unit_test(harmless_words_stay),
		cmocka_unit_test(base64_is_shortened),
		cmocka_unit_test(a_cut_leaves_no_part_of_a_secret),
		cmocka_unit_test(the_end_of_a_cut_text_is_only_looked_at),
		cmocka_unit_test(bodies_are_packed_without_secrets),
		cmocka_unit_test(nothing_but_length_makes_it_slow),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
