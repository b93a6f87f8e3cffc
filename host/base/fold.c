#include "base/fold.h"

#include <locale.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <wctype.h>

static locale_t unicode;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void open_locale(void)
{
	unicode = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
}

/* Bytes of the sequence that begins with first; 0: none of several bytes does. */
static size_t sequence_size(unsigned char first)
{
	if (first < 0xc2 || first >= 0xf5)
		return 0;
	if (first < 0xe0)
		return 2;
	return first < 0xf0 ? 3 : 4;
}

/* The character at text and its length; code 0 and one byte where it is none. */
static size_t read_character(const char *text, size_t size, uint32_t *code)
{
	unsigned char first = (unsigned char)*text;
	size_t length = sequence_size(first);

	*code = 0;
	if (!length || length > size)
		return 1;
	uint32_t value = first & (0x7fu >> length);

	for (size_t i = 1; i < length; i++) {
		if (((unsigned char)text[i] & 0xc0) != 0x80)
			return 1;
		value = value << 6 | ((unsigned char)text[i] & 0x3f);
	}
	*code = value;
	return length;
}

static size_t write_character(char *out, uint32_t code)
{
	if (code < 0x80) {
		out[0] = (char)code;
		return 1;
	}
	if (code < 0x800) {
		out[0] = (char)(0xc0 | code >> 6);
		out[1] = (char)(0x80 | (code & 0x3f));
		return 2;
	}
	if (code < 0x10000) {
		out[0] = (char)(0xe0 | code >> 12);
		out[1] = (char)(0x80 | (code >> 6 & 0x3f));
		out[2] = (char)(0x80 | (code & 0x3f));
		return 3;
	}
	out[0] = (char)(0xf0 | code >> 18);
	out[1] = (char)(0x80 | (code >> 12 & 0x3f));
	out[2] = (char)(0x80 | (code >> 6 & 0x3f));
	out[3] = (char)(0x80 | (code & 0x3f));
	return 4;
}

size_t fold_room(size_t size)
{
	return size / 2 * 3 + 8; /* two bytes may become three (U+023A), no more */
}

size_t fold(char *out, const char *text, size_t size)
{
	size_t at = 0, written = 0;

	pthread_once(&once, open_locale);
	while (at < size) {
		unsigned char byte = (unsigned char)text[at];
		uint32_t code, lower;
		size_t length;

		if (byte < 0x80) {
			bool is_upper = byte >= 'A' && byte <= 'Z';

			out[written++] = (char)(is_upper ? byte + 32 : byte);
			at++;
			continue;
		}
		length = read_character(text + at, size - at, &code);
		lower = code;
		if (code && unicode)
			lower = (uint32_t)towlower_l((wint_t)code, unicode);
		if (lower == code) {
			memcpy(out + written, text + at, length);
			written += length;
		} else {
			written += write_character(out + written, lower);
		}
		at += length;
	}
	return written;
}
