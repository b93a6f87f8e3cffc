#include "json/look.h"

#include <errno.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "json/cursor.h"

#define NUMBER_ROOM 64 /* bytes of a number's text; a longer one is no number */
#define DIGITS_MAX 15  /* that a double holds exactly */

/* A step of a path. Those of all questions that begin alike share their steps. */
struct node {
	const char *name;
	size_t name_size;
	struct node *members; /* of an object, by next */
	struct node *next;
	struct node *element; /* of an array: each of them */
	int question;         /* that a path ends here for, or -1 */
	size_t rank;
};

struct question {
	enum look_take take;
	double max;
	size_t path_count;
};

struct look {
	struct arena arena;
	struct node root;
	size_t count;
	struct question questions[LOOK_QUESTIONS_MAX];
};

static const struct look nothing = { .root = { .question = -1 } };

struct look *look_new(void)
{
	struct look *look = xcalloc(1, sizeof(*look));

	look->root.question = -1;
	return look;
}

void look_free(struct look *look)
{
	if (!look)
		return;
	arena_clear(&look->arena);
	free(look);
}

int look_ask(struct look *look, enum look_take take, double max)
{
	if (look->count == LOOK_QUESTIONS_MAX)
		return -ENOSPC;
	look->questions[look->count] = (struct question) { .take = take, .max = max };
	return (int)look->count++;
}

static struct node *find_member(const struct node *node, const char *name, size_t size)
{
	struct node *member = node->members;

	/* None of these has a backslash in it. */
	while (member &&
		(member->name_size != size || memcmp(member->name, name, size) != 0))
		member = member->next;
	return member;
}

static struct node *add_step(struct look *look, struct node *node, const char *name,
	size_t size)
{
	bool is_each = size == 1 && *name == '*';
	struct node *step = is_each ? node->element : find_member(node, name, size);

	if (step)
		return step;
	step = arena_calloc(&look->arena, sizeof(*step));
	step->question = -1;
	step->name = arena_strdup(&look->arena, name, size);
	step->name_size = size;
	if (is_each) {
		node->element = step;
	} else {
		struct node **end = &node->members;

		while (*end)
			end = &(*end)->next;
		*end = step;
	}
	return step;
}

int look_add_path(struct look *look, const char *path)
{
	struct question *question = &look->questions[look->count - 1];
	struct node *node = &look->root;

	for (;;) {
		size_t size = strcspn(path, "/");

		if (!size || memchr(path, '\\', size))
			return -EINVAL;
		node = add_step(look, node, path, size);
		path += size;
		if (!*path)
			break;
		path++;
	}
	if (node->question >= 0)
		return -EINVAL;
	node->question = (int)look->count - 1;
	node->rank = question->path_count++;
	return 0;
}

size_t look_question_count(const struct look *look)
{
	return look->count;
}

struct walk {
	struct cursor cursor;
	const struct look *look;
	struct look_answer *answers;
};

/* A text of digits, or whatever strtod() takes whole. */
static bool read_number(const char *text, size_t size, double *out)
{
	char copy[NUMBER_ROOM], *end;
	int64_t whole = 0;
	size_t i;

	if (size == 0 || size >= sizeof(copy))
		return false;
	for (i = 0; i < size && text[i] >= '0' && text[i] <= '9'; i++)
		whole = i < DIGITS_MAX ? whole * 10 + (text[i] - '0') : whole;
	*out = (double)whole;
	if (i == size && size <= DIGITS_MAX)
		return true;
	memcpy(copy, text, size);
	copy[size] = '\0';
	*out = strtod(copy, &end);
	return *end == '\0';
}

/* A value that a path has led to. */
struct found {
	enum json_kind kind;
	size_t rank;
	const char *text;
	size_t size;
};

static void take_number(const struct question *question, struct look_answer *answer,
	const struct found *found)
{
	size_t quotes = found->kind == JSON_STRING;
	double number;

	if (found->kind != JSON_NUMBER && found->kind != JSON_STRING)
		return;
	if (!read_number(found->text + quotes, found->size - 2 * quotes, &number))
		return;
	if (!(number >= 0 && number <= question->max))
		return;
	if (question->take != LOOK_NUMBER)
		number = floor(number);
	if (answer->kind != JSON_NONE &&
		(question->take == LOOK_GREATEST ? number <= answer->number
						 : found->rank >= answer->rank))
		return;
	answer->kind = found->kind;
	answer->rank = found->rank;
	answer->number = number;
}

static void take_value(struct look_answer *answer, const struct found *found)
{
	if (answer->kind != JSON_NONE && found->rank >= answer->rank)
		return;
	answer->kind = found->kind;
	answer->rank = found->rank;
	answer->text = found->text;
	answer->size = found->size;
}

