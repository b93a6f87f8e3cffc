/* decode.h - an answer's content coding: gzip, deflate, br, zstd.
 *
 * Nobody is asked for one, but some send it all the same. One coding, never several. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct decoder;

enum decoded {
	DECODED_MORE, /* all input is used up */
	DECODED_FULL, /* the room is, and there is more to come out */
	DECODED_END,  /* of what was encoded; nothing may follow */
	DECODED_BAD,
};

/* Input and output of one step; both move on. */
struct decode_step {
	const char *in;
	size_t in_size;
	char *out;
	size_t out_size;
};

/* coding: the value of Content-Encoding. NULL: it is not known. */
struct decoder *decoder_new(const char *coding);
enum decoded decoder_run(struct decoder *decoder, struct decode_step *step);
/* Whether what was encoded has come to its end. */
bool decoder_is_done(const struct decoder *decoder);
void decoder_free(struct decoder *decoder);
