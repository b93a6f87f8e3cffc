/* gist.h - what is enough of a text to tell it from others: its size, its beginning, its end.
 *
 * A text is known again by its gist, however long it is, without a copy of it. Texts of one
 * size that differ only between their beginning and their end have the same; whoever needs
 * more compares the texts. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "json/scan.h"

#define GIST_BEGIN 80     /* bytes: twenty characters, whatever they are */
#define GIST_END 48       /* bytes behind these */
#define GIST_PARTS_MAX 16 /* of a list: what stands behind them is not looked at */

struct gist {
	size_t size; /* of the text in bytes; see gist_of_value() */
	size_t begin_size, end_size;
	char begin[GIST_BEGIN];
	char end[GIST_END];
};

/* More of the text; all zero is the gist of an empty one. */
void gist_add(struct gist *gist, const char *text, size_t size);
/* The gist of what a value in JSON says: of a string, or of the strings that the members of
 * an array have as their member called part, joined. Anything else says nothing. Escapes
 * are taken for what they mean; but of a string of more than 2 KiB size and end are those
 * of its raw text, so that a long one costs no more than a short one. */
void gist_of_value(struct gist *gist, const struct scan_slice *value, const char *part);
/* The bytes of the first so many characters (of UTF-8, 20 at most); 0 where there are
 * fewer. */
size_t gist_characters(const struct gist *gist, size_t count);
