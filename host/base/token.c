#include "base/token.h"

#ifdef __SSE2__

#include <emmintrin.h>
#include <string.h>

#define BLOCK sizeof(__m128i)

/* A bit for each byte of a block that is of the class. */
typedef unsigned mark_fn(__m128i block);

/* Marks the bytes from first to last: those below first wrap around to large ones. */
static inline __m128i mark_range(__m128i block, char first, char last)
{
	__m128i above = _mm_sub_epi8(block, _mm_set1_epi8(first));
	__m128i most = _mm_set1_epi8((char)(last - first));

	return _mm_cmpeq_epi8(_mm_min_epu8(above, most), above);
}

/* Letters, digits and the hyphen are nearly all of a name; what else a token may hold is
 * left to byte_is_token(). */
static inline unsigned mark_plain(__m128i block)
{
	__m128i folded = _mm_or_si128(block, _mm_set1_epi8(0x20));
	__m128i hyphens = _mm_cmpeq_epi8(block, _mm_set1_epi8('-'));
	__m128i letters = mark_range(folded, 'a', 'z');
	__m128i digits = mark_range(block, '0', '9');

	return (unsigned)_mm_movemask_epi8(
		_mm_or_si128(_mm_or_si128(letters, digits), hyphens));
}

static inline unsigned mark_visible(__m128i block)
{
	return (unsigned)_mm_movemask_epi8(mark_range(block, ' ', '~'));
}

static inline unsigned mark_text(__m128i block)
{
	__m128i tabs = _mm_cmpeq_epi8(block, _mm_set1_epi8('\t'));
	__m128i deletes = _mm_cmpeq_epi8(block, _mm_set1_epi8(0x7f));
	__m128i text = mark_range(block, ' ', (char)0xff);

	return (unsigned)_mm_movemask_epi8(
		_mm_or_si128(_mm_andnot_si128(deletes, text), tabs));
}

static inline unsigned find_others(const char *data, mark_fn *mark)
{
	__m128i block;

	memcpy(&block, data, BLOCK);
	return ~mark(block) & 0xffff;
}

/* The first byte from at on that is not marked. What is left at the end is looked at in a
 * block that overlaps the one before. */
static inline __attribute__((always_inline)) size_t pass(const char *data, size_t size,
	size_t at, mark_fn *mark)
{
	unsigned others;

	for (; size - at >= BLOCK; at += BLOCK) {
		others = find_others(data + at, mark);
		if (others)
			return at + (size_t)__builtin_ctz(others);
	}
	if (at == size || size < BLOCK)
		return at;
	others = find_others(data + size - BLOCK, mark) >> (at + BLOCK - size);
	return others ? at + (size_t)__builtin_ctz(others) : size;
}

#define PASS(data, size, at, mark) pass(data, size, at, mark)

#else
#define PASS(data, size, at, mark) (at)
#endif

size_t visible_run(const char *data, size_t size)
{
	size_t at = PASS(data, size, 0, mark_visible);

	while (at < size && byte_is_visible((unsigned char)data[at]))
		at++;
	return at;
}

size_t token_run(const char *data, size_t size)
{
	size_t at = PASS(data, size, 0, mark_plain);

	while (at < size && byte_is_token((unsigned char)data[at]))
		at = PASS(data, size, at + 1, mark_plain);
	return at;
}

size_t text_run(const char *data, size_t size)
{
	size_t at = PASS(data, size, 0, mark_text);

	while (at < size && byte_is_text((unsigned char)data[at]))
		at++;
	return at;
}
