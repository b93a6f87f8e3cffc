/* transfer.h - one HTTP request to a provider, whoever carries it: channels of our own, or
 * libcurl where a proxy or an unusual URL is asked for. Neither shows above this header.
 *
 * HTTP/1.1, TLS verified, no redirects followed, no cookies, no proxies from the
 * environment. The caller sees one pool; with NEAP_TRANSFER=curl in the environment libcurl
 * carries all of it, for tests that compare.
 *
 * All on the pool's thread. Callbacks come from the event loop, never from
 * transfer_start() and never after transfer_close(); on_end exactly once unless it was
 * closed first. Every function here may be called from within a callback. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/piece.h"

struct buf;
struct event_base;
struct outline;
struct transfer;
struct transfers;
struct turn;

/* How a transfer ended. The names are those of response.failure. */
enum transfer_result {
	TRANSFER_OK,
	/* Refused, unreachable, no such host, the proxy failed, the connect timer. */
	TRANSFER_CONNECT,
	TRANSFER_TIMEOUT, /* any timer after the connection stood */
	TRANSFER_TLS,     /* handshake or verification */
	TRANSFER_RESET,   /* the connection broke, or the body ended early */
	/* Not HTTP as we take it: head too large, redirect, too much decoded, … */
	TRANSFER_PROTOCOL,
};
const char *transfer_result_name(enum transfer_result result); /* "ok", "connect", … */

struct transfer_timeouts { /* ms; 0: none */
	int connect;
	int first_byte; /* from the start to the first byte of the answer's head */
	int idle;       /* between two reads of the body, not counting while paused */
	int total;
};

struct transfer_request {
	const char *method;         /* "POST" */
	const char *url;            /* absolute http or https; a fragment is cut off */
	const char *const *headers; /* "Name: value"; copied */
	size_t header_count;
	/* Those of this request alone, behind the others; no Host is among them. */
	const char *const *own_headers;
	size_t own_header_count;
	/* Made of this method, URL and headers; NULL: an own one is made. */
	struct outline *outline;
	/* The body; borrowed, the array too, until the transfer is closed. POST without
	 * any sends Content-Length: 0. */
	const struct piece *pieces;
	size_t piece_count;
	const char *proxy; /* "http://…", "socks5://…", "socks5h://…", NULL */
	/* false: loopback, private and shared ranges are refused too (link-local and
	 * metadata addresses always are); the connected address counts, not the name. */
	bool is_private_allowed;
	struct transfer_timeouts timeouts;
	uint64_t decoded_max; /* bytes of an answer that came encoded; 0: 32 MiB */
	bool is_streamed;     /* many small reads: little memory for each */
	const char *ca_file;  /* more trusted certificates (PEM), or NULL */
};

struct transfer_handler {
	/* Decoded bytes of the body; the head is complete. */
	void (*on_data)(struct transfer *transfer, const char *data, size_t size,
		void *arg);
	/* Of all that came at once, the handler was told, and the final head can be asked
	 * for if it is complete (1xx are swallowed). Not before on_end. */
	void (*on_told)(struct transfer *transfer, void *arg);
	void (*on_end)(struct transfer *transfer, enum transfer_result result, void *arg);
};

MUST_CHECK
int transfers_new(struct transfers **out, struct turn *turn, struct err *err);
/* Transfers that were started and neither ended nor were closed. */
size_t transfers_open_count(const struct transfers *transfers);
/* The pool keeps the memory of one buffer for the next, so that answers that are held one after
 * the other need no new: lend() gives it to an empty buffer, take_back() clears one. */
void transfers_lend(struct transfers *transfers, struct buf *buf);
void transfers_take_back(struct transfers *transfers, struct buf *buf);
/* Closes and frees what is left, without callbacks. Not from within a callback. */
void transfers_free(struct transfers *transfers);

struct transfer *transfer_start(struct transfers *transfers,
	const struct transfer_request *request, const struct transfer_handler *handler,
	void *arg);
/* Changes who is called from now on. */
void transfer_set_handler(struct transfer *transfer,
	const struct transfer_handler *handler, void *arg);
struct event_base *transfer_base(const struct transfer *transfer);
int transfer_status(const struct transfer *transfer); /* 0 before the head */
/* The value of the first field of that name, or NULL; NUL-terminated. */
const char *transfer_header(const struct transfer *transfer, const char *name);
size_t transfer_header_count(const struct transfer *transfer);
/* index < count. In the order they came; name in the case it came in. */
void transfer_header_at(const struct transfer *transfer, size_t index, const char **name,
	const char **value);
/* -1 where the provider named none, or where the body came encoded. */
int64_t transfer_length(const struct transfer *transfer);
/* After pause no on_data comes until resume (bytes that have come are kept). */
void transfer_pause(struct transfer *transfer);
void transfer_resume(struct transfer *transfer);
/* Whether the pieces may go although the transfer runs: they are sent, or copied. */
bool transfer_is_free_of_pieces(const struct transfer *transfer);
/* If the transfer has not ended ms from now, it ends with TRANSFER_TIMEOUT. 0 takes the
 * deadline back. */
void transfer_set_deadline(struct transfer *transfer, int ms);
/* A text for people about what went wrong, without secrets; "" if nothing did. */
const char *transfer_error(const struct transfer *transfer);
/* The connected address, or "". */
const char *transfer_peer(const struct transfer *transfer);
/* Ends the transfer if it runs (the connection is cut) and frees it. NULL is fine. */
void transfer_close(struct transfer *transfer);
/* As transfer_close(), but what the provider still sends is read and dropped for at most
 * ms, so that the connection can serve again. Where pieces are still needed it is a plain
 * close: they are the caller's. */
void transfer_linger(struct transfer *transfer, int ms);
