/* yaml.h - a YAML document as JSON text.
 *
 * What is in it is not trusted: it is refused where it nests deeper than YAML_DEPTH, and where
 * it says, aliases followed, more than YAML_NODES values or YAML_BYTES bytes. Mappings keep
 * their order, and of two equal names the last counts; names are texts. A merge (<<) is
 * followed. Plain scalars are null, true, false (also yes, no, on, off), numbers as JSON writes
 * them, else texts; tags are ignored. */
#pragma once

#include <stddef.h>

#include "base/buf.h"
#include "base/err.h"

#define YAML_DEPTH 32
#define YAML_NODES 200000
#define YAML_BYTES (16 * 1024 * 1024)

/* Appends the first document; an empty one is null. -EINVAL: it is no YAML, with its line;
 * -E2BIG: too much. */
MUST_CHECK
int yaml_to_json(const char *text, size_t size, struct buf *out, struct err *err);
