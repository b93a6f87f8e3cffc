#include "storage/key.h"

#include <errno.h>
#include <string.h>

#include "base/buf.h"

/* In a text a zero byte is followed by ZERO_INSIDE; the text ends with two zeros, which
 * sort before all that may stand there instead. */
#define ZERO_INSIDE 0xff

void key_raw(struct key *key, const void *data, size_t size)
{
	if (key->size > KEY_MAX || size > KEY_MAX - key->size) {
		key->size = KEY_MAX + 1;
		return;
	}
	if (size)
		memcpy(key->data + key->size, data, size);
	key->size += size;
}

static void add_number(struct key *key, uint64_t value, int size)
{
	unsigned char bytes[8];

	for (int i = 0; i < size; i++)
		bytes[i] = (unsigned char)(value >> (8 * (size - 1 - i)));
	key_raw(key, bytes, (size_t)size);
}

void key_u8(struct key *key, uint8_t value)
{
	add_number(key, value, 1);
}

void key_u16(struct key *key, uint16_t value)
{
	add_number(key, value, 2);
}

void key_u32(struct key *key, uint32_t value)
{
	add_number(key, value, 4);
}

void key_u64(struct key *key, uint64_t value)
{
	add_number(key, value, 8);
}

void key_text_prefix(struct key *key, const char *text, size_t size)
{
	static const unsigned char zero[2] = { 0, ZERO_INSIDE };

	while (size && key->size <= KEY_MAX) {
		const char *end = memchr(text, '\0', size);
		size_t run = end ? (size_t)(end - text) : size;

		key_raw(key, text, run);
		if (!end)
			return;
		key_raw(key, zero, sizeof(zero));
		text = end + 1;
		size -= run + 1;
	}
}

void key_text(struct key *key, const char *text, size_t size)
{
	key_text_prefix(key, text, size);
	add_number(key, 0, 2);
}

struct bytes key_bytes(const struct key *key)
{
	return (struct bytes) { key->data, key->size };
}

/* -- parts of a key --------------------------------------------------------------- */

int key_take_raw(struct bytes *rest, size_t size, struct bytes *value)
{
	if (rest->size < size)
		return -EBADMSG;
	*value = (struct bytes) { rest->data, size };
	rest->data = (const unsigned char *)rest->data + size;
	rest->size -= size;
	return 0;
}

static int take_number(struct bytes *rest, size_t size, uint64_t *value)
{
	struct bytes part;

	*value = 0;
	if (key_take_raw(rest, size, &part) != 0)
		return -EBADMSG;
	for (size_t i = 0; i < size; i++)
		*value = *value << 8 | ((const unsigned char *)part.data)[i];
	return 0;
}

int key_take_u8(struct bytes *rest, uint8_t *value)
{
	uint64_t number;
	int rc = take_number(rest, sizeof(*value), &number);

	*value = (uint8_t)number;
	return rc;
}

int key_take_u16(struct bytes *rest, uint16_t *value)
{
	uint64_t number;
	int rc = take_number(rest, sizeof(*value), &number);

	*value = (uint16_t)number;
	return rc;
}

int key_take_u32(struct bytes *rest, uint32_t *value)
{
	uint64_t number;
	int rc = take_number(rest, sizeof(*value), &number);

	*value = (uint32_t)number;
	return rc;
}

int key_take_u64(struct bytes *rest, uint64_t *value)
{
	return take_number(rest, sizeof(*value), value);
}

int key_take_text(struct bytes *rest, struct buf *out)
{
	for (;;) {
		const char *text = rest->data;
		const char *zero = rest->size ? memchr(text, '\0', rest->size) : NULL;
		size_t run = zero ? (size_t)(zero - text) : 0;

		if (!zero || rest->size < run + 2)
			return -EBADMSG;
		buf_append(out, text, run);
		rest->data = text + run + 2;
		rest->size -= run + 2;
		if (zero[1] == '\0')
			return 0;
		if ((unsigned char)zero[1] != ZERO_INSIDE)
			return -EBADMSG;
		buf_append(out, "", 1);
	}
}
