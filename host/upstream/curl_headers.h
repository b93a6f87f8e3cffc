/* curl_headers.h - the fields of a request's head as curl takes them.
 *
 * Fields that say how the message is framed belong to the transfer and are left out; those
 * that curl would add by itself are named only where the request has them. Requests to one
 * place mostly have the same fields, so a list is made anew only for others. Inside of
 * upstream/ only. */
#pragma once

#include <curl/curl.h>

#include "base/buf.h"
#include "upstream/transfer.h"

struct headers { /* all zero: none */
	struct curl_slist *list;
	struct buf given; /* the texts that the list was made from, each with its NUL */
};

/* Whether the list is that of the request. */
bool headers_are_for(const struct headers *headers,
	const struct transfer_request *request);
/* Makes the list of the request. Returns 0, or -EINVAL for a field that is malformed; then
 * there is no list. */
MUST_CHECK
int headers_make(struct headers *headers, const struct transfer_request *request);
void headers_clear(struct headers *headers);
