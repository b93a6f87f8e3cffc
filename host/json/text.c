#include "json/text.h"

#include <stdint.h>
#include <string.h>

#ifdef __SSE2__
#include <immintrin.h>
#endif

#include "base/utf8.h"

#define EVEN_BITS 0x5555555555555555u
#define ODD_BITS 0xaaaaaaaaaaaaaaaau

#ifdef __SSE2__

#define BLOCK 64 /* bytes: one bit of a machine word for each */

static inline __m128i load(const char *data)
{
	__m128i part;

	memcpy(&part, data, sizeof(part));
	return part;
}

static inline uint64_t find_in_part(const char *data, __m128i wanted)
{
	return (uint32_t)_mm_movemask_epi8(_mm_cmpeq_epi8(load(data), wanted));
}

/* A bit for each of the 64 bytes that equals byte. */
static inline uint64_t find_byte(const char *data, char byte)
{
	__m128i wanted = _mm_set1_epi8(byte);

	return find_in_part(data, wanted) | find_in_part(data + 16, wanted) << 16 |
		find_in_part(data + 32, wanted) << 32 |
		find_in_part(data + 48, wanted) << 48;
}

static inline __m128i mark_part(const char *data)
{
	__m128i part = load(data);

	return _mm_or_si128(_mm_cmpeq_epi8(part, _mm_set1_epi8('"')),
		_mm_cmpeq_epi8(part, _mm_set1_epi8('\\')));
}

/* Whether a quote or a backslash is among the 64 bytes. */
static inline bool is_interesting(const char *data)
{
	__m128i first = _mm_or_si128(mark_part(data), mark_part(data + 16));
	__m128i second = _mm_or_si128(mark_part(data + 32), mark_part(data + 48));

	return _mm_movemask_epi8(_mm_or_si128(first, second)) != 0;
}

/* Bytes of the blocks at the start in which neither a quote nor a backslash is. */
static size_t dull_blocks_plain(const char *data, size_t size)
{
	size_t at = 0;

	while (size - at >= BLOCK && !is_interesting(data + at))
		at += BLOCK;
	return at;
}

/* The same in half the steps, for what text is made of most. */
__attribute__((target("avx2"))) static size_t dull_blocks_wide(const char *data,
	size_t size)
{
	__m256i quote = _mm256_set1_epi8('"'), backslash = _mm256_set1_epi8('\\');
	size_t at;

	for (at = 0; size - at >= BLOCK; at += BLOCK) {
		__m256i low, high, marks;

		memcpy(&low, data + at, sizeof(low));
		memcpy(&high, data + at + sizeof(low), sizeof(high));
		marks = _mm256_or_si256(_mm256_or_si256(_mm256_cmpeq_epi8(low, quote),
						_mm256_cmpeq_epi8(low, backslash)),
			_mm256_or_si256(_mm256_cmpeq_epi8(high, quote),
				_mm256_cmpeq_epi8(high, backslash)));
		if (_mm256_movemask_epi8(marks))
			break;
	}
	return at;
}

static size_t dull_blocks(const char *data, size_t size)
{
	return __builtin_cpu_supports("avx2") ? dull_blocks_wide(data, size)
					      : dull_blocks_plain(data, size);
}

/* The bits right behind the runs of backslashes of odd length: what stands there is
 * escaped. Adding a run's first bit to it carries to the bit behind it, and whether the
 * places of these two are both even or both odd tells whether the length is even. */
static inline uint64_t behind_odd_runs(uint64_t backslashes, bool *is_escaped)
{
	uint64_t starts = backslashes & ~(backslashes << 1);
	uint64_t from_odd;
	uint64_t from_even = backslashes + (starts & EVEN_BITS);

	/* A run up to the last bit is of odd length if it began at an odd place. */
	*is_escaped = __builtin_add_overflow(backslashes, starts & ODD_BITS, &from_odd);
	return ((from_even & ODD_BITS) | (from_odd & EVEN_BITS)) & ~backslashes;
}

