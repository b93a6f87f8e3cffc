/* exchange.h - one request of a client and its answer, as the layers above see it.
 *
 * The connection makes an exchange when a request's head is complete and hands it to the
 * handler; the handler reads the body, writes one answer and forgets it. Exchanges of one
 * connection come strictly one after the other: a pipelined request waits until the
 * answer before it has ended.
 *
 * An exchange is counted by references. The connection holds one until the answer has
 * ended or the client is gone; a handler that wants to go on with a client that is gone
 * (to read the provider's usage) takes one of its own in on_gone: then the head and the
 * body stay readable, and the sink takes everything and sends nothing.
 *
 * All on the worker thread of the connection. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/mem.h"
#include "base/sink.h"

struct answer_copy;
struct exchange;
struct spool;

/* A header field. Texts are NUL-terminated and hold no CR, LF or NUL. */
struct field {
	const char *name;
	const char *value;
};

/* What the layers above do with requests. Of one exchange the calls come in this order:
 * on_request once, then on_body as often as bytes come and on_body_end once (both only
 * after exchange_receive()), then perhaps on_gone. on_fault comes instead of on_request,
 * or instead of the rest of the body. */
struct http_handler {
	/* The head is complete and within all limits. */
	void (*on_request)(struct exchange *exchange, void *arg);
	/* Bytes of the body, as they arrive and in addition to the spool, which has them
	 * already. */
	void (*on_body)(struct exchange *exchange, const char *data, size_t size,
		void *arg);
	void (*on_body_end)(struct exchange *exchange, void *arg);
	/* The request cannot be taken: a head or body that breaks the protocol (400), a
	 * limit (408, 413, 417, 431, 501, 505), no room (503, 507). The handler answers
	 * with this status at once, in words that its client understands; the connection
	 * closes behind it (half-close, then reads and drops what the client still sends,
	 * at most a second). The head may be incomplete: method and path may be "". */
	void (*on_fault)(struct exchange *exchange, int status, const char *message,
		void *arg);
	/* The client left, or stopped reading for too long, before its answer had ended.
	 * The connection forgets the exchange when this returns. */
	void (*on_gone)(struct exchange *exchange, void *arg);
};

/* The handler's own pointer, NULL at first. */
void exchange_set_data(struct exchange *exchange, void *data);
void *exchange_data(const struct exchange *exchange);

void exchange_ref(struct exchange *exchange);
void exchange_unref(struct exchange *exchange);

/* -- the request ------------------------------------------------------------------ */

const char *exchange_method(const struct exchange *exchange);
/* The path of the target as it was sent, without the query ("/v1/models"). Of an absolute
 * form the part behind the host. */
const char *exchange_path(const struct exchange *exchange);
/* What stands behind the "?", or "". May hold a secret (?key=): never log it. */
const char *exchange_query(const struct exchange *exchange);
/* The value of the first field of that name in any case, or NULL. */
const char *exchange_header(const struct exchange *exchange, const char *name);
/* All of them, one after the other: see head_next_value(). */
const char *exchange_next_header(const struct exchange *exchange, const char *name,
	size_t *place);
/* All fields in the order they came, names as they were sent. */
const struct field *exchange_fields(const struct exchange *exchange, size_t *count);
/* The client's address without the port ("127.0.0.1", "::1"). */
const char *exchange_peer(const struct exchange *exchange);
bool exchange_is_peer_loopback(const struct exchange *exchange);
bool exchange_has_body(const struct exchange *exchange);
/* The length that the client named, or -1 where it sends chunks. */
int64_t exchange_body_length(const struct exchange *exchange);

/* Begins to read the body into the spool (and says 100 Continue where the client waits
 * for it). A body that is there already comes later, from the event loop, never from this
 * call; without a body on_body_end comes likewise. An answer that is started before the
 * body is complete makes the connection close behind the answer; the rest of the body is
 * dropped and on_body_end does not come. */
void exchange_receive(struct exchange *exchange);
/* The body, complete once on_body_end came; NULL without one. Lives as long as the
 * exchange. */
struct spool *exchange_body(const struct exchange *exchange);

/* -- the answer ------------------------------------------------------------------- */

/* A whole answer in one go; it ends the exchange. Content-Length, Connection and Date are
 * added here and must not be among the fields. To HEAD only the head is sent. */
void exchange_reply(struct exchange *exchange, int status, const struct field *fields,
	size_t count, const void *body, size_t size);

/* The head of an answer whose body goes to exchange_sink(). length: what will be written,
 * or -1 if that is not known (chunks, or for HTTP/1.0 a close at the end). The head
 * leaves with the first bytes of the body, or at the end of this turn of the event
 * loop. */
void exchange_start(struct exchange *exchange, int status, const struct field *fields,
	size_t count, int64_t length);

/* From now on the answer's body is added to the copy, which the caller takes back with NULL
 * before it goes. */
void exchange_set_copy(struct exchange *exchange, struct answer_copy *copy);

/* The answer's body. end() ends the exchange; cut() closes the connection so that the
 * client sees a broken answer (no last chunk). */
struct sink *exchange_sink(struct exchange *exchange);

/* False for field names and values that must not go on the wire (CR, LF, NUL, controls,
 * an empty or ill-formed name). exchange_reply() and exchange_start() leave such fields
 * out and log the name. */
bool field_is_valid(const struct field *field);
