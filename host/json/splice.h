/* splice.h - a body with some of its top-level members replaced or added, without a copy
 * of the rest.
 *
 * All other bytes stay as they came: white space, order, number texts, escapes. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/piece.h"

struct scan;

struct splice_edit {
	/* Of a top-level member; plain ASCII without characters that JSON escapes. */
	const char *name;
	/* A complete JSON text; NULL removes the member with its comma. */
	const char *value;
	size_t value_size;
};

/* scan: complete, of an object. memory: the document where it is in one run, else NULL
 * and source is read when sent. size: of the document. The pieces and what they point to
 * come from arena, or are the document's own; edits may go after the call. A member that
 * the document lacks is added before the others, in the order of the edits; removing one
 * that it lacks does nothing. -EINVAL with a text for a bad edit (two of one name, an
 * empty value) or a document that is no object. */
MUST_CHECK
int splice(struct piece **pieces, size_t *piece_count, struct arena *arena,
	const struct scan *scan, const char *memory, struct source *source, uint64_t size,
	const struct splice_edit *edits, size_t edit_count, struct err *err);
