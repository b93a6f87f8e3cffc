/* chunk.h - takes a chunked body apart, strictly.
 *
 * A size is one to sixteen hex digits and nothing else: no sign, no 0x, and white space behind it
 * only where may_be_padded: some servers, old ones of Apache among them, fill up to a fixed width.
 * Every line ends in CR LF. Extensions are passed over up to a total, the trailer is
 * checked like the fields of a head and dropped. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/head_scan.h"

enum chunk_state {
	CHUNK_MORE, /* all bytes are used up */
	CHUNK_DATA, /* a run of the body was found */
	CHUNK_END,  /* the body and its trailer are complete */
	CHUNK_BAD,
};

/* All zero but may_be_padded: before the first size. */
struct chunks {
	uint64_t left;      /* of the chunk that is being read */
	size_t digits;      /* of its size */
	size_t extension;   /* bytes of extensions so far */
	int state;          /* of the machine in chunk.c */
	bool may_be_padded; /* for answers; a request could be read otherwise behind us */
	struct head_scan trailer;
};

struct chunk_run {
	const char *data;
	size_t size;
};

/* Uses up bytes to the end of one run at most; used says how many. trailer_max: bytes. */
enum chunk_state chunks_take(struct chunks *chunks, const char *data, size_t size,
	size_t trailer_max, size_t *used, struct chunk_run *run);
