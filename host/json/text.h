/* text.h - JSON at the level of bytes: where a string ends, what is UTF-8, what is a
 * number.
 *
 * The scanner and the reader both stand on it, so that they cannot differ in these. It
 * knows nothing of structure and keeps no state of its own. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#define TEXT_ROOM 16

/* Passes over the inside of a string. Returns the offset of its closing quote, or size
 * if it does not end here. is_escaped: whether the first byte stands behind a backslash;
 * set for the byte behind the last one, so that a string can be passed in parts. */
static inline size_t text_string_end(const char *data, size_t size, bool *is_escaped);
/* Where members' names may end: the offsets of the quotes that have a colon or white space
 * behind them, in order, at most so many. Returns how many these are. Quotes inside of
 * strings can be among them. */
size_t text_name_ends(const char *data, size_t size, size_t *ends, size_t most);
/* How many bytes at the start are ASCII that stands for itself in a string: no quote, no
 * backslash, no control character. */
size_t text_plain(const char *data, size_t size);
/* The same, faster, where TEXT_ROOM bytes behind the end can be read, whatever they are. */
size_t text_plain_in_room(const char *data, size_t size);
/* The same with well-formed UTF-8 beyond ASCII: what stands for itself in a string. */
size_t text_clean(const char *data, size_t size);
/* Bytes of a JSON string's inside, at most so many, that are whole characters and escapes:
 * where it can be cut and is a string still. */
size_t text_cut(const char *data, size_t size, size_t most);

/* How far a number has come; text_number() takes it over one byte. */
enum text_number {
	NUMBER_NONE, /* what came does not continue the number */
	NUMBER_START,
	NUMBER_MINUS,
	NUMBER_ZERO,
	NUMBER_INTEGER,
	NUMBER_POINT,
	NUMBER_FRACTION,
	NUMBER_E,
	NUMBER_SIGN,
	NUMBER_EXPONENT,
};

enum text_number text_number(enum text_number number, char byte);
/* Whether the number may end here. */
bool text_number_is_whole(enum text_number number);

static inline bool text_is_space(char byte)
{
	/* Most bytes are none: they are through with one comparison. */
	return (unsigned char)byte <= ' ' &&
		(byte == ' ' || byte == '\n' || byte == '\r' || byte == '\t');
}

/* text_string_end() of a string of any length. */
size_t text_string_rest(const char *data, size_t size, bool *is_escaped);

/* Most strings are names and short words, which end among the first 16 bytes. */
static inline size_t text_string_end(const char *data, size_t size, bool *is_escaped)
{
#ifdef __SSE2__
	__m128i part;

	if (!*is_escaped && size >= sizeof(part)) {
		unsigned quotes, backslashes;

		memcpy(&part, data, sizeof(part));
		quotes = (unsigned)_mm_movemask_epi8(
			_mm_cmpeq_epi8(part, _mm_set1_epi8('"')));
		backslashes = (unsigned)_mm_movemask_epi8(
			_mm_cmpeq_epi8(part, _mm_set1_epi8('\\')));
		/* A quote with no backslash before it. */
		if (quotes && (backslashes & ((quotes & -quotes) - 1)) == 0)
			return (size_t)__builtin_ctz(quotes);
	}
#endif
	return text_string_rest(data, size, is_escaped);
}
