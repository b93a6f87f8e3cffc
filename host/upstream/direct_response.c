/* What comes back: the head line by line, the body by its length, in chunks or until the
 * end, and what an encoded one says. */
#include <errno.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "upstream/decode.h"
#include "upstream/direct_transfer.h"

#define DECODE_ROOM 16384 /* bytes that are decoded at once */

/* -- the head ---------------------------------------------------------------------- */

static enum direct_taken fail(struct direct_transfer *own, enum transfer_result failure,
	const char *text)
{
	transfer_fail(&own->transfer, failure, "%s", text);
	return DIRECT_FAILED;
}

static bool has_token(const char *list, const char *token)
{
	size_t size = strlen(token);

	while (*list) {
		size_t part = strcspn(list, ",");
		size_t lead = strspn(list, " \t");
		size_t end = part;

		while (end > lead && (list[end - 1] == ' ' || list[end - 1] == '\t'))
			end--;
		if (end >= lead && end - lead == size &&
			strncasecmp(list + lead, token, size) == 0)
			return true;
		list += part + (list[part] == ',');
	}
	return false;
}

/* Our own reading of the first line: its version decides whether the connection stays. */
static bool check_version(struct direct_transfer *own, const char *line, size_t size)
{
	if (size < 9 || memcmp(line, "HTTP/1.", 7) != 0 || line[8] != ' ' ||
		(line[7] != '0' && line[7] != '1')) {
		(void)fail(own, TRANSFER_PROTOCOL, "the answer is no HTTP/1.1");
		return false;
	}
	own->is_keepable = line[7] == '1';
	own->is_closing = false;
	return true;
}

/* Where the body ends, told from the whole head. */
static void begin_body(struct direct_transfer *own)
{
	const struct transfer_head *head = &own->transfer.head;

	if (own->has_no_body || head->status == 204 || head->status == 304) {
		own->state = DIRECT_DONE;
	} else if (head->is_chunked) {
		own->state = DIRECT_CHUNKS;
		own->chunks.may_be_padded = true;
	} else if (head->length >= 0) {
		own->state = head->length ? DIRECT_LENGTH : DIRECT_DONE;
		own->left = (uint64_t)head->length;
	} else {
		own->state = DIRECT_CLOSE;
		own->is_closing = true;
	}
}

/* Whoever says close means it, whatever else is said. */
static void note_connection(struct direct_transfer *own, const char *line, size_t size)
{
	char value[128];

	if (size < 11 || line[10] != ':' || strncasecmp(line, "connection", 10) != 0)
		return;
	if (size - 11 < sizeof(value)) {
		memcpy(value, line + 11, size - 11);
		value[size - 11] = '\0';
		own->is_closing |= has_token(value, "close");
		own->is_keepable |= has_token(value, "keep-alive");
	} else {
		own->is_closing = true;
	}
}

static bool take_line(struct direct_transfer *own, const char *line, size_t size)
{
	struct transfer *transfer = &own->transfer;
	struct transfer_head *head = &transfer->head;

	if (!own->has_status) {
		if (!check_version(own, line, size))
			return false;
		own->has_status = true;
		return transfer_take_line(transfer, line, size);
	}
	if (size) {
		/* Nothing has such a name, and a second status line would be one too
		 * many. */
		if (size > 5 && memcmp(line, "HTTP/", 5) == 0) {
			(void)fail(own, TRANSFER_PROTOCOL,
				"a field of the answer's head is malformed");
			return false;
		}
		note_connection(own, line, size);
		return transfer_take_line(transfer, line, size);
	}
	own->has_status = false;
	if (head->status >= 200) {
		begin_body(own);
		/* Who refuses a request does not want the rest of it. */
		if (head->status >= 400 && !own->is_sent)
			own->is_given_up = true;
	}
	return transfer_take_line(transfer, line, 0);
}

static bool begins_like_http(const char *data, size_t size)
{
	static const char begin[] = "HTTP/1.";

	return memcmp(data, begin, size < sizeof(begin) - 1 ? size : sizeof(begin) - 1) ==
		0;
}

/* Lines of the head, as far as they are complete. */
static enum direct_taken take_head(struct direct_transfer *own, const char *data,
	size_t size, size_t *used)
{
	struct transfer *transfer = &own->transfer;

	while (own->state == DIRECT_HEAD) {
		const char *line = data + *used;
		const char *end = memchr(line, '\n', size - *used);
		size_t line_size;

		if (!end) {
			if (!own->has_status && !begins_like_http(line, size - *used))
				return fail(own, TRANSFER_PROTOCOL,
					"the answer is no HTTP/1.1");
			if (transfer->head.size + size - *used > TRANSFER_HEAD_MAX)
				return fail(own, TRANSFER_PROTOCOL,
					"the answer's head is too large");
			return DIRECT_MORE;
		}
		line_size = (size_t)(end - line);
		*used += line_size + 1;
		if (line_size && line[line_size - 1] == '\r')
			line_size--;
		if (!transfer_count_head(transfer, (size_t)(end - line) + 1) ||
			!take_line(own, line, line_size))
			return DIRECT_FAILED;
	}
	return DIRECT_MORE;
}

