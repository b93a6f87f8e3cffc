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

static int step_start(unsigned char byte)
{
	/* A space here would be a folded line. */
	if (byte == '\r')
		return SCAN_LAST_CR;
	return byte_is_token(byte) ? SCAN_NAME : SCAN_BAD;
}

/* Passes over a run of bytes, and the one that must stand behind it. Returns how many bytes
 * that is. */
static inline size_t end_run(struct head_scan *scan, const char *data, size_t size,
	size_t run, char end, int next)
{
	if (run == size)
		return size;
	scan->state = data[run] == end ? next : SCAN_BAD;
	return run + 1;
}

/* Takes one byte at least; returns how many it took. */
static size_t step(struct head_scan *scan, const char *data, size_t size)
{
	bool is_line_end = *data == '\n';

	switch (scan->state) {
	case SCAN_REQUEST:
		return end_run(scan, data, size, visible_run(data, size), '\r', SCAN_CR);
	case SCAN_NAME:
		return end_run(scan, data, size, token_run(data, size), ':', SCAN_VALUE);
	case SCAN_VALUE:
		return end_run(scan, data, size, text_run(data, size), '\r', SCAN_CR);
	case SCAN_LEAD:
		scan->state = step_lead(scan, (unsigned char)*data);
		break;
	case SCAN_LEAD_CR:
		scan->has_led = true;
		scan->state = is_line_end ? SCAN_LEAD : SCAN_BAD;
		break;
	case SCAN_CR:
		scan->lines++;
		scan->state = is_line_end ? SCAN_START : SCAN_BAD;
		break;
	case SCAN_START:
		scan->state = step_start((unsigned char)*data);
		break;
	case SCAN_LAST_CR:
		scan->state = is_line_end ? SCAN_DONE : SCAN_BAD;
		break;
	default:
		scan->state = SCAN_BAD;
	}
	return 1;
}

enum head_state head_scan(struct head_scan *scan, const char *data, size_t size)
{
	size_t at = 0;

	while (at < size) {
		at += step(scan, data + at, size - at);
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
