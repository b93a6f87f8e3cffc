/* scan_inside.h - what the files of the scan share. Private to them. */
#pragma once

#include "base/arena.h"
#include "base/buf.h"
#include "json/scan.h"
#include "json/text.h"

#define MEMBERS_FEW 8 /* most documents have no more */

enum scan_state {
	AT_VALUE,
	AT_FIRST_ELEMENT, /* behind "[": a value, or the end of the array */
	AT_NAME,
	AT_FIRST_NAME, /* behind "{": a name, or the end of the object */
	AT_COLON,
	AT_NEXT, /* behind a value: a comma, or the end of what it stands in */
	AT_END,
	IN_TOP_NAME,
	IN_NAME,
	IN_STRING,
	IN_NUMBER,
	IN_LITERAL,
};

struct scan {
	const char *const *wanted;
	struct arena arena;          /* the scan itself, names, kept values */
	struct scan_member *members; /* few, or a longer list */
	size_t member_count;
	size_t member_capacity;
	struct scan_member few[MEMBERS_FEW];
	enum json_kind kind;
	uint64_t open_offset;

	enum scan_state state;
	unsigned depth;
	/* A bit for each open bracket, the innermost lowest: is it "{"? */
	uint64_t objects;
	bool is_escaped;
	enum text_number number;
	const char *literal; /* what is still to come of it */
	uint64_t name_offset;
	size_t name_size;
	unsigned char name_bits; /* that any of its bytes has */
	char name[SCAN_NAME_MAX + 1];

	/* The bytes that are being fed, and how far they are used. */
	const char *data;
	size_t size;
	size_t at;
	uint64_t offset; /* of data in the document */

	/* The value that is being kept: what earlier feeds brought of it, and where the
	 * rest of it begins in data. */
	bool is_keeping;
	size_t keep_at;
	struct buf kept;

	/* What is noted of a list, see scan_last(). */
	const struct scan_wanted *lists;
	size_t list_count;
	const struct scan_wanted *last_wanted; /* of the list that came last */
	bool is_in_list;                       /* the member at hand is this list */
	bool is_it;                            /* the element at hand is wanted */
	const char *coming;     /* the wanted name whose value comes, or NULL */
	struct scan_place part; /* of the element at hand */
	struct scan_place last[SCAN_LAST];
	size_t last_count;

	int code;
	const char *failure;
};

static inline uint64_t scan_here(const struct scan *scan)
{
	return scan->offset + scan->at;
}

/* -- scan_last.c: of values and strings in the list that is noted ------------------- */

/* Of an array: whether it is a list that is noted. */
bool scan_last_begin(struct scan *scan, const char *name);
void scan_last_start(struct scan *scan, enum json_kind kind);
void scan_last_end(struct scan *scan);
/* The next piece of a string; is_ended: its last one. */
void scan_last_text(struct scan *scan, const char *piece, size_t size, bool is_ended);
