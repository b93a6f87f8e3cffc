/* fold.h - texts in lower case, so that they can be compared in any case.
 *
 * Simple case mapping of Unicode (one character to one), as the C library's C.UTF-8
 * locale has it. Bytes that are no UTF-8 stay as they are. Any thread. */
#pragma once

#include <stddef.h>

/* Bytes that fold() may need for a text of size bytes. */
size_t fold_room(size_t size);
/* Writes the folded text and returns its size. */
size_t fold(char *out, const char *text, size_t size);