static void take(const struct walk *walk, int index, const struct found *found)
{
	const struct question *question = &walk->look->questions[index];
	struct look_answer *answer = &walk->answers[index];

	switch (question->take) {
	case LOOK_VALUE:
		take_value(answer, found);
		break;
	case LOOK_SOME:
		/* Two bytes are quotes or brackets around nothing. */
		if (found->kind != JSON_NULL && found->size > 2)
			answer->kind = found->kind;
		break;
	case LOOK_BYTES:
		if (found->kind == JSON_NULL)
			break;
		answer->kind = found->kind;
		answer->number += (double)found->size;
		break;
	default:
		take_number(question, answer, found);
	}
}

static bool pass(struct walk *walk, const struct node *node);

static bool pass_members(struct walk *walk, const struct node *node,
	struct scan_marks *marks)
{
	struct cursor *cursor = &walk->cursor;

	if (!cursor_take(cursor, '{'))
		return false;
	if (cursor_take(cursor, '}'))
		return true;
	do {
		struct scan_mark mark;
		const struct node *member;

		if (!cursor_pass_name(cursor, &mark.name, &mark.name_size))
			return false;
		mark.kind = cursor_kind_at(cursor);
		mark.value = cursor->at;
		member = find_member(node, mark.name, mark.name_size);
		if (member ? !pass(walk, member) : !cursor_pass_kind(cursor, mark.kind))
			return false;
		mark.value_size = (size_t)(cursor->at - mark.value);
		if (marks && marks->count++ < SCAN_MARKS_MAX)
			marks->at[marks->count - 1] = mark;
	} while (cursor_take(cursor, ','));
	return cursor_take(cursor, '}');
}

static bool pass_elements(struct walk *walk, const struct node *element)
{
	cursor_take(&walk->cursor, '[');
	if (cursor_take(&walk->cursor, ']'))
		return true;
	do {
		if (!pass(walk, element))
			return false;
	} while (cursor_take(&walk->cursor, ','));
	return cursor_take(&walk->cursor, ']');
}

/* Passes over a value, and takes what is wanted in it and of it. */
static bool pass(struct walk *walk, const struct node *node)
{
	struct cursor *cursor = &walk->cursor;
	struct found found = { .kind = cursor_kind_at(cursor), .rank = node->rank };
	bool is_good;

	found.text = cursor->at;
	if (found.kind == JSON_OBJECT && node->members)
		is_good = pass_members(walk, node, NULL);
	else if (found.kind == JSON_ARRAY && node->element)
		is_good = pass_elements(walk, node->element);
	else
		is_good = cursor_pass_kind(cursor, found.kind);
	if (!is_good)
		return false;
	found.size = (size_t)(cursor->at - found.text);
	if (node->question >= 0)
		take(walk, node->question, &found);
	return true;
}

void look_read(const struct look *look, const char *data, size_t size,
	struct scan_marks *marks, struct look_answer *answers)
{
	struct walk walk = { { data, data + size }, look, answers };
	bool is_whole;

	memset(answers, 0, look->count * sizeof(*answers));
	if (marks)
		marks->count = 0;
	is_whole = pass_members(&walk, &look->root, marks);
	if (marks)
		marks->is_whole = is_whole && marks->count <= SCAN_MARKS_MAX;
}

/* Reads one member of a document. */
static void read_member(const struct look *look, const char *name, size_t name_size,
	const char *value, size_t size, struct look_answer *answers)
{
	const struct node *node = find_member(&look->root, name, name_size);
	struct walk walk = { { value, value + size }, look, answers };

	if (node)
		pass(&walk, node);
}

void look_read_marked(const struct look *look, const struct scan_marks *marks,
	struct look_answer *answers)
{
	memset(answers, 0, look->count * sizeof(*answers));
	for (size_t i = 0; i < marks->count; i++) {
		const struct scan_mark *mark = &marks->at[i];

		read_member(look, mark->name, mark->name_size, mark->value,
			mark->value_size, answers);
	}
}

void look_read_scan(const struct look *look, const struct scan *scan,
	struct look_answer *answers)
{
	memset(answers, 0, look->count * sizeof(*answers));
	for (size_t i = 0; i < scan_member_count(scan); i++) {
		const struct scan_member *member = scan_member_at(scan, i);

		if (member->value)
			read_member(look, member->name, strlen(member->name),
				member->value, member->size, answers);
	}
}

void scan_mark(struct scan_marks *marks, const char *data, size_t size)
{
	struct look_answer none;

	look_read(&nothing, data, size, marks, &none);
}
