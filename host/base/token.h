/* token.h - classes of bytes in a head (RFC 9110 5.6.2, 5.5), for either direction. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

static inline bool byte_is_digit(char byte)
{
	return byte >= '0' && byte <= '9';
}

/* What names of fields and methods are made of. */
static inline bool byte_is_token(unsigned char byte)
{
	/* One bit for each of the bytes 0 to 127: !#$%&'*+-. 0-9 A-Z ^_` a-z |~ */
	static const unsigned long long set[2] = { 0x03ff6cfa00000000,
		0x57ffffffc7fffffe };

	return byte < 0x80 && (set[byte >> 6] >> (byte & 63) & 1);
}

/* What a field's value is made of: no control character but the tab. Bytes from 0x80 on
 * are old practice and pass. */
static inline bool byte_is_text(unsigned char byte)
{
	return (byte >= ' ' && byte != 0x7f) || byte == '\t';
}

/* What the line of a request is made of. */
static inline bool byte_is_visible(unsigned char byte)
{
	return byte >= ' ' && byte < 0x7f;
}

/* How many bytes from the start of data are of the class; many are looked at at once. */
size_t visible_run(const char *data, size_t size);
size_t token_run(const char *data, size_t size);
size_t text_run(const char *data, size_t size);
