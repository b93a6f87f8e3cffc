/* pack.h - numbers and texts in few bytes: how values are written into rows.
 *
 *	out = pack_number(out, 300);            // 1 byte below 128, 10 at most
 *	out = pack_text(out, name);             // its size, then its bytes
 *
 *	struct unpack from = unpack_start(value);
 *	uint64_t number = unpack_number(&from);
 *	if (from.is_bad)                        // asked once, at the end
 *		return -EBADMSG;
 *
 * Packing writes where the caller has made room. Unpacking never leaves its bytes: behind
 * their end, and after bytes that nobody packed, everything reads as 0 and empty. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "storage/key.h"

#define PACK_NUMBER_MAX 10 /* bytes */

static inline unsigned char *pack_number(unsigned char *out, uint64_t number)
{
	while (number >= 0x80) {
		*out++ = (unsigned char)(number | 0x80);
		number >>= 7;
	}
	*out++ = (unsigned char)number;
	return out;
}

/* Small whatever its sign. */
static inline unsigned char *pack_signed(unsigned char *out, int64_t number)
{
	uint64_t bits = (uint64_t)number;

	return pack_number(out, bits << 1 ^ (number < 0 ? UINT64_MAX : 0));
}

static inline unsigned char *pack_raw(unsigned char *out, const void *data, size_t size)
{
	if (size)
		memcpy(out, data, size);
	return out + size;
}

static inline unsigned char *pack_text(unsigned char *out, struct bytes text)
{
	out = pack_number(out, text.size);
	return pack_raw(out, text.data, text.size);
}

struct unpack {
	const unsigned char *at;
	const unsigned char *end;
	bool is_bad;
};

static inline struct unpack unpack_start(struct bytes packed)
{
	const unsigned char *data = packed.data;

	return (struct unpack) { data, data ? data + packed.size : data, false };
}

static inline bool unpack_is_over(const struct unpack *from)
{
	return from->at == from->end;
}

static inline uint64_t unpack_bad(struct unpack *from)
{
	from->is_bad = true;
	from->at = from->end;
	return 0;
}

/* Not inline: nearly all numbers are of one byte. */
static __attribute__((noinline, unused)) uint64_t unpack_long_number(struct unpack *from)
{
	uint64_t number = 0;

	for (unsigned shift = 0; shift < 64; shift += 7) {
		unsigned char byte;

		if (from->at == from->end)
			return unpack_bad(from);
		byte = *from->at++;
		/* The tenth byte has room for one bit. */
		if (shift == 63 && byte > 1)
			return unpack_bad(from);
		number |= (uint64_t)(byte & 0x7f) << shift;
		if (byte < 0x80)
			return number;
	}
	return unpack_bad(from);
}

static inline uint64_t unpack_number(struct unpack *from)
{
	if (from->at != from->end && *from->at < 0x80)
		return *from->at++;
	return unpack_long_number(from);
}

static inline int64_t unpack_signed(struct unpack *from)
{
	uint64_t bits = unpack_number(from);

	return (int64_t)(bits >> 1 ^ (bits & 1 ? UINT64_MAX : 0));
}

/* Borrows from what is unpacked. */
static inline struct bytes unpack_raw(struct unpack *from, uint64_t size)
{
	struct bytes raw = { from->at, (size_t)size };

	if (size > (uint64_t)(from->end - from->at)) {
		unpack_bad(from);
		return (struct bytes) { 0 };
	}
	if (size)
		from->at += size;
	return raw;
}

static inline struct bytes unpack_text(struct unpack *from)
{
	return unpack_raw(from, unpack_number(from));
}
