#include "storage/body.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#include "storage/pack.h"
#include "storage/redaction.h"

#define VERSION 1
#define LEVEL 1 /* half a gigabyte in a second; the next ones gain little on JSON */

/* A row: version, form, size, whole size, then the bytes. */
enum form { FORM_PLAIN = 0, FORM_ZSTD = 1, FORM_CUT = 2 /* and one of them */ };

struct body *body_new(enum body_part part, const void *data, size_t size,
	uint64_t whole_size)
{
	struct body *body;

	if (size > BODY_SIZE_MAX)
		size = BODY_SIZE_MAX;
	body = xmalloc(sizeof(*body) + size);
	*body = (struct body) { .part = part,
		.size_max = BODY_SIZE_MAX,
		.whole_size = whole_size,
		.size = size };
	if (size)
		memcpy(body->data, data, size);
	return body;
}

void body_free(struct body *body)
{
	while (body) {
		struct body *next = body->next;

		redaction_unref(body->redaction);
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

static void pack_row(struct bytes text, unsigned form, uint64_t whole_size,
	struct buf *out)
{
	size_t room = ZSTD_compressBound(text.size), start = buf_size(out), packed;
	unsigned char *head = (unsigned char *)buf_reserve(out, 2 + 2 * PACK_NUMBER_MAX);
	unsigned char *at = head;

	*at++ = VERSION;
	*at++ = (unsigned char)(form | FORM_ZSTD);
	at = pack_number(at, text.size);
	at = pack_number(at, whole_size);
	buf_grow(out, (size_t)(at - head));
	packed = ZSTD_compress(buf_reserve(out, room), room, text.data, text.size, LEVEL);
	if (!ZSTD_isError(packed) && packed < text.size) {
		buf_grow(out, packed);
		return;
	}
	buf_data(out)[start + 1] = (char)(form | FORM_PLAIN);
	buf_append(out, text.data, text.size);
}

void body_pack(const struct body *body, struct buf *out)
{
	/* A mark may stand behind the limit. */
	size_t most = BODY_SIZE_MAX - BODY_SLACK;
	size_t ahead = body->size < body->whole_size ? BODY_SLACK : 0;
	struct buf text = { 0 };
	bool is_whole;

	if (body->size_max < most)
		most = body->size_max;
	is_whole = redaction_apply(body->redaction,
		(struct bytes) { body->data, body->size }, ahead, most, &text);
	pack_row((struct bytes) { buf_size(&text) ? buf_data(&text) : "",
			 buf_size(&text) },
		is_whole && !ahead ? 0 : FORM_CUT, body->whole_size, out);
	buf_clear(&text);
}

/* How much the bytes say that they become is only believed up to the limit. */
int body_unpack(struct bytes row, struct buf *out, struct body_facts *facts)
{
	struct unpack from = unpack_start(row);
	uint64_t version = unpack_number(&from), form = unpack_number(&from);
	uint64_t claimed = unpack_number(&from);
	bool is_plain = (form & FORM_ZSTD) == 0;
	size_t left;

	facts->whole_size = unpack_number(&from);
	facts->size = (size_t)claimed;
	facts->is_cut = (form & FORM_CUT) != 0;
	if (from.is_bad || claimed > BODY_SIZE_MAX)
		return -EBADMSG;
	if (version != VERSION || form > (FORM_ZSTD | FORM_CUT))
		return -EPROTO;
	left = (size_t)(from.end - from.at);
	if (is_plain && left != claimed)
		return -EBADMSG;
	if (!out)
		return 0;
	if (is_plain)
		buf_append(out, from.at, left);
	else if (ZSTD_decompress(buf_reserve(out, (size_t)claimed), (size_t)claimed,
			 from.at, left) != claimed)
		return -EBADMSG;
	else
		buf_grow(out, (size_t)claimed);
	return 0;
}
