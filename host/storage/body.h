/* body.h - what a client or a provider has sent, kept beside a request's record.
 *
 * Whoever has the body decides whether it is kept, cuts it and takes out what must not be
 * kept; here it is compressed and unpacked again. The rows of a record's bodies have its
 * key and the part's number, one byte, behind it. Any thread. */
#pragma once

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

/* A body on its way to the journal, in memory of its own, with others in a list. */
struct body {
	struct body *next;
	enum body_part part;
	uint64_t whole_size; /* bytes that there were before it was cut */
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
/* Appends the bytes to out, which may be NULL if only the sizes are wanted. -EBADMSG: the
 * row is damaged; -EPROTO: a newer neap wrote it. */
MUST_CHECK
int body_unpack(struct bytes row, struct buf *out, size_t *size, uint64_t *whole_size);
