/* sources.h - the files of one generation, each read once.
 *
 * The loader builds a scratch state and then one state per worker; all of them must
 * see the same texts, also when somebody saves a file in between. So files are read
 * through a snapshot that remembers what it has read, absent files included. Used by
 * one thread at a time. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct sources;
struct stored;

#define SOURCE_MAX (4 * 1024 * 1024) /* bytes of one file */

/* home: the program's folder with lua/ and policies/; library: a folder of more modules
 * (for somebody who writes a dialect), or NULL. Copies both. */
struct sources *sources_new(const char *home, const char *library);
const char *sources_home(const struct sources *sources);
const char *sources_library(const struct sources *sources); /* or NULL */
/* The text (NUL-terminated, borrowed), or NULL with a reason in *why ("No such
 * file or directory"). */
const char *sources_read(struct sources *sources, const char *path, size_t *size,
	const char **why);
/* The stored configuration that belongs to the files, borrowed; NULL: none, as for neap
 * check and tests. */
void sources_set_stored(struct sources *sources, const struct stored *stored);
const struct stored *sources_stored(const struct sources *sources);
void sources_free(struct sources *sources);
