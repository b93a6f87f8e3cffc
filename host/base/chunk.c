#include "base/chunk.h"

#include "base/token.h"

#define DIGITS_MAX 16
#define EXTENSION_MAX (16 * 1024) /* bytes, over the whole body */

enum take_state {
	TAKE_SIZE,
	TAKE_PADDING,
	TAKE_EXTENSION,
	TAKE_SIZE_LF,
	TAKE_DATA,
	TAKE_DATA_CR,
	TAKE_DATA_LF,
	TAKE_TRAILER,
	TAKE_BAD,
};

static int digit_value(unsigned char byte)
{
	if (byte >= '0' && byte <= '9')
		return byte - '0';
	byte |= 0x20;
	return byte >= 'a' && byte <= 'f' ? byte - 'a' + 10 : -1;
}

/* Behind the digits of a size. */
static int take_size_rest(struct chunks *chunks, unsigned char byte)
{
	if (byte == ';')
		return TAKE_EXTENSION;
	if (byte == '\r')
		return TAKE_SIZE_LF;
	if ((byte != ' ' && byte != '\t') || !chunks->may_be_padded ||
		++chunks->extension > EXTENSION_MAX)
		return TAKE_BAD;
	return TAKE_PADDING;
}

static int take_size(struct chunks *chunks, unsigned char byte)
{
	int value = digit_value(byte);

	if (value >= 0) {
		if (++chunks->digits > DIGITS_MAX || chunks->left > INT64_MAX / 16)
			return TAKE_BAD;
		chunks->left = chunks->left * 16 + (unsigned)value;
		return TAKE_SIZE;
	}
	if (!chunks->digits)
		return TAKE_BAD;
	return take_size_rest(chunks, byte);
}

static int take_size_end(struct chunks *chunks, unsigned char byte)
{
	if (byte != '\n')
		return TAKE_BAD;
	chunks->digits = 0;
	if (chunks->left)
		return TAKE_DATA;
	head_scan_trailer(&chunks->trailer);
	return TAKE_TRAILER;
}

/* One byte of the framing. */
static int take_byte(struct chunks *chunks, unsigned char byte)
{
	switch (chunks->state) {
	case TAKE_SIZE:
		return take_size(chunks, byte);
	case TAKE_PADDING:
		return take_size_rest(chunks, byte);
	case TAKE_EXTENSION:
		if (byte == '\r')
			return TAKE_SIZE_LF;
		if (++chunks->extension > EXTENSION_MAX || !byte_is_text(byte))
			return TAKE_BAD;
		return TAKE_EXTENSION;
	case TAKE_SIZE_LF:
		return take_size_end(chunks, byte);
	case TAKE_DATA_CR:
		return byte == '\r' ? TAKE_DATA_LF : TAKE_BAD;
	case TAKE_DATA_LF:
		return byte == '\n' ? TAKE_SIZE : TAKE_BAD;
	default:
		return TAKE_BAD;
	}
}

static enum chunk_state take_trailer(struct chunks *chunks, const char *data, size_t size,
	size_t trailer_max, size_t *used)
{
	size_t before = chunks->trailer.size;
	enum head_state state = head_scan(&chunks->trailer, data, size);

	*used += chunks->trailer.size - before;
	if (state == HEAD_DONE)
		return CHUNK_END;
	if (state == HEAD_BAD || chunks->trailer.size > trailer_max)
		return CHUNK_BAD;
	return CHUNK_MORE;
}

enum chunk_state chunks_take(struct chunks *chunks, const char *data, size_t size,
	size_t trailer_max, size_t *used, struct chunk_run *run)
{
	*used = 0;
	while (*used < size) {
		if (chunks->state == TAKE_DATA) {
			run->data = data + *used;
			run->size = size - *used;
			if (run->size > chunks->left)
				run->size = (size_t)chunks->left;
			chunks->left -= run->size;
			*used += run->size;
			if (!chunks->left)
				chunks->state = TAKE_DATA_CR;
			return CHUNK_DATA;
		}
		if (chunks->state == TAKE_TRAILER)
			return take_trailer(chunks, data + *used, size - *used,
				trailer_max, used);
		chunks->state = take_byte(chunks, (unsigned char)data[(*used)++]);
		if (chunks->state == TAKE_BAD)
			return CHUNK_BAD;
	}
	return CHUNK_MORE;
}
