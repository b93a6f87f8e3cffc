/* Content codings: what an encoder makes comes back, in pieces of any size, and what none made
 * is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>

#include "base/buf.h"
#include "upstream/decode.h"

#define SIZE 100000

/* "hello hello hello hello\n", as libbrotlienc encodes it. */
static const unsigned char brotli_hello[] = { 0x1b, 0x17, 0x00, 0xf8, 0x8d, 0x94, 0x6e,
	0xde, 0x44, 0x55, 0x86, 0xd6, 0x0a, 0x20, 0x6c, 0x6f, 0x4a, 0x11, 0x79, 0xe2,
	0x80, 0xae, 0x16 };

static char *text_of(size_t size)
{
	char *text = xmalloc(size);
	unsigned seed = 7;

	for (size_t i = 0; i < size; i++)
		text[i] = "abcdefgh"[(seed = seed * 1103515245 + 12345) >> 29];
	return text;
}

static size_t deflate_with(int bits, const char *text, size_t size, char *room,
	size_t max)
{
	z_stream stream = { 0 };

	assert_int_equal(deflateInit2(&stream, 6, Z_DEFLATED, bits, 8,
				 Z_DEFAULT_STRATEGY),
		Z_OK);
	stream.next_in = (unsigned char *)(uintptr_t)text;
	stream.avail_in = (unsigned)size;
	stream.next_out = (unsigned char *)room;
	stream.avail_out = (unsigned)max;
	assert_int_equal(deflate(&stream, Z_FINISH), Z_STREAM_END);
	deflateEnd(&stream);
	return max - stream.avail_out;
}

/* Decodes with parts of in_part bytes in and room for out_part bytes out. */
static enum decoded run(const char *coding, const char *data, size_t size, size_t in_part,
	size_t out_part, struct buf *result)
{
	struct decoder *decoder = decoder_new(coding);
	enum decoded decoded = DECODED_MORE;
	size_t at = 0;

	assert_non_null(decoder);
	while (decoded == DECODED_FULL || (decoded != DECODED_BAD && at < size)) {
		size_t part = size - at < in_part ? size - at : in_part;
		struct decode_step step = { data + at, part,
			buf_reserve(result, out_part), out_part };

		decoded = decoder_run(decoder, &step);
		at += part - step.in_size;
		buf_grow(result, out_part - step.out_size);
		if (decoded == DECODED_MORE)
			assert_int_equal(step.in_size, 0);
	}
	assert_true(decoder_is_done(decoder) || decoded != DECODED_END);
	decoder_free(decoder);
	return decoded;
}

static void check(const char *coding, const char *data, size_t size, const char *text,
	size_t text_size)
{
	static const size_t parts[][2] = { { SIZE, SIZE }, { 1, SIZE }, { SIZE, 1 },
		{ 7, 100 } };

	for (size_t i = 0; i < COUNT_OF(parts); i++) {
		struct buf result = { 0 };
		char *copy;

		assert_int_equal(run(coding, data, size, parts[i][0], parts[i][1],
					 &result),
			DECODED_END);
		assert_int_equal(buf_size(&result), text_size);
		assert_memory_equal(buf_data(&result), text, text_size);
		buf_reset(&result);
		copy = xmalloc(size + 1);
		memcpy(copy, data, size);
		copy[size] = 'x';
		assert_int_equal(run(coding, copy, size + 1, parts[i][0], parts[i][1],
					 &result),
			DECODED_BAD);
		free(copy);
		buf_reset(&result);
		/* Not all of it is not the end of it. */
		assert_int_not_equal(run(coding, data, size - 5, parts[i][0], parts[i][1],
					     &result),
			DECODED_END);
		buf_clear(&result);
	}
}

static void codings_are_undone(void **state)
{
	char *text = text_of(SIZE), *room = xmalloc(2 * SIZE);
	static const char hello[] = "hello hello hello hello\n";
	size_t size;

	(void)state;
	size = deflate_with(16 + MAX_WBITS, text, SIZE, room, 2 * SIZE);
	check("gzip", room, size, text, SIZE);
	check("X-GZip", room, size, text, SIZE);
	size = deflate_with(MAX_WBITS, text, SIZE, room, 2 * SIZE);
	check("deflate", room, size, text, SIZE);
	size = deflate_with(-MAX_WBITS, text, SIZE, room, 2 * SIZE);
	check("deflate", room, size, text, SIZE);
	size = ZSTD_compress(room, 2 * SIZE, text, SIZE, 3);
	check("zstd", room, size, text, SIZE);
	check("br", (const char *)brotli_hello, sizeof(brotli_hello), hello,
		sizeof(hello) - 1);
	free(text);
	free(room);
}

static void what_is_none_is_refused(void **state)
{
	static const char *const codings[] = { "gzip", "deflate", "br", "zstd" };
	struct buf result = { 0 };

	(void)state;
	for (size_t i = 0; i < COUNT_OF(codings); i++)
		assert_int_equal(run(codings[i], "\xff\xff\xff\xff no such thing at all",
					 25, 25, SIZE, &result),
			DECODED_BAD);
	buf_clear(&result);
	assert_null(decoder_new("compress"));
	assert_null(decoder_new("gzip, br"));
	assert_null(decoder_new(""));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(codings_are_undone),
		cmocka_unit_test(what_is_none_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
