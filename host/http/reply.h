/* reply.h - writes the head of an answer. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buf;
struct field;

enum reply_connection { REPLY_SAYS_NOTHING, REPLY_SAYS_CLOSE, REPLY_SAYS_KEEP_ALIVE };

struct reply {
	int status;
	const struct field *fields;
	size_t count;
	int64_t length; /* -1: no Content-Length */
	bool is_chunked;
	enum reply_connection connection;
};

/* Fields that must not go out are left out and their names logged. */
void reply_write_head(const struct reply *reply, struct buf *out);
