/* write.c - the writing half of value.h, and how numbers and their texts go together.
 *
 * strtod() and snprintf() follow the process's locale, which neap leaves at "C". */
#include "json/value.h"

#include <float.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/number.h"
#include "json/text.h"

#define NUMBER_MAX 32                /* bytes of a double's text */
#define EXACT_MAX 9007199254740992.0 /* 2^53 */
#define EXACT_DIGITS 15              /* so many decimal digits always survive a double */

double value_number(const char *text, size_t size)
{
	char small[64];
	char *copy = small;
	double number;

	if (size <= EXACT_DIGITS && text[0] != '-') {
		int64_t integer = 0;
		size_t i;

		for (i = 0; i < size && text[i] >= '0' && text[i] <= '9'; i++)
			integer = integer * 10 + (text[i] - '0');
		if (i == size)
			return (double)integer;
	}
	if (size >= sizeof(small))
		copy = xmalloc(size + 1);
	memcpy(copy, text, size);
	copy[size] = '\0';
	number = strtod(copy, NULL);
	if (copy != small)
		free(copy);
	return number;
}

/* 1e+06 and 1e-07 lose what says nothing: 1e6 and 1e-7. */
static size_t tidy_exponent(char *text, size_t size)
{
	char *at = memchr(text, 'e', size);
	char *rest;

	if (!at)
		return size;
	rest = ++at;
	if (*rest == '-')
		at++;
	rest++;
	while (*rest == '0')
		rest++;
	size -= (size_t)(rest - at);
	memmove(at, rest, size - (size_t)(at - text));
	return size;
}

static size_t print_number(char *text, double number)
{
	/* A text of fewer digits than 15 that stands for the double is what 15 digits
	 * give without their zeros, but for the smallest doubles: they hold less. */
	int digits = fabs(number) < DBL_MIN ? 1 : EXACT_DIGITS;
	int size;

	if (!isfinite(number))
		return (size_t)snprintf(text, NUMBER_MAX, "null");
	if (fabs(number) <= EXACT_MAX && number == (double)(int64_t)number &&
		(number != 0 || !signbit(number)))
		return (size_t)snprintf(text, NUMBER_MAX, "%lld", (long long)number);
	do {
		size = snprintf(text, NUMBER_MAX, "%.*g", digits, number);
	} while (++digits <= DBL_DECIMAL_DIG && strtod(text, NULL) != number);
	return tidy_exponent(text, (size_t)size);
}

void value_write_number(struct buf *buf, double number)
{
	if (number >= 0 && number < 9007199254740992.0 && !signbit(number) &&
		(double)(uint64_t)number == number) {
		/* Most are whole, and need no search for the shortest text. */
		buf_grow(buf,
			number_write(buf_reserve(buf, NUMBER_ROOM), (uint64_t)number));
		return;
	}
	buf_grow(buf, print_number(buf_reserve(buf, NUMBER_MAX), number));
}

bool value_is_canonical(const char *text, size_t size, double number)
{
	char other[NUMBER_MAX];
	size_t digits;

	/* Most numbers are small integers. */
	for (digits = 0; digits < size && text[digits] >= '0' && text[digits] <= '9';)
		digits++;
	if (digits == size && size <= EXACT_DIGITS)
		return true;
	return print_number(other, number) == size && memcmp(other, text, size) == 0;
}

/* The unit of a lone surrogate's WTF-8, or 0 if the bytes are none. */
static unsigned surrogate_at(const char *data, size_t size)
{
	const unsigned char *text = (const unsigned char *)data;

	if (size < 3 || text[0] != 0xed || text[1] < 0xa0 || text[1] > 0xbf ||
		(text[2] & 0xc0) != 0x80)
		return 0;
	return 0xd000u | (text[1] & 0x3fu) << 6 | (text[2] & 0x3fu);
}

/* What does not stand for itself. Returns how many bytes were used. */
static size_t write_special(struct buf *buf, const char *text, size_t size)
{
	static const char escapes[] = "\"\\\b\f\n\r\t";
	static const char letters[] = "\"\\bfnrt";
	unsigned surrogate = surrogate_at(text, size);
	const char *found;

	if (surrogate) {
		buf_printf(buf, "\\u%04x", surrogate);
		return 3;
	}
	if ((unsigned char)*text >= 0x80) {
		buf_append_text(buf, "\xef\xbf\xbd");
		return 1;
	}
	found = memchr(escapes, *text, sizeof(escapes) - 1);
	if (found) {
		char escape[2] = { '\\', letters[found - escapes] };

		buf_append(buf, escape, sizeof(escape));
	} else {
		buf_printf(buf, "\\u%04x", (unsigned char)*text);
	}
	return 1;
}

static void write_rest(struct buf *buf, const char *text, size_t size)
{
	while (size) {
		size_t step = text_clean(text, size);

		buf_append(buf, text, step);
		if (step < size)
			step += write_special(buf, text + step, size - step);
		text += step;
		size -= step;
	}
	buf_append(buf, "\"", 1);
}

/* Copies the text before it is looked at: most have nothing special, and what lies in the
 * buffer can be read beyond its end. */
void value_write_string(struct buf *buf, const char *text, size_t size)
{
	char *out = buf_reserve(buf, size + TEXT_ROOM + 2);
	size_t plain = 0;

	*out++ = '"';
	if (size) {
		memcpy(out, text, size);
		plain = text_plain_in_room(out, size);
	}
	if (plain == size)
		out[plain++] = '"';
	buf->end += 1 + plain;
	if (plain < size)
		write_rest(buf, text + plain, size - plain);
}