static size_t pass_blocks(const char *data, size_t size, bool *is_escaped)
{
	size_t at;

	for (at = 0; size - at >= BLOCK; at += BLOCK) {
		uint64_t quotes, backslashes, first;
		size_t dull = dull_blocks(data + at, size - at);

		if (dull) {
			*is_escaped = false;
			at += dull;
			if (size - at < BLOCK)
				break;
		}
		first = *is_escaped;
		*is_escaped = false;
		backslashes = find_byte(data + at, '\\') & ~first;
		quotes = find_byte(data + at, '"') & ~first;
		if (backslashes)
			quotes &= ~behind_odd_runs(backslashes, is_escaped);
		if (quotes) {
			*is_escaped = false;
			return at + (size_t)__builtin_ctzll(quotes);
		}
	}
	return at;
}

/* Signed, the bytes from 0x80 on are less than a space too. */
static inline int odd_bytes(const char *data)
{
	__m128i part = load(data);
	__m128i odd;

	odd = _mm_cmplt_epi8(part, _mm_set1_epi8(' '));
	odd = _mm_or_si128(odd, _mm_cmpeq_epi8(part, _mm_set1_epi8('"')));
	odd = _mm_or_si128(odd, _mm_cmpeq_epi8(part, _mm_set1_epi8('\\')));
	return _mm_movemask_epi8(odd);
}

static size_t plain_blocks(const char *data, size_t size)
{
	size_t at;

	for (at = 0; size - at >= sizeof(__m128i); at += sizeof(__m128i)) {
		int odd = odd_bytes(data + at);

		if (odd)
			return at + (size_t)__builtin_ctz((unsigned)odd);
	}
	return at;
}

size_t text_plain_in_room(const char *data, size_t size)
{
	for (size_t at = 0; at < size; at += sizeof(__m128i)) {
		int odd = odd_bytes(data + at);

		if (odd) {
			at += (size_t)__builtin_ctz((unsigned)odd);
			return at < size ? at : size;
		}
	}
	return size;
}

/* A bit for each of 16 quotes that has a colon or white space behind it. */
static inline unsigned find_name_ends(const char *data)
{
	__m128i behind = load(data + 1), space = _mm_set1_epi8(' ');
	__m128i ends = _mm_cmpeq_epi8(_mm_max_epu8(behind, space), space);

	ends = _mm_or_si128(ends, _mm_cmpeq_epi8(behind, _mm_set1_epi8(':')));
	ends = _mm_and_si128(ends, _mm_cmpeq_epi8(load(data), _mm_set1_epi8('"')));
	return (unsigned)_mm_movemask_epi8(ends);
}

static size_t name_end_blocks(const char *data, size_t size, size_t *ends, size_t most,
	size_t *count)
{
	size_t at;

	for (at = 0; size - at > sizeof(__m128i); at += sizeof(__m128i)) {
		unsigned mask = find_name_ends(data + at);

		for (; mask && *count < most; mask &= mask - 1)
			ends[(*count)++] = at + (size_t)__builtin_ctz(mask);
	}
	return at;
}

#else

#define EACH_BYTE(byte) (0x0101010101010101u * (byte))

/* Not zero if one of the eight bytes equals byte. */
static inline uint64_t find_byte(uint64_t word, unsigned char byte)
{
	uint64_t zero = word ^ EACH_BYTE(byte);

	return (zero - EACH_BYTE(0x01u)) & ~zero & EACH_BYTE(0x80u);
}

/* Stops before the word that holds something of interest; the caller goes byte by byte
 * from there. */
static size_t pass_blocks(const char *data, size_t size, bool *is_escaped)
{
	size_t at = 0;
	uint64_t word;

	if (*is_escaped)
		return 0;
	for (; size - at >= sizeof(word); at += sizeof(word)) {
		memcpy(&word, data + at, sizeof(word));
		if (find_byte(word, '"') | find_byte(word, '\\'))
			break;
	}
	return at;
}

static size_t plain_blocks(const char *data, size_t size)
{
	size_t at;
	uint64_t word;

	for (at = 0; size - at >= sizeof(word); at += sizeof(word)) {
		memcpy(&word, data + at, sizeof(word));
		if (find_byte(word, '"') | find_byte(word, '\\'))
			break;
		if ((word | (word - EACH_BYTE(0x20u))) & EACH_BYTE(0x80u))
			break;
	}
	return at;
}

size_t text_plain_in_room(const char *data, size_t size)
{
	return text_plain(data, size);
}

static size_t name_end_blocks(const char *data, size_t size, size_t *ends, size_t most,
	size_t *count)
{
	(void)data, (void)size, (void)ends, (void)most, (void)count;
	return 0;
}

#endif

