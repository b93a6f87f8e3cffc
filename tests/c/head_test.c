#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/chunk.h"
#include "base/mem.h"
#include "base/token.h"
#include "http/exchange.h"
#include "http/head.h"

#define HOST "Host: x\r\n"

/* Returns 0 if the head is accepted, -1 if it is not complete, else the status. */
static int judge(const char *text, size_t size, struct head *head, char **memory,
	struct field *fields)
{
	struct head_scan scan = { 0 };
	const char *message = NULL;
	enum head_state state = head_scan(&scan, text, size);
	size_t lead = scan.has_led ? 2 : 0;
	int status;

	*memory = NULL;
	if (state == HEAD_MORE)
		return -1;
	if (state == HEAD_BAD)
		return 400;
	assert_true(scan.lines <= 64);
	*memory = xmemdup(text + lead, scan.size - lead);
	status = head_parse(head, *memory, scan.size - lead, fields, &message);
	assert_true(!status == !message);
	return status;
}

static const struct {
	const char *text;
	int status;
} vectors[] = {
	{ "GET / HTTP/1.1\r\n" HOST "\r\n", 0 },
	{ "\r\nGET / HTTP/1.1\r\n" HOST "\r\n", 0 },
	{ "GET / HTTP/1.0\r\n\r\n", 0 },
	{ "OPTIONS * HTTP/1.1\r\n" HOST "\r\n", 0 },
	{ "GET http://x/a?b HTTP/1.1\r\n" HOST "\r\n", 0 },
	{ "GET http://x HTTP/1.1\r\n" HOST "\r\n", 0 },
	{ "GET / HTTP/1.1\r\nHost: [::1]:80\r\nA:\r\nB: \t b \t\r\n\r\n", 0 },
	{ "POST / HTTP/1.1\r\n" HOST "Content-Length: 0\r\n\r\n", 0 },
	{ "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: Chunked\r\n\r\n", 0 },
	{ "POST / HTTP/1.1\r\n" HOST "Upgrade: h2c\r\nConnection: Upgrade\r\n\r\n", 0 },
	{ "GET / HTTP/1.1\r\n" HOST "A: caf\xc3\xa9\r\n\r\n", 0 },
	/* the request line */
	{ "\r\n\r\nGET / HTTP/1.1\r\n" HOST "\r\n", 400 },
	{ "\nGET / HTTP/1.1\r\n" HOST "\r\n", 400 },
	{ " GET / HTTP/1.1\r\n" HOST "\r\n", 400 },
	{ "GET  / HTTP/1.1\r\n" HOST "\r\n", 400 },
	{ "GET / HTTP/1.1 \r\n" HOST "\r\n", 400 },
	{ "GET /  HTTP/1.1\r\n" HOST "\r\n", 400 },
	{ "GET / a HTTP/1.1\r\n" HOST "\r\n", 400 },
	{ "GET\t/ HTTP/1.1\r\n" HOST "\r\n", 400 },
	{ "GET /\r\n\r\n", 400 },
	{ "GET\r\n\r\n", 400 },
	{ "GET HTTP/1.1\r\n" HOST "\r\n", 400 },
	{ "get / HTTP/1.1\r\n" HOST "\r\n", 400 },
	{ "G:T / HTTP/1.1\r\n" HOST "\r\n", 400 },
	{ "GET /\x80 HTTP/1.1\r\n" HOST "\r\n", 400 },
	{ "GET /\x01 HTTP/1.1\r\n" HOST "\r\n", 400 },
	{ "GET /\x7f HTTP/1.1\r\n" HOST "\r\n", 400 },
	{ "GET /#a HTTP/1.1\r\n" HOST "\r\n", 400 },
	{ "GET /%zz HTTP/1.1\r\n" HOST "\r\n", 400 },
	{ "GET /%0 HTTP/1.1\r\n" HOST "\r\n", 400 },
	{ "GET /%00 HTTP/1.1\r\n" HOST "\r\n", 400 },
	{ "GET a HTTP/1.1\r\n" HOST "\r\n", 400 },
	{ "GET * HTTP/1.1\r\n" HOST "\r\n", 400 },
	{ "GET ftp://x/ HTTP/1.1\r\n" HOST "\r\n", 400 },
	{ "GET http:/// HTTP/1.1\r\n" HOST "\r\n", 400 },
	{ "GET / HTTP/1.1\n" HOST "\r\n", 400 },
	{ "GET / HTTP/1.1\r" HOST "\r\n", 400 },
	{ "GET / http/1.1\r\n" HOST "\r\n", 400 },
	{ "GET / HTTP/11\r\n" HOST "\r\n", 400 },
	{ "GET / HTTP/1.10\r\n" HOST "\r\n", 400 },
	{ "GET / HTTP/+1.1\r\n" HOST "\r\n", 400 },
	{ "GET / ICE/1.0\r\n" HOST "\r\n", 400 },
	{ "GET / HTTP/1.2\r\n" HOST "\r\n", 505 },
	{ "GET / HTTP/0.9\r\n" HOST "\r\n", 505 },
	{ "GET / HTTP/2.0\r\n" HOST "\r\n", 505 },
	{ "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505 },
	{ "BREW / HTTP/1.1\r\n" HOST "\r\n", 501 },
	{ "CONNECT x:1 HTTP/1.1\r\n" HOST "\r\n", 501 },
	{ "DESCRIBE / HTTP/1.1\r\n" HOST "\r\n", 400 },
	{ "PRI * HTTP/1.1\r\n" HOST "\r\n", 400 },
	{ "POS / HTTP/1.1\r\n" HOST "\r\n", 501 },
	{ "POSTS / HTTP/1.1\r\n" HOST "\r\n", 501 },
	{ "M-SEARCH / HTTP/1.1\r\n" HOST "\r\n", 0 },
	{ "GET http:/// HTTP/1.0\r\n\r\n", 400 },
	{ "GET http://a@x/ HTTP/1.0\r\n\r\n", 400 },
	/* fields */
	{ "GET / HTTP/1.1\r\n" HOST "A: b\n\r\n", 400 },
	{ "GET / HTTP/1.1\r\n" HOST "A: b\r\n\n", 400 },
	{ "GET / HTTP/1.1\r\n" HOST "A: b\rc\r\n\r\n", 400 },
	{ "GET / HTTP/1.1\r\n" HOST "A: b\r\r\n\r\n", 400 },
	{ "GET / HTTP/1.1\r\n" HOST "A: b\r\n c\r\n\r\n", 400 },
	{ "GET / HTTP/1.1\r\n" HOST "A: b\r\n\tc\r\n\r\n", 400 },
	{ "GET / HTTP/1.1\r\n A: b\r\n" HOST "\r\n", 400 },
	{ "GET / HTTP/1.1\r\n" HOST "A : b\r\n\r\n", 400 },
	{ "GET / HTTP/1.1\r\n" HOST "A\t: b\r\n\r\n", 400 },
	{ "GET / HTTP/1.1\r\n" HOST "A b: c\r\n\r\n", 400 },
	{ "GET / HTTP/1.1\r\n" HOST ": c\r\n\r\n", 400 },
	{ "GET / HTTP/1.1\r\n" HOST "A\r\n\r\n", 400 },
	{ "GET / HTTP/1.1\r\n" HOST "A\x80: b\r\n\r\n", 400 },
	{ "GET / HTTP/1.1\r\n" HOST "A(: b\r\n\r\n", 400 },
	{ "GET / HTTP/1.1\r\n" HOST "A: \x01\r\n\r\n", 400 },
	{ "GET / HTTP/1.1\r\n" HOST "A: \x7f\r\n\r\n", 400 },
	{ "GET / HTTP/1.1\r\n\r\n", 400 },
	{ "GET / HTTP/1.1\r\n" HOST HOST "\r\n", 400 },
	{ "GET / HTTP/1.0\r\n" HOST HOST "\r\n", 400 },
	{ "GET / HTTP/1.1\r\nHost:\r\n\r\n", 400 },
	{ "GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400 },
	{ "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400 },
	{ "GET / HTTP/1.1\r\nHost: a@b\r\n\r\n", 400 },
	{ "GET / HTTP/1.1\r\nHost: a..b\r\n\r\n", 400 },
	{ "GET http://y/ HTTP/1.1\r\n" HOST "\r\n", 400 },
	/* lengths */
	{ "POST / HTTP/1.1\r\n" HOST "Content-Length: 1\r\nContent-Length: 1\r\n\r\n",
		400 },
	{ "POST / HTTP/1.1\r\n" HOST "Content-Length: 1\r\nContent-Length: 2\r\n\r\n",
		400 },
	{ "POST / HTTP/1.1\r\n" HOST "Content-Length: 1, 1\r\n\r\n", 400 },
	{ "POST / HTTP/1.1\r\n" HOST "Content-Length: +1\r\n\r\n", 400 },
	{ "POST / HTTP/1.1\r\n" HOST "Content-Length: -1\r\n\r\n", 400 },
	{ "POST / HTTP/1.1\r\n" HOST "Content-Length: 0x1\r\n\r\n", 400 },
	{ "POST / HTTP/1.1\r\n" HOST "Content-Length: 1 1\r\n\r\n", 400 },
	{ "POST / HTTP/1.1\r\n" HOST "Content-Length: 1.0\r\n\r\n", 400 },
	{ "POST / HTTP/1.1\r\n" HOST "Content-Length:\r\n\r\n", 400 },
	{ "POST / HTTP/1.1\r\n" HOST "Content-Length: \t1 \r\n\r\n", 0 },
	{ "POST / HTTP/1.1\r\n" HOST "Content-Length: 1\t\r\n\r\n", 400 },
	{ "POST / HTTP/1.1\r\n" HOST "Content-Length: 1 \t \r\n\r\n", 400 },
	{ "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\t\r\n\r\n", 0 },
	{ "POST / HTTP/1.1\r\n" HOST "Content-Length: 18446744073709551616\r\n\r\n",
		400 },
	{ "POST / HTTP/1.1\r\n" HOST "Content-Length: 9223372036854775808\r\n\r\n", 400 },
	{ "POST / HTTP/1.1\r\n" HOST "Content-Length: 1\r\n"
	  "Transfer-Encoding: chunked\r\n\r\n",
		400 },
	{ "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n"
	  "Content-Length: 1\r\n\r\n",
		400 },
	{ "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n"
	  "Transfer-Encoding: chunked\r\n\r\n",
		400 },
	{ "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: gzip, chunked\r\n\r\n", 400 },
	{ "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked, identity\r\n\r\n",
		400 },
	{ "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: xchunked\r\n\r\n", 400 },
	{ "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: identity\r\n\r\n", 400 },
	{ "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: \"chunked\"\r\n\r\n", 400 },
	{ "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: \x0b"
	  "chunked\r\n\r\n",
		400 },
	{ "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding:\r\n\r\n", 400 },
	{ "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding:\r\n chunked\r\n\r\n", 400 },
	{ "POST / HTTP/1.0\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n", 400 },
	{ "POST / HTTP/1.1\r\n" HOST "Expect: 200-ok\r\nContent-Length: 1\r\n\r\n", 417 },
};

static void test_vectors(void **state)
{
	struct field fields[64];

	(void)state;
	for (size_t i = 0; i < COUNT_OF(vectors); i++) {
		struct head head;
		char *memory;
		int status = judge(vectors[i].text, strlen(vectors[i].text), &head,
			&memory, fields);

		if (status != vectors[i].status)
			fail_msg("%d instead of %d: %s", status, vectors[i].status,
				vectors[i].text);
		free(memory);
	}
}

/* A control character is refused wherever it stands. */
static void test_control_characters(void **state)
{
	static const char text[] = "POST /a?b HTTP/1.1\r\n" HOST "Ab: c d\r\n\r\n";
	struct field fields[64];

	(void)state;
	for (size_t at = 0; at < sizeof(text) - 5; at++) {
		for (int byte = 0; byte < 0x20; byte++) {
			char *copy = xmemdup(text, sizeof(text) - 1);
			struct head head;
			char *memory;
			int status;

			copy[at] = (char)byte;
			status = judge(copy, sizeof(text) - 1, &head, &memory, fields);
			/* The tab may stand in a value, and be its white space. */
			if (!(byte == '\t' && strchr(": cd", text[at])) &&
				copy[at] != text[at] && status != 400)
				fail_msg("%d for 0x%02x at %zu", status, byte, at);
			free(memory);
			free(copy);
		}
	}
}

static void test_parts(void **state)
{
	static const char text[] =
		"POST http://ho:1/v1/x?key=a&b HTTP/1.1\r\nhOst: HO:1\r\n"
		"Content-LENGTH: 012\r\nExpect: 100-Continue\r\nX-Empty:\r\n"
		"X-Full:  a \tb \t \r\nConnection: keep-alive, close\r\n\r\nrest";
	struct field fields[64];
	struct head head;
	char *memory;

	(void)state;
	assert_int_equal(judge(text, sizeof(text) - 1, &head, &memory, fields), 0);
	assert_string_equal(head.method, "POST");
	assert_string_equal(head.path, "/v1/x");
	assert_string_equal(head.query, "key=a&b");
	assert_int_equal(head.field_count, 6);
	assert_string_equal(head.fields[0].name, "hOst");
	assert_string_equal(head.fields[3].value, "");
	assert_string_equal(head.fields[4].value, "a \tb");
	assert_int_equal(head.body_length, 12);
	assert_true(head.expects_continue);
	assert_false(head.is_keep_alive);
	free(memory);

	assert_int_equal(judge("GET http://x HTTP/1.1\r\n" HOST "\r\n", 34, &head,
				 &memory, fields),
		0);
	assert_string_equal(head.path, "/");
	free(memory);
}

static const struct {
	const char *fields;
	bool is_keep_alive_1_1, is_keep_alive_1_0;
} wish_vectors[] = {
	{ "", true, false },
	{ "Connection:\r\n", true, false },
	{ "Connection: close\r\n", false, false },
	{ "connection: CLOSE\r\n", false, false },
	{ "Connection: Keep-Alive\r\n", true, true },
	{ "Connection: te , close , x\r\n", false, false },
	{ "Connection: ,,keep-alive,\r\n", true, true },
	{ "Connection: keep-alive\r\nConnection: close\r\n", false, true },
	{ "Connection: x\r\nProxy-Connection: close\r\n", false, false },
	{ "Proxy-Connection: keep-alive\r\n", true, true },
	{ "Connection: closed, close x, xclose, clo\r\n", true, false },
	{ "Connection: keep-alives, keep alive\r\n", true, false },
};

static bool wants_keep_alive(const char *version, const char *given)
{
	struct field fields[8];
	struct head head;
	char text[256];
	char *memory;
	int size = snprintf(text, sizeof(text), "GET / HTTP/%s\r\n" HOST "%s\r\n",
		version, given);

	assert_int_equal(judge(text, (size_t)size, &head, &memory, fields), 0);
	free(memory);
	return head.is_keep_alive;
}

static void test_wishes(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT_OF(wish_vectors); i++) {
		const char *fields = wish_vectors[i].fields;

		if (wants_keep_alive("1.1", fields) !=
				wish_vectors[i].is_keep_alive_1_1 ||
			wants_keep_alive("1.0", fields) !=
				wish_vectors[i].is_keep_alive_1_0)
			fail_msg("%s", fields);
	}
}

/* Each field is found by its own name, and nothing by a name that only looks like it. */
static void test_values(void **state)
{
	static const char text[] = "GET / HTTP/1.1\r\n" HOST
				   "X-Ab: 1\r\nX-ab: 2\r\nA: 3\r\nXxAb: 4\r\n\r\n";
	struct field fields[8];
	struct head head;
	char *memory;

	(void)state;
	assert_int_equal(judge(text, sizeof(text) - 1, &head, &memory, fields), 0);
	assert_string_equal(head_value(&head, "x-aB"), "1");
	assert_string_equal(head_value(&head, "a"), "3");
	assert_string_equal(head_value(&head, "xxab"), "4");
	assert_string_equal(head_value(&head, "host"), "x");
	assert_null(head_value(&head, "x-a"));
	assert_null(head_value(&head, "x_ab"));
	assert_null(head_value(&head, "Hos t"));
	assert_null(head_value(&head, ""));
	free(memory);
}

/* Whatever stands in front of a byte, and how many come behind it, a run ends there or
 * passes it. */
static void check_run(size_t (*run)(const char *, size_t), bool (*is_in)(unsigned char),
	char filler)
{
	for (size_t size = 1; size < 40; size++) {
		for (size_t at = 0; at < size; at++) {
			for (int byte = 0; byte < 256; byte++) {
				char *text = xmalloc(size);
				size_t end = is_in((unsigned char)byte) ? size : at;

				memset(text, filler, size);
				text[at] = (char)byte;
				if (run(text, size) != end)
					fail_msg("0x%02x at %zu of %zu", byte, at, size);
				free(text);
			}
		}
	}
}

static void test_runs(void **state)
{
	(void)state;
	check_run(token_run, byte_is_token, '!');
	check_run(token_run, byte_is_token, 'x');
	check_run(text_run, byte_is_text, '\t');
	check_run(visible_run, byte_is_visible, ' ');
	assert_int_equal(token_run("", 0), 0);
}

/* A scan that is fed byte by byte ends where one in a single go does. */
static void test_scan_in_pieces(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT_OF(vectors); i++) {
		const char *text = vectors[i].text;
		struct head_scan whole = { 0 };
		struct head_scan pieces = { 0 };
		enum head_state last = HEAD_MORE;

		head_scan(&whole, text, strlen(text));
		while (last == HEAD_MORE && text[pieces.size])
			last = head_scan(&pieces, text + pieces.size, 1);
		assert_int_equal(pieces.size, whole.size);
		assert_int_equal(pieces.lines, whole.lines);
		assert_int_equal(pieces.state, whole.state);
	}
}

static const struct {
	const char *text;
	const char *body; /* NULL: bad */
} chunk_vectors[] = {
	{ "0\r\n\r\n", "" },
	{ "3\r\nabc\r\n00\r\n\r\n", "abc" },
	{ "1\r\na\r\nA\r\n0123456789\r\n0\r\n\r\n", "a0123456789" },
	{ "1;a=b;c=\"d\"\r\na\r\n0;x\r\nT: v\r\nU:\r\n\r\n", "a" },
	{ "+1\r\na\r\n0\r\n\r\n", NULL },
	{ "-1\r\na\r\n0\r\n\r\n", NULL },
	{ "0x1\r\na\r\n0\r\n\r\n", NULL },
	{ " 1\r\na\r\n0\r\n\r\n", NULL },
	{ "1 \r\na\r\n0\r\n\r\n", NULL },
	{ "1\t\r\na\r\n0\r\n\r\n", NULL },
	{ "1 ;a\r\na\r\n0\r\n\r\n", NULL },
	{ "\r\na\r\n0\r\n\r\n", NULL },
	{ ";a\r\na\r\n0\r\n\r\n", NULL },
	{ "g\r\na\r\n0\r\n\r\n", NULL },
	{ "1_0\r\na\r\n0\r\n\r\n", NULL },
	{ "1\na\r\n0\r\n\r\n", NULL },
	{ "1\ra\r\n0\r\n\r\n", NULL },
	{ "1\r\na\n0\r\n\r\n", NULL },
	{ "1\r\na0\r\n\r\n", NULL },
	{ "1\r\nab\r\n0\r\n\r\n", NULL },
	{ "1\r\na\r\n0\n\r\n", NULL },
	{ "1\r\na\r\n0\r\n\n", NULL },
	{ "1;a\nb\r\na\r\n0\r\n\r\n", NULL },
	{ "1;\x01\r\na\r\n0\r\n\r\n", NULL },
	{ "8000000000000000\r\na", NULL },
	{ "10000000000000000\r\na", NULL },
	{ "00000000000000001\r\na", NULL },
	{ "0\r\nT : v\r\n\r\n", NULL },
	{ "0\r\nT: v\r\n w\r\n\r\n", NULL },
	{ "0\r\nT: v\n\r\n", NULL },
	{ "0\r\nGET / HTTP/1.1\r\n\r\n", NULL },
};

/* Feeds so many bytes at a time. */
static void check_chunks(size_t vector, size_t step)
{
	const char *text = chunk_vectors[vector].text;
	size_t size = strlen(text);
	struct chunks chunks = { 0 };
	enum chunk_state last = CHUNK_MORE;
	char body[64];
	size_t body_size = 0;
	size_t at = 0;

	while (at < size && last != CHUNK_END && last != CHUNK_BAD) {
		struct chunk_run run;
		size_t piece = size - at < step ? size - at : step;
		size_t used;

		last = chunks_take(&chunks, text + at, piece, 1000, &used, &run);
		if (last == CHUNK_DATA) {
			memcpy(body + body_size, run.data, run.size);
			body_size += run.size;
		}
		at += used;
	}
	if (!chunk_vectors[vector].body) {
		if (last != CHUNK_BAD)
			fail_msg("accepted: %s", text);
		return;
	}
	assert_int_equal(last, CHUNK_END);
	assert_int_equal(at, size);
	assert_int_equal(body_size, strlen(chunk_vectors[vector].body));
	assert_memory_equal(body, chunk_vectors[vector].body, body_size);
}

static void test_chunks(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT_OF(chunk_vectors); i++) {
		for (size_t step = 1; step <= strlen(chunk_vectors[i].text); step++)
			check_chunks(i, step);
	}
}

static void test_chunk_extension_total(void **state)
{
	struct chunks chunks = { 0 };
	enum chunk_state last = CHUNK_MORE;
	struct chunk_run run;
	size_t used;
	int rounds = 0;

	(void)state;
	while (last != CHUNK_BAD && rounds++ < 1000) {
		static const char text[] =
			"1;aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\nb\r\n";

		for (size_t at = 0; at < sizeof(text) - 1 && last != CHUNK_BAD;
			at += used)
			last = chunks_take(&chunks, text + at, sizeof(text) - 1 - at,
				1000, &used, &run);
	}
	assert_int_equal(last, CHUNK_BAD);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_vectors),
		cmocka_unit_test(test_control_characters),
		cmocka_unit_test(test_parts),
		cmocka_unit_test(test_wishes),
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_runs),
		cmocka_unit_test(test_scan_in_pieces),
		cmocka_unit_test(test_chunks),
		cmocka_unit_test(test_chunk_extension_total),
	};

	return cmocka_run_group_tests_name("head", tests, NULL, NULL);
}
