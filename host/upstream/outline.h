/* outline.h - what all requests with one method, URL and list of headers have in common: the
 * URL taken apart, and the head as far as it is known beforehand.
 *
 * Who asks the same place again and again makes one, and transfers copy from it what they
 * would work out each time. An outline borrows the texts that it is made of. It serves one
 * pool, on its thread, and may outlive it. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "upstream/transfer.h"
#include "upstream/url.h"

struct channel_origin;
struct trust;

struct outline {
	const char *text; /* of the URL */
	struct url url;
	bool is_plain;     /* if not, all that follows is empty */
	bool is_malformed; /* a header is */
	bool has_codings;  /* Accept-Encoding is among the headers */
	struct buf head;   /* the request line, the headers, Host */
	/* Where the last transfer found its channels, and what it trusted. */
	struct channel_origin *origin;
	const struct trust *trust;
};

void outline_init(struct outline *outline, const struct transfer_request *request);
void outline_clear(struct outline *outline);

/* Appends the whole head of a request that the outline was made of, for a body of size bytes.
 * Returns 0, or -EINVAL for a field that is malformed. */
MUST_CHECK
int outline_write(const struct outline *outline, const struct transfer_request *request,
	uint64_t size, struct buf *head);
