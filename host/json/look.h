/* look.h - what is wanted of a document, found in one walk.
 *
 * A look is a list of questions, made once. Each names paths ("choices / * / message /
 * content" without the spaces: members' names, "*" for each element of an array) and what
 * is taken of the values that lie there. Reading goes over the document once and builds
 * nothing; the text is taken for good, as by scan_path(): of one that breaks off the
 * answers are what was complete by then. Of several members of one name the first counts
 * where one is taken, and a name with an escape is none that anybody looks for. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "json/scan.h"

#define LOOK_QUESTIONS_MAX 24

enum look_take {
	LOOK_VALUE, /* the value at the earliest path of those that lead to one */
	LOOK_SOME, /* whether any says something: not null, not empty (2 bytes at most) */
	LOOK_BYTES,   /* of the texts of all values but null, together */
	LOOK_NUMBER,  /* the number at the earliest path that leads to a good one */
	LOOK_COUNT,   /* the same without its fraction */
	LOOK_GREATEST /* the greatest count of all paths */
};

struct look_answer {
	enum json_kind kind; /* JSON_NONE: nothing of this kind was found */
	size_t rank;         /* of the path in its question, from 0 */
	const char *text;    /* the value's, in the document; of LOOK_VALUE */
	size_t size;
	double number; /* bytes, or the number */
};

struct look;

struct look *look_new(void);
void look_free(struct look *look);
/* Adds a question and returns its index; -ENOSPC where there are too many. A number is good
 * from 0 to max, and may be written as a string. */
MUST_CHECK
int look_ask(struct look *look, enum look_take take, double max);
/* Adds a path to the last question. -EINVAL where a name is empty or has a backslash,
 * or the path is in a question already. */
MUST_CHECK
int look_add_path(struct look *look, const char *path);
size_t look_question_count(const struct look *look);

/* Reads a document. answers: one for each question. marks: filled on the way, or NULL. */
void look_read(const struct look *look, const char *data, size_t size,
	struct scan_marks *marks, struct look_answer *answers);
/* The same in a document that was marked as a whole. */
void look_read_marked(const struct look *look, const struct scan_marks *marks,
	struct look_answer *answers);
/* The same in those members of a scanned document whose values were kept. */
void look_read_scan(const struct look *look, const struct scan *scan,
	struct look_answer *answers);