/* Goes byte by byte up to the quote, the end, or size bytes. */
static size_t pass_bytes(const char *data, size_t size, bool *is_escaped)
{
	size_t at;

	for (at = 0; at < size; at++) {
		if (*is_escaped)
			*is_escaped = false;
		else if (data[at] == '\\')
			*is_escaped = true;
		else if (data[at] == '"')
			break;
	}
	return at;
}

size_t text_string_rest(const char *data, size_t size, bool *is_escaped)
{
	size_t at = 0;

	while (at < size) {
		size_t step;

		at += pass_blocks(data + at, size - at, is_escaped);
		step = size - at < 64 ? size - at : 64;
		at += pass_bytes(data + at, step, is_escaped);
		if (at < size && data[at] == '"' && !*is_escaped)
			return at;
	}
	return size;
}

static inline bool may_follow_name(char byte)
{
	return byte == ':' || (unsigned char)byte <= ' ';
}

size_t text_name_ends(const char *data, size_t size, size_t *ends, size_t most)
{
	size_t count = 0;
	size_t at = name_end_blocks(data, size, ends, most, &count);

	for (; size - at > 1 && count < most; at++)
		if (data[at] == '"' && may_follow_name(data[at + 1]))
			ends[count++] = at;
	return count;
}

size_t text_plain(const char *data, size_t size)
{
	size_t at = plain_blocks(data, size);

	while (at < size && (unsigned char)data[at] >= ' ' &&
		(unsigned char)data[at] < 0x80 && data[at] != '"' && data[at] != '\\')
		at++;
	return at;
}

size_t text_clean(const char *data, size_t size)
{
	size_t at = 0;

	for (;;) {
		at += text_plain(data + at, size - at);
		if (at == size || (unsigned char)data[at] < 0x80)
			return at;
		while (at < size && (unsigned char)data[at] >= 0x80) {
			size_t step = utf8_size(data + at, size - at);

			if (!step)
				return at;
			at += step;
		}
	}
}

static inline bool is_digit(char byte)
{
	return byte >= '0' && byte <= '9';
}

enum text_number text_number(enum text_number number, char byte)
{
	switch (number) {
	case NUMBER_START:
		if (byte == '-')
			return NUMBER_MINUS;
		__attribute__((fallthrough));
	case NUMBER_MINUS:
		if (byte == '0')
			return NUMBER_ZERO;
		return is_digit(byte) ? NUMBER_INTEGER : NUMBER_NONE;
	case NUMBER_INTEGER:
		if (is_digit(byte))
			return NUMBER_INTEGER;
		__attribute__((fallthrough));
	case NUMBER_ZERO:
		if (byte == '.')
			return NUMBER_POINT;
		return byte == 'e' || byte == 'E' ? NUMBER_E : NUMBER_NONE;
	case NUMBER_FRACTION:
		if (byte == 'e' || byte == 'E')
			return NUMBER_E;
		__attribute__((fallthrough));
	case NUMBER_POINT:
		return is_digit(byte) ? NUMBER_FRACTION : NUMBER_NONE;
	case NUMBER_E:
		if (byte == '+' || byte == '-')
			return NUMBER_SIGN;
		__attribute__((fallthrough));
	case NUMBER_SIGN:
	case NUMBER_EXPONENT:
		return is_digit(byte) ? NUMBER_EXPONENT : NUMBER_NONE;
	case NUMBER_NONE:
		break;
	}
	return NUMBER_NONE;
}

bool text_number_is_whole(enum text_number number)
{
	return number == NUMBER_ZERO || number == NUMBER_INTEGER ||
		number == NUMBER_FRACTION || number == NUMBER_EXPONENT;
}

size_t text_cut(const char *data, size_t size, size_t most)
{
	size_t at = 0;

	if (size <= most)
		return size;
	while (at < most) {
		const char *escape = memchr(data + at, '\\', most - at);
		size_t width = 2;

		if (!escape)
			break;
		at = (size_t)(escape - data);
		if (data[at + 1] == 'u')
			/* The second half of a pair is an escape of its own: "\ud83d\ude00". */
			width = size - at > 2 && (data[at + 2] | 0x20) == 'd' &&
					size - at > 3 && strchr("89abAB", data[at + 3])
				? 12
				: 6;
		if (at + width > most)
			return at;
		at += width;
	}
	while (most > at && ((unsigned char)data[most] & 0xc0) == 0x80)
		most--;
	return most;
}
