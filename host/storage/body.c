#include "storage/body.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#include "storage/pack.h"

#define VERSION 1
#define LEVEL 1 /* half a gigabyte in a second; the next ones gain little on JSON */

/* A row: version, form, size, whole size, then the bytes. */
enum form { FORM_PLAIN, FORM_ZSTD };

struct body *body_new(enum body_part part, const void *data, size_t size,
	uint64_t whole_size)
{
	struct body *body;

	if (size > BODY_SIZE_MAX)
		size = BODY_SIZE_MAX;
	body = xmalloc(sizeof(*body) + size);
	*body = (struct body) { .part = part, .whole_size = whole_size, .size = size };
	if (size)
		memcpy(body->data, data, size);
	return body;
}

void body_free(struct body *body)
{
	while (body) {
		struct body *next = body->next;

		free(body);
		body = next;
	}
}

size_t body_weight(const struct body *body)
{
	size_t weight = 0;

	for (; body; body = body->next)
		weight += sizeof(*body) + body->size;
	return weight;
}

const char *body_part_name(enum body_part part)
{
	static const char *const names[BODY_PART_MAX + 1] = { "unknown", "request",
		"response", "sent", "received" };

	return names[part <= BODY_PART_MAX ? part : 0];
}

void body_pack(const struct body *body, struct buf *out)
{
	size_t room = ZSTD_compressBound(body->size), start = buf_size(out), packed;
	unsigned char *head = (unsigned char *)buf_reserve(out, 2 + 2 * PACK_NUMBER_MAX);
	unsigned char *at = head;

	*at++ = VERSION;
	*at++ = FORM_ZSTD;
	at = pack_number(at, body->size);
	at = pack_number(at, body->whole_size);
	buf_grow(out, (size_t)(at - head));
	packed = ZSTD_compress(buf_reserve(out, room), room, body->data, body->size,
		LEVEL);
	if (!ZSTD_isError(packed) && packed < body->size) {
		buf_grow(out, packed);
		return;
	}
	buf_data(out)[start + 1] = FORM_PLAIN;
	buf_append(out, body->data, body->size);
}

/* How much the bytes say that they become is only believed up to the limit. */
int body_unpack(struct bytes row, struct buf *out, size_t *size, uint64_t *whole_size)
{
	struct unpack from = unpack_start(row);
	uint64_t version = unpack_number(&from), form = unpack_number(&from);
	uint64_t claimed = unpack_number(&from);
	size_t left;

	*whole_size = unpack_number(&from);
	*size = (size_t)claimed;
	if (from.is_bad || claimed > BODY_SIZE_MAX)
		return -EBADMSG;
	if (version != VERSION || form > FORM_ZSTD)
		return -EPROTO;
	left = (size_t)(from.end - from.at);
	if (form == FORM_PLAIN && left != claimed)
		return -EBADMSG;
	if (!out)
		return 0;
	if (form == FORM_PLAIN)
		buf_append(out, from.at, left);
	else if (ZSTD_decompress(buf_reserve(out, (size_t)claimed), (size_t)claimed,
			 from.at, left) != claimed)
		return -EBADMSG;
	else
		buf_grow(out, (size_t)claimed);
	return 0;
}
