#include "base/head_scan.h"

#include "base/token.h"

enum scan_state {
	SCAN_LEAD,    /* before the request line */
	SCAN_LEAD_CR, /* an empty line before it */
	SCAN_REQUEST,
	SCAN_CR,
	SCAN_START, /* of a field's line */
	SCAN_NAME,
	SCAN_VALUE,
	SCAN_LAST_CR,
	SCAN_DONE,
	SCAN_BAD,
};

static int step_lead(struct head_scan *scan, unsigned char byte)
{
	/* RFC 9112 2.2 asks for patience with one empty line. */
	if (byte == '\r' && !scan->has_led)
		return SCAN_LEAD_CR;
	return byte_is_token(byte) ? SCAN_REQUEST : SCAN_BAD;
}

static int step(struct head_scan *scan, unsigned char byte)
{
	switch (scan->state) {
	case SCAN_LEAD:
		return step_lead(scan, byte);
	case SCAN_LEAD_CR:
		scan->has_led = true;
		return byte == '\n' ? SCAN_LEAD : SCAN_BAD;
	case SCAN_REQUEST:
		if (byte == '\r')
			return SCAN_CR;
		return byte_is_visible(byte) ? SCAN_REQUEST : SCAN_BAD;
	case SCAN_CR:
		scan->lines++;
		return byte == '\n' ? SCAN_START : SCAN_BAD;
	case SCAN_START:
		/* A space here would be a folded line. */
		if (byte == '\r')
			return SCAN_LAST_CR;
		return byte_is_token(byte) ? SCAN_NAME : SCAN_BAD;
	case SCAN_NAME:
		if (byte == ':')
			return SCAN_VALUE;
		return byte_is_token(byte) ? SCAN_NAME : SCAN_BAD;
	case SCAN_VALUE:
		if (byte == '\r')
			return SCAN_CR;
		return byte_is_text(byte) ? SCAN_VALUE : SCAN_BAD;
	case SCAN_LAST_CR:
		return byte == '\n' ? SCAN_DONE : SCAN_BAD;
	default:
		return SCAN_BAD;
	}
}

/* How many bytes from the start of data leave the state as it is. */
static size_t run_of(int state, const char *data, size_t size)
{
	switch (state) {
	case SCAN_REQUEST:
		return visible_run(data, size);
	case SCAN_NAME:
		return token_run(data, size);
	case SCAN_VALUE:
		return text_run(data, size);
	default:
		return 0;
	}
}

enum head_state head_scan(struct head_scan *scan, const char *data, size_t size)
{
	size_t at = 0;

	while ((at += run_of(scan->state, data + at, size - at)) < size) {
		scan->state = step(scan, (unsigned char)data[at++]);
		if (scan->state == SCAN_DONE || scan->state == SCAN_BAD)
			break;
	}
	scan->size += at;
	if (scan->state == SCAN_DONE)
		return HEAD_DONE;
	return scan->state == SCAN_BAD ? HEAD_BAD : HEAD_MORE;
}

void head_scan_trailer(struct head_scan *scan)
{
	*scan = (struct head_scan) { .state = SCAN_START };
}
