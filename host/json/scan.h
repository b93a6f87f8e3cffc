/* scan.h - finds the top-level members of a JSON object as its bytes arrive.
 *
 * Nothing is decoded and no tree is built: of a megabyte of prompt the scan keeps the
 * places of the top-level members, and a copy of the values of those that were asked
 * for. The grammar of the structure (brackets, commas, colons, literals, numbers, nesting
 * up to SCAN_DEPTH) is checked in full, so that no full parser can see another top-level
 * member than the scan does; what stands inside of strings is left to whoever decodes
 * it. Duplicate and escaped top-level names are refused: two parsers could disagree
 * about them. So are names that are no UTF-8 and a byte order mark. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define SCAN_DEPTH 64
#define SCAN_MEMBERS 256    /* top-level members; more are refused */
#define SCAN_NAME_MAX 256   /* bytes of a top-level name */
#define SCAN_VALUE_MAX 4096 /* bytes of a value that is kept */

struct scan;

enum json_kind {
	JSON_NONE,
	JSON_NULL,
	JSON_FALSE,
	JSON_TRUE,
	JSON_NUMBER,
	JSON_STRING,
	JSON_ARRAY,
	JSON_OBJECT
};

struct scan_member {
	const char *name; /* NUL-terminated, as in the document */
	enum json_kind kind;
	uint64_t name_offset; /* of the quote before the name */
	uint64_t offset;      /* of the value's first byte in the document */
	uint64_t size;        /* of the value's text */
	/* The value's text with a NUL behind it, if it was wanted and is no longer than
	 * SCAN_VALUE_MAX; else NULL. */
	const char *value;
};

/* Elements of a list: of the array that is the top-level member called list, those that are
 * objects in which the member called name is the string text. Noted of each is the member called
 * part. None of the four has an escape, and none but list is longer than SCAN_NAME_MAX. */
struct scan_wanted {
	const char *list, *name, *text, *part;
};

#define SCAN_LAST 2 /* elements that are noted */

/* A value in the document. */
struct scan_place {
	uint64_t offset, size;
	enum json_kind kind;
};

/* wanted: names whose values are kept; NULL ends the array, which must outlive the scan.
 * It may be NULL itself. */
struct scan *scan_new(const char *const *wanted);
/* Before the first feed: what is noted of lists, see scan_last(). wanted outlives the scan; its
 * lists have different names. */
void scan_want_last(struct scan *scan, const struct scan_wanted *wanted, size_t count);
/* The next bytes of the document; however it is cut, the result is the same. 0, or
 * -EINVAL with a text that names the offset ("… at byte 17"); after an error the scan
 * only repeats it. */
MUST_CHECK
int scan_feed(struct scan *scan, const char *data, size_t size, struct err *err);
/* The document has ended. -EINVAL if it is incomplete. */
MUST_CHECK
int scan_end(struct scan *scan, struct err *err);
/* The kind of the document itself. */
enum json_kind scan_kind(const struct scan *scan);
/* Members are good until the next feed, and what they point to until scan_free(). */
size_t scan_member_count(const struct scan *scan);
const struct scan_member *scan_member_at(const struct scan *scan, size_t index);
const struct scan_member *scan_find(const struct scan *scan, const char *name);
/* The last elements of a list that were wanted, the last one first: of each the value that is
 * noted (kind JSON_NONE where it has none). wanted: the one whose list it is; of several lists
 * the one that came last. Good for a document that has ended; returns how many there are. */
size_t scan_last(const struct scan *scan, const struct scan_place **last,
	const struct scan_wanted **wanted);
/* Where a new member can be put in: the offset right behind the object's "{". */
uint64_t scan_open_offset(const struct scan *scan);
void scan_free(struct scan *scan);

/* Walks into a complete document without decoding it and without checking what it passes
 * over: for answers, of which one value is wanted (choices, 0, message, content). path:
 * member names, or array indices in decimal (from 0) where an array stands. Returns the
 * value's kind and its text, or JSON_NONE if the path leads nowhere or the text is no
 * JSON there. Of several members of one name the first is found. A name with an escape in
 * the document never matches. */
enum json_kind scan_path(const char *data, size_t size, const char *const *path,
	size_t path_count, const char **value, size_t *value_size);

struct scan_slice {
	const char *data;
	size_t size;
	enum json_kind kind;
};

#define SCAN_MARKS_MAX 16

/* Where the members at the top of a complete document lie, for who walks into it several
 * times. It points into the document. */
struct scan_marks {
	bool is_whole; /* all members are here; else the walk starts at the document */
	size_t count;
	struct scan_mark {
		const char *name, *value;
		size_t name_size, value_size;
		enum json_kind kind;
	} at[SCAN_MARKS_MAX];
};

void scan_mark(struct scan_marks *marks, const char *data, size_t size);
/* scan_path() in the document that was marked. */
enum json_kind scan_marked_path(const struct scan_marks *marks, const char *data,
	size_t size, const char *const *path, size_t path_count, const char **value,
	size_t *value_size);
