/* redaction.h - takes out of a body what must not be kept: secrets, and heaps of base64.
 *
 * Known secrets go wherever they stand, others by what they look like: `sk-…` and its
 * kind, tokens behind `Bearer`, values of names such as `x-api-key` or `password` (in
 * headers, JSON and URLs), passwords in URLs. A run of base64 is shortened to its beginning
 * and its length. It guesses: a secret that looks like nothing, or that comes in pieces,
 * stays, and at times a harmless word goes. The text around stays as it was, so that JSON is
 * JSON still. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "storage/key.h"

#define REDACTION_SECRET_MIN 8 /* bytes; a shorter secret would take words out of texts */
#define REDACTION_SECRET_MAX 512

/* Secrets that are known: immutable, counted by references. Any thread. */
struct redaction;

/* One reference. secrets are copied; those that are shorter than REDACTION_SECRET_MIN are
 * left out, of longer ones than REDACTION_SECRET_MAX the beginning counts. */
struct redaction *redaction_new(const struct bytes *secrets, size_t count);
void redaction_ref(struct redaction *redaction);
/* NULL is fine. */
void redaction_unref(struct redaction *redaction);

/* Whether a secret that is known stands in the text, however many there are. */
bool redaction_finds(const struct redaction *redaction, struct bytes text);

/* Appends text to out without what must not be kept, up to the first size_max bytes of what
 * is left; a mark of what was taken out may stand beyond. The last ahead bytes of text only
 * tell what stands before them: where text was cut, they may hold a part of a secret. No
 * character is cut in two. redaction may be NULL: no secrets are known. Returns whether all
 * of text is in it. */
bool redaction_apply(const struct redaction *redaction, struct bytes text, size_t ahead,
	size_t size_max, struct buf *out);
