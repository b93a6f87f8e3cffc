/* body.h - what a client or a provider has sent, kept beside a request's record.
 *
 * Whoever has the body decides whether it is kept and how much of it. When it is packed,
 * what must not be kept is taken out, it is cut and compressed. The rows of a record's bodies
 * have its key and the part's number, one byte, behind it. Any thread. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/mem.h"
#include "storage/key.h"

/* The numbers are on disk. */
enum body_part {
	BODY_REQUEST = 1,  /* the client's */
	BODY_RESPONSE = 2, /* to the client */
	BODY_SENT = 3,     /* to the provider, of the last attempt */
	BODY_RECEIVED = 4, /* from the provider, of the last attempt */
	BODY_PART_MAX = 4,
};

#define BODY_SIZE_MAX (16 * 1024 * 1024) /* bytes that are kept; what is longer is cut */

/* Bytes behind the limit that a body should be made with, so that no part of a secret that
 * lies across the limit is kept. Of one that is shorter than its whole, they go. */
#define BODY_SLACK 1024

struct redaction;

/* A body on its way to the journal, in memory of its own, with others in a list. */
struct body {
	struct body *next;
	enum body_part part;
	struct redaction *redaction; /* a reference, or NULL; set by whoever made it */
	size_t size_max;             /* bytes that are kept; body_new() says all */
	uint64_t whole_size;         /* bytes that there were before it was cut */
	size_t size;
	unsigned char data[];
};

/* A copy of data. */
struct body *body_new(enum body_part part, const void *data, size_t size,
	uint64_t whole_size);
/* All of the list. NULL is fine. */
void body_free(struct body *body);
/* Bytes in memory of all of the list. */
size_t body_weight(const struct body *body);

const char *body_part_name(enum body_part part); /* "request"; static */

/* Appends the row of one body. */
void body_pack(const struct body *body, struct buf *out);

/* What a row says of its body. */
struct body_facts {
	size_t size;         /* bytes that are kept */
	uint64_t whole_size; /* bytes that there were, with what was taken out */
	bool is_cut;         /* its end is missing */
};

/* Appends the bytes to out, which may be NULL if only the facts are wanted. -EBADMSG: the
 * row is damaged; -EPROTO: a newer neap wrote it. */
MUST_CHECK
int body_unpack(struct bytes row, struct buf *out, struct body_facts *facts);
