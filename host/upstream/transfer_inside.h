/* transfer_inside.h - the inside of a transfer, for the files that make it up.
 *
 * A transfer has a life that is the same whoever carries it (transfer.c: who is called,
 * what waits, how it ends; transfer_clock.c: its deadlines; transfer_head.c: the answer's
 * head and the limits), and a carrier that moves the bytes. Nothing is started, resumed
 * or freed while a carrier calls back: such wishes wait in the pool's pending list.
 * Inside of upstream/ only. */
#pragma once

#include <arpa/inet.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/list.h"
#include "upstream/address.h"
#include "upstream/transfer.h"
#include "upstream/transfer_body.h"

#define TRANSFER_HEAD_MAX (64 * 1024) /* bytes of all heads and trailers of one answer */

struct channels;
struct curl_pool;
struct outline;

/* The answer's head as it arrives. */
struct transfer_head {
	int status;
	int informal_count; /* heads with 1xx */
	bool is_complete;
	bool is_chunked;
	bool is_encoded;   /* Content-Encoding says that there is something to decode */
	struct buf fields; /* name NUL value NUL … */
	size_t field_count;
	size_t size;    /* bytes of all heads and trailers */
	int64_t length; /* Content-Length, -1: none */
};

struct transfer_clock { /* clock_ms() of each deadline, 0: none */
	int64_t connect;
	int64_t first_byte;
	int64_t total;
	int64_t extra; /* transfer_set_deadline() */
	int64_t read;  /* the last bytes of the body */
	int64_t armed; /* when the timer fires, 0: it does not */
};

/* Who moves a transfer's bytes. None of these calls the handler, save begin and resume. */
struct transfer_carrier {
	size_t size; /* of a transfer with the carrier's own part behind it, all zero at first */
	/* From within transfer_start(). What fails is noted with transfer_fail(). */
	void (*prepare)(struct transfer *transfer, const struct transfer_request *request,
		struct outline *outline);
	/* From the loop, if prepare() has asked for it by transfer_push_pending(). */
	void (*begin)(struct transfer *transfer);
	/* From the loop: it was stalled and is not paused any more. */
	void (*resume)(struct transfer *transfer);
	/* Lets go of all that moves bytes, and of the body. is_reusable: the answer was
	 * complete. Once, also where it never began. */
	void (*stop)(struct transfer *transfer, bool is_reusable);
	/* Whether the caller's pieces are not needed any more. */
	bool (*is_free_of_pieces)(const struct transfer *transfer);
	/* A stream's head is complete: what is kept of a request that was sent in whole
	 * may be large, and the answer long. */
	void (*drop_sent)(struct transfer *transfer);
};

/* What each part of a body looks at stands first: with thousands of streams all of it comes
 * from memory. The carrier's own part follows it. */
struct transfer {
	const struct transfer_handler *handler;
	void *arg;
	const struct transfer_carrier *carrier;
	bool is_ended;
	bool is_closed;    /* to be freed as soon as no carrier is on the stack */
	bool is_lingering; /* nobody owns it */
	bool is_begun;
	bool is_stopped;
	bool is_connected;
	bool is_paused;
	bool is_stalled; /* the carrier holds bytes back, or has stopped to read */
	bool is_streamed;
	bool is_private_allowed;
	bool is_proxied;
	bool is_refused; /* an address of the provider may not be connected to */
	enum transfer_result failure; /* TRANSFER_OK: none was noted */
	struct transfer_clock clock;
	struct transfer_head head;
	struct list link; /* in the pool's transfers */
	struct list pending;
	struct transfers *pool;
	struct transfer_body body;
	struct transfer_timeouts timeouts;
	struct event timer; /* in use while clock.armed says so */
	uint64_t decoded;   /* bytes of an encoded body */
	uint64_t decoded_max;
	char *error;
	char peer[INET6_ADDRSTRLEN];
};

struct transfers {
	struct event_base *base;
	struct turn *turn;
	struct curl_pool *curl;
	struct channels *channels;
	bool is_all_curl;      /* for tests that compare */
	struct list transfers; /* all that are not freed */
	struct list pending;   /* those with something to be done from the loop */
	struct event kick;     /* does it */
	struct event look;     /* at the deadlines of all transfers */
	int64_t look_at;       /* when it fires, 0: it does not */
	struct buf spare; /* memory of a gate that held an answer, for the next one */
	size_t open_count;
	int depth; /* > 0: a carrier is on the stack, only its questions are allowed */
};

extern const struct transfer_carrier curl_carrier;
extern const struct transfer_carrier direct_carrier;

/* Notes the first failure and its text; the transfer ends when its carrier is told to stop,
 * or with the next turn of the pending list. */
void transfer_fail(struct transfer *transfer, enum transfer_result failure,
	const char *format, ...) PRINTF_LIKE(3, 4);
/* That no address of the provider may be connected to. */
void transfer_fail_refused(struct transfer *transfer);
bool transfer_may_connect(struct transfer *transfer, enum address_kind kind);
void transfer_push_pending(struct transfer *transfer);
/* The connection stands: to this address, in text. */
void transfer_connected(struct transfer *transfer, const char *peer);
/* All that came at once was handed on, or waits. Calls on_told; false: the transfer was closed
 * by it. */
bool transfer_told(struct transfer *transfer);
/* The carrier is through with it. Calls on_end; the transfer may be freed then. */
void transfer_end(struct transfer *transfer, enum transfer_result result);

/* Who carries a request. */
const struct transfer_carrier *transfers_carrier(const struct transfers *pool,
	const struct transfer_request *request, const struct outline *outline);
void transfers_init(struct transfers *pool, struct turn *turn);

/* transfer_clock.c */
void transfers_clock_init(struct transfers *pool);
void transfer_clock_start(struct transfer *transfer);
/* Looks at the deadlines again after one may have come nearer. */
void transfer_arm(struct transfer *transfer);
/* When it has stopped: no deadline counts any more. */
void transfer_disarm(struct transfer *transfer);
/* The wait for the next bytes begins anew. */
void transfer_restart_idle(struct transfer *transfer);
/* So does the way to a connection. */
void transfer_restart_connect(struct transfer *transfer);

/* transfer_head.c: one line of a head, without its end; "" ends it. False: a failure was
 * noted. */
bool transfer_take_line(struct transfer *transfer, const char *line, size_t size);
/* Counts bytes of a head or a trailer. */
bool transfer_count_head(struct transfer *transfer, size_t size);
/* Counts decoded bytes of a body of which came bytes arrived. */
bool transfer_count_decoded(struct transfer *transfer, size_t size, uint64_t came);
