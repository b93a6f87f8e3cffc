/* curl_handle.h - curl's easy handles, kept with their options for the next request to
 * the same place.
 *
 * Naming a place costs curl a walk through the URL and copies of all its texts, and most
 * requests go where another one has just been. What belongs to one transfer alone (its
 * body, its headers, who is called) is set by curl_request.c each time. Inside of
 * upstream/ only. */
#pragma once

#include <curl/curl.h>
#include <stdbool.h>

#include "base/err.h"
#include "base/list.h"
#include "upstream/curl_headers.h"
#include "upstream/transfer.h"

#define HANDLES_KEPT 64 /* unused; of more the one unused for longest is freed */

struct curl_pool;
struct origin;
struct trust;

struct handle {
	struct list link; /* in the pool's handles while nobody uses it */
	CURL *easy;
	struct origin *origin;
	CURLU *address;
	struct trust *trust;
	char *url; /* the place, in the words of the request */
	char *proxy;
	char *ca_file;
	struct headers headers; /* of the last request */
	bool is_aimed;          /* the place is set */
	/* Curl had to send a request again, since the connection that it was sent on had
	 * died. It counts that for as long as the handle lives, gives up at the sixth time,
	 * and has no way to be told that the count begins anew. */
	bool is_worn;
};

/* A handle for the request's place, if possible one that has been there. */
struct handle *handle_take(struct curl_pool *pool,
	const struct transfer_request *request);
/* Sets the options that the handle does not have yet. Returns TRANSFER_OK, or how the
 * transfer must fail; then err says why. */
MUST_CHECK
enum transfer_result handle_aim(struct handle *handle, struct err *err);
/* The handle is in no multi handle any more. */
void handle_give(struct handle *handle);
/* Frees those that are unused. */
void handles_free(struct curl_pool *pool);
