/* err.h - the text of a failure, written where its cause is known.
 *
 * A function whose failure a human will read takes a last parameter struct err *err
 * (which may be NULL) and fills it. One layer logs it: whoever stops the propagation. */
#pragma once

#include "base/mem.h"

struct err {
	char text[1024];
};

/* Writes the text (cut at the end of the room) and returns code, so that it can stand
 * in a return statement: return err_set(err, -EINVAL, "…"). */
int err_set(struct err *err, int code, const char *format, ...) PRINTF_LIKE(3, 4);
