/* conversation.h - which conversation a request goes on with, where nobody says so.
 *
 * A client sends the whole conversation each time: what its user said last in an earlier
 * request stands before what is said now, and in a first message that is sent again it
 * stands there itself. A text counts as the same if it is, else if its first twenty
 * characters are. Any thread. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "json/gist.h"
#include "storage/recent.h"

#define CONVERSATION_SIMILAR 20 /* characters */

struct said {
	const char *scope; /* nothing of another scope is seen */
	size_t scope_size;
	const struct gist *last;   /* of what was said last; not empty */
	const struct gist *before; /* and before it, or NULL */
};

/* Puts the id of the conversation into out and returns its size; it is kept for ttl_ms from
 * now. fresh: the id of a new one, RECENT_TEXT_MAX bytes at most. */
size_t conversation_guess(struct recent *recent, const struct said *said,
	const char *fresh, size_t fresh_size, int64_t ttl_ms, char out[RECENT_TEXT_MAX]);
