/* curl_transfer.h - the inside of a transfer, for the files that make it up.
 *
 * curl_transfer.c has its life, curl_request.c what is sent, curl_response.c what comes
 * back. Nothing is started, resumed or freed while curl is on the stack: such wishes wait
 * in the pool's pending list for transfers_run_pending(). Inside of upstream/ only. */
#pragma once

#include <curl/curl.h>
#include <event2/event_struct.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/list.h"
#include "upstream/address.h"
#include "upstream/transfer.h"

struct handle;
struct shard;

/* The answer's head as it arrives. */
struct transfer_head {
	int status;
	int informal_count; /* heads with 1xx */
	bool is_complete;
	bool is_chunked;
	bool is_encoded;   /* Content-Encoding says that curl decodes */
	struct buf fields; /* name NUL value NUL … */
	size_t field_count;
	size_t size;    /* bytes of all heads and trailers */
	int64_t length; /* Content-Length, -1: none */
};

struct transfer_body {
	const struct piece *pieces;
	size_t piece_count;
	char *gathered; /* a copy of small pieces in one run, or NULL */
	uint64_t size;
	uint64_t at;       /* of the next byte that curl reads */
	uint64_t piece_at; /* of the first byte of the piece that at is in */
	size_t piece;
};

struct transfer_clock { /* clock_ms() of each deadline, 0: none */
	int64_t connect;
	int64_t first_byte;
	int64_t total;
	int64_t extra; /* transfer_set_deadline() */
	int64_t read;  /* the last bytes of the body */
	int64_t armed; /* when the timer fires */
};

/* What each part of a body looks at stands first: with thousands of streams all of it comes
 * from memory. */
struct transfer {
	const struct transfer_handler *handler;
	void *arg;
	struct handle *handle; /* NULL: it has ended */
	struct shard *shard;   /* NULL: not given to curl (yet, or any more) */
	bool is_ended;
	bool is_closed;    /* to be freed as soon as curl is off the stack */
	bool is_lingering; /* nobody owns it */
	bool is_connected;
	bool is_paused;
	bool is_stalled; /* curl has been told to pause */
	bool is_streamed;
	bool is_lean; /* a stream: what only its beginning needed is freed */
	bool is_private_allowed;
	bool is_proxied;
	bool is_refused; /* an address of the provider may not be connected to */
	int fd;
	struct transfer_clock clock;
	struct transfer_head head;
	struct list link; /* in the pool's transfers */
	struct list pending;
	struct transfers *pool;
	struct transfer_body body;
	struct transfer_timeouts timeouts;
	struct event timer;
	uint64_t decoded; /* bytes of an encoded body */
	uint64_t decoded_max;
	char *error;
	enum transfer_result failure; /* found here, not by curl; TRANSFER_OK: none */
	char peer[INET6_ADDRSTRLEN];
	char curl_error[CURL_ERROR_SIZE];
};

/* Notes the first failure and its text; the transfer ends when curl is told to stop. */
void transfer_fail(struct transfer *transfer, enum transfer_result failure,
	const char *format, ...) PRINTF_LIKE(3, 4);
/* Curl is through with it. */
void transfer_done(struct transfer *transfer, CURLcode code);
bool transfer_may_connect(struct transfer *transfer, enum address_kind kind);
/* The event of the pool's kick. */
void transfers_run_pending(evutil_socket_t fd, short what, void *pool);
/* Looks at the deadlines again after one may have come nearer. */
void transfer_arm(struct transfer *transfer);

/* curl_request.c: sets the options of the transfer's handle. On a failure the error is
 * noted. */
void request_prepare(struct transfer *transfer, const struct transfer_request *request);
/* All of the body was sent, or what is left is the transfer's own. */
bool request_is_free_of_pieces(const struct transfer *transfer);
/* Frees what is kept of a request that was sent in whole: it may be large, and the answer
 * long. */
void request_drop_sent(struct transfer *transfer);
void request_clear(struct transfer *transfer);
/* The callbacks for curl. */
size_t request_read(char *room, size_t size, size_t count, void *transfer);
int request_seek(void *transfer, curl_off_t offset, int origin);
int request_ready(void *transfer, char *peer, char *local, int peer_port, int local_port);

/* curl_response.c: the callbacks for curl. */
size_t response_head_line(char *line, size_t size, size_t count, void *transfer);
size_t response_data(char *data, size_t size, size_t count, void *transfer);
