/* connection.h - one client's connection: the state that intake.c, output.c, exchange.c
 * and connection.c share. Private to http/.
 *
 * The socket has a single event, edge-triggered for reading, writing and the client's
 * leaving, that is added once and never changed. So pausing costs nothing (one does not
 * read), is_readable and is_blocked remember which edges were seen, and the client's
 * leaving is noticed in every phase, whatever waits unread before it.
 *
 * A connection is freed only from the top of an event (socket, timer, turn), never below
 * a call of the handler. Whatever the handler does from inside its own calls only marks
 * the connection; connection_work() draws the conclusions. A client that shuts down its
 * sending half counts as gone: the official SDKs abort by closing the socket, which looks
 * just the same until one writes, and an abort must reach the provider at once. Requests
 * that are pipelined in front of that end are dropped with it. */
#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include <event2/event_struct.h>

#include "base/buf.h"
#include "base/chunk.h"
#include "base/list.h"
#include "base/sink.h"
#include "base/turn.h"
#include "http/exchange.h"
#include "http/head.h"
#include "http/listener.h"
#include "http/wire.h"

#define READ_SIZE (64 * 1024)    /* bytes of a worker's read buffer */
#define READ_FIRST (16 * 1024)   /* of them, those that are read where a head is due */
#define INPUT_HIGH (1024 * 1024) /* bytes behind an open exchange; then none are read */

struct event_base;

struct listener {
	struct event_base *base;
	struct turn *turn;
	const struct http_handler *handler;
	void *arg;
	struct spools *spools;
	struct tls *tls;
	struct http_limits limits;
	char *room;          /* READ_SIZE bytes that all connections read into */
	struct buf scratch;  /* for the head of an answer that leaves in one go */
	struct list open;    /* connections */
	struct list waiting; /* connections with work for turn_event */
	struct event *turn_event;
	struct list doubted;       /* connections for doubt_event */
	struct event *doubt_event; /* due while there are any */
	size_t connection_count;
	size_t shed_count; /* of them, those that only hear a 503 */
	int fd;            /* -1: accepts no more */
	int reserve_fd;
	int port;
	struct event *accept_event;
	struct event *retry_event; /* accepts again after descriptors were short */
	bool is_in_turn;
	bool is_draining;
};

enum body_state {
	BODY_NONE,    /* there is none, or it is complete, or nobody will read it */
	BODY_WAITING, /* for exchange_receive() */
	BODY_READING,
};

/* What is written to an open answer looks at what stands first: with thousands of streams
 * all of it comes from memory. */
struct connection {
	struct wire wire;
	struct buf output;
	int64_t write_since_ms;
	bool is_readable;  /* the socket may hold bytes */
	bool is_blocked;   /* the socket takes no bytes now */
	bool is_last;      /* no request is taken after the open one */
	bool is_cut;       /* a close alone would look like a proper end */
	bool is_lingering; /* half closed; what still comes is dropped */
	bool is_broken;    /* the socket has failed: the client is gone */
	bool is_shed;
	bool is_working;
	bool has_work; /* what connection_work() should look at once more */
	bool has_head; /* bytes of a head have come */
	bool is_peer_loopback;
	struct listener *listener;
	struct list link;          /* in listener->open */
	struct list turn_link;     /* in listener->waiting */
	struct list doubt_link;    /* in listener->doubted */
	struct exchange *exchange; /* the open one, referenced */
	struct buf input;          /* bytes not used up yet */
	struct head_scan scan;     /* of the head that stands at the start of input */
	enum body_state body;
	uint64_t body_left; /* of a counted body */
	struct chunks chunks;
	int64_t body_since_ms; /* start of the span that the body's rate is taken over */
	uint64_t body_span;    /* bytes in it */
	int64_t since_ms;      /* start of the head, of the idle time, or of lingering */
	int64_t timer_ms;      /* when the timer fires; 0: not armed */
	struct event timer;
	struct event event;
	char peer[INET6_ADDRSTRLEN];
};

enum answer_state { ANSWER_NONE, ANSWER_STARTED, ANSWER_ENDED };
enum answer_form { ANSWER_EMPTY, ANSWER_COUNTED, ANSWER_CHUNKED, ANSWER_UNTIL_CLOSE };

struct exchange {
	struct sink sink;
	struct connection *connection; /* NULL: answer ended, or client gone */
	enum answer_state answer;
	enum answer_form form;
	uint64_t answer_left;     /* of a counted answer */
	struct answer_copy *copy; /* borrowed; NULL: nobody keeps the answer */
	unsigned references;
	size_t size;      /* of all this, fields and text included */
	bool is_received; /* on_body_end has been called */
	bool is_receiving;
	bool is_peer_loopback;
	void *data;
	struct head head;
	struct spool *spool;
	sink_drained_fn *on_drained;
	void *drained_arg;
	char peer[INET6_ADDRSTRLEN];
	struct field fields[]; /* then the text of the head */
};

/* -- connection.c ----------------------------------------------------------------- */

/* Takes fd. shed: answer 503, close. */
void connection_open(struct listener *listener, int fd, bool is_shed);
/* The client is gone, or must go: on_gone for an open exchange, then frees. Only from the
 * top of an event. */
void connection_leave(struct connection *connection);
/* Does all that can be done now, then perhaps closes. Only from the top of an event. */
void connection_work(struct connection *connection);
/* Has connection_work() called soon, from the event loop. From anywhere. */
void connection_defer(struct connection *connection);
/* The answer has ended: where nothing waits to be done, the idle time begins at once; else
 * as connection_defer(). From anywhere. */
void connection_rest(struct connection *connection);
bool connection_is_idle(const struct connection *connection);

/* -- listener.c ------------------------------------------------------------------- */

void listener_defer(struct listener *listener, struct connection *connection);
/* The client may have left without an edge that tells it: asks the socket in a while. Most
 * requests have their answer by then and need no call of the system. */
void listener_doubt(struct listener *listener, struct connection *connection);
/* Makes a connection of fd, a connected socket, which it takes: what accepting does, and
 * what tests do with one end of a pair. */
void listener_adopt(struct listener *listener, int fd);

/* -- intake.c --------------------------------------------------------------------- */

/* Reads and uses up what the state of the connection allows. */
void intake_run(struct connection *connection);
/* The request cannot be taken: on_fault. */
void intake_fault(struct connection *connection, int status, const char *message);
bool intake_is_wanted(const struct connection *connection);

/* -- output.c --------------------------------------------------------------------- */

/* Sends behind what waits already; what the socket does not take is queued. */
void output_send(struct connection *connection, const struct iovec *parts, size_t count);
/* The same, but from the event loop: the parts are copied. */
void output_join(struct connection *connection, const struct iovec *parts, size_t count);
void output_flush(struct connection *connection);

/* -- exchange.c ------------------------------------------------------------------- */

/* One reference, for the connection. lines: of the head; text: copied. */
struct exchange *exchange_new(struct connection *connection, size_t lines,
	const char *text, size_t size, char **copy);
