/* direct_transfer.h - a transfer that goes over a channel of our own, for the files that make
 * it up.
 *
 * direct_transfer.c is its life, direct_request.c how the request goes out, direct_response.c
 * what comes back. It speaks HTTP/1.1 to plain URLs without a proxy; all else is libcurl's.
 * Inside of upstream/ only. */
#pragma once

#include "base/chunk.h"
#include "upstream/channel.h"
#include "upstream/transfer_inside.h"

struct decoder;
struct dial;

enum direct_state {
	DIRECT_HEAD, /* the head, or what of it has not come yet */
	DIRECT_LENGTH,
	DIRECT_CHUNKS,
	DIRECT_CLOSE, /* a body that ends with the connection */
	DIRECT_DONE,
};

struct direct_transfer {
	struct transfer transfer;
	struct channel *channel;
	/* The answer. */
	enum direct_state state;
	bool has_come;    /* a byte of it */
	bool has_status;  /* the first line of the head that is being read */
	bool is_keepable; /* what it says of the channel: HTTP/1.1, or keep-alive */
	bool is_closing;  /* close, or a body that ends with it */
	bool is_clean;    /* it is complete, and nothing came behind it */
	bool is_full;     /* the decoder has more than there was room for */
	size_t run;       /* bytes that come next and are body */
	uint64_t left;    /* DIRECT_LENGTH: bytes behind the run */
	uint64_t came;    /* bytes of the body, as they came */
	struct buf held;  /* bytes that came and could not be taken yet */
	struct chunks chunks;
	struct decoder *decoder;
	/* The request. */
	bool is_sent;
	bool is_given_up; /* no more of it can be sent, or is wanted */
	bool has_no_body; /* the answer to HEAD */
	bool is_lean;     /* a stream whose channel has given its buffers back */
	bool is_repeated; /* sent once more, on a fresh channel */
	struct buf head;
	size_t head_at; /* bytes of it that are sent */
	struct channel_origin *origin;
	struct dial *dial;
};

static inline struct direct_transfer *direct_of(const struct transfer *transfer)
{
	return CONTAINER_OF(transfer, struct direct_transfer, transfer);
}

/* direct_request.c: sends as much as the socket takes. */
void direct_send(struct direct_transfer *own);
/* Before it is sent once more. */
void direct_rewind(struct direct_transfer *own);

enum direct_taken {
	DIRECT_MORE,    /* all was taken */
	DIRECT_STALLED, /* the rest waits until the transfer is not paused any more */
	DIRECT_END,     /* the answer is complete */
	DIRECT_FAILED,  /* that was noted */
	DIRECT_CLOSED,  /* by a callback */
};

/* direct_response.c: takes bytes that came; used says how many. Calls
 * on_data. */
enum direct_taken direct_take(struct direct_transfer *own, const char *data, size_t size,
	size_t *used);