/* -- the body ---------------------------------------------------------------------- */

static bool tell(struct direct_transfer *own, const char *data, size_t size)
{
	struct transfer *transfer = &own->transfer;

	if (transfer->handler->on_data)
		transfer->handler->on_data(transfer, data, size, transfer->arg);
	return !transfer->is_closed;
}

static enum direct_taken decode(struct direct_transfer *own, const char *data,
	size_t *used)
{
	struct transfer *transfer = &own->transfer;
	char room[DECODE_ROOM];
	struct decode_step step = { data + *used, own->run, room, sizeof(room) };
	enum decoded result;
	size_t came, decoded;

	if (!own->decoder)
		own->decoder = decoder_new(transfer_header(transfer, "content-encoding"));
	if (!own->decoder)
		return fail(own, TRANSFER_PROTOCOL,
			"the answer's Content-Encoding is not known");
	result = decoder_run(own->decoder, &step);
	came = own->run - step.in_size;
	decoded = sizeof(room) - step.out_size;
	*used += came;
	own->run -= came;
	own->came += came;
	own->is_full = result == DECODED_FULL;
	if (decoded && !transfer_count_decoded(transfer, decoded, own->came))
		return DIRECT_FAILED;
	if (decoded && !tell(own, room, decoded))
		return DIRECT_CLOSED;
	if (result == DECODED_BAD)
		return fail(own, TRANSFER_PROTOCOL,
			"the answer is not what its Content-Encoding says");
	return DIRECT_MORE;
}

/* Hands the run on, or a part of it. */
static enum direct_taken hand_on(struct direct_transfer *own, const char *data,
	size_t *used)
{
	size_t size = own->run;

	if (own->transfer.is_paused)
		return DIRECT_STALLED;
	if (own->transfer.head.is_encoded)
		return decode(own, data, used);
	data += *used;
	*used += size;
	own->run = 0;
	return tell(own, data, size) ? DIRECT_MORE : DIRECT_CLOSED;
}

static enum direct_taken next_chunk(struct direct_transfer *own, const char *data,
	size_t size, size_t *used)
{
	struct chunk_run run;
	size_t taken;

	switch (chunks_take(&own->chunks, data + *used, size - *used,
		TRANSFER_HEAD_MAX - own->transfer.head.size, &taken, &run)) {
	case CHUNK_DATA:
		own->run = run.size;
		*used += taken - run.size;
		return DIRECT_MORE;
	case CHUNK_END:
		*used += taken;
		own->state = DIRECT_DONE;
		return DIRECT_MORE;
	case CHUNK_MORE:
		*used += taken;
		return DIRECT_MORE;
	default:
		return fail(own, TRANSFER_RESET, "the answer's chunks are malformed");
	}
}

/* Finds out how many of the next bytes are body. */
static enum direct_taken next_run(struct direct_transfer *own, const char *data,
	size_t size, size_t *used)
{
	size_t there = size - *used;

	if (own->state == DIRECT_CHUNKS)
		return next_chunk(own, data, size, used);
	if (own->state == DIRECT_LENGTH) {
		if (there > own->left)
			there = (size_t)own->left;
		own->left -= there;
		if (!own->left)
			own->state = DIRECT_DONE;
	}
	own->run = there;
	return DIRECT_MORE;
}

static enum direct_taken end(struct direct_transfer *own)
{
	if (own->decoder && !decoder_is_done(own->decoder))
		return fail(own, TRANSFER_RESET, "the encoded answer ends early");
	return DIRECT_END;
}

enum direct_taken direct_take(struct direct_transfer *own, const char *data, size_t size,
	size_t *used)
{
	enum direct_taken taken = DIRECT_MORE;

	*used = 0;
	own->has_come = true;
	if (own->state == DIRECT_HEAD)
		taken = take_head(own, data, size, used);
	else
		own->transfer.clock.read = clock_ms();
	while (taken == DIRECT_MORE && own->state != DIRECT_HEAD) {
		if (own->run || own->is_full)
			taken = hand_on(own, data, used);
		else if (own->state == DIRECT_DONE)
			return end(own);
		else if (*used < size)
			taken = next_run(own, data, size, used);
		else
			break;
	}
	return taken;
}
