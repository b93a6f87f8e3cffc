/* utf8.h - what is a character of UTF-8, for JSON and for what is shown of others' bytes. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

static inline bool utf8_is_tail(unsigned char byte)
{
	return (byte & 0xc0) == 0x80;
}

/* The length (1 to 4) of the well-formed sequence at the start; 0 if there is none, as with a
 * surrogate or an overlong form. */
static inline size_t utf8_size(const char *data, size_t size)
{
	const unsigned char *text = (const unsigned char *)data;

	if (!size)
		return 0;
	if (text[0] < 0x80)
		return 1;
	if (text[0] < 0xc2 || text[0] > 0xf4 || size < 2 || !utf8_is_tail(text[1]))
		return 0;
	if (text[0] < 0xe0)
		return 2;
	if ((text[0] == 0xe0 && text[1] < 0xa0) || (text[0] == 0xed && text[1] > 0x9f))
		return 0;
	if (size < 3 || !utf8_is_tail(text[2]))
		return 0;
	if (text[0] < 0xf0)
		return 3;
	if ((text[0] == 0xf0 && text[1] < 0x90) || (text[0] == 0xf4 && text[1] > 0x8f))
		return 0;
	return size >= 4 && utf8_is_tail(text[3]) ? 4 : 0;
}
