/* head.h - the head of a request: from raw bytes to a checked struct.
 *
 * Two steps. head_scan() looks at every byte as it arrives and finds the end of the head;
 * it knows only lines, names and forbidden bytes. head_parse() has llhttp judge the whole
 * head, cuts it up and judges what llhttp leaves open. Both refuse what two parsers could
 * read in two ways: a lone CR or LF, folded lines, control characters, names that are no
 * token, two lengths, a length beside a transfer coding, and everything else of that kind.
 * Nothing is repaired. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/head_scan.h"

struct field;

struct head {
	const char *method; /* "" before it is known, and so are the next two */
	const char *path;
	const char *query;
	struct field *fields;
	size_t field_count;
	uint64_t names;      /* of the fields, a bit each, see head.c */
	int64_t body_length; /* -1: chunks, 0: no body */
	bool is_http_1_0;
	bool is_keep_alive; /* what the client wants */
	bool expects_continue;
};

/* text: a head that head_scan() has passed, without an empty line in front; it is cut up
 * in place and must live as long as head. fields: room for one per line of the scan.
 * Returns 0, or the status to refuse it with and why. */
int head_parse(struct head *head, char *text, size_t size, struct field *fields,
	const char **message);
/* The value of the first field of that name in any case, or NULL. */
const char *head_value(const struct head *head, const char *name);
/* The same from *place on, 0 at first; *place is behind it then. NULL: there are no more. */
const char *head_next_value(const struct head *head, const char *name, size_t *place);
