/* pattern.c - a backtracking matcher for Lua patterns that counts its steps. */
#include "script/pattern.h"

#include <assert.h>
#include <ctype.h>
#include <string.h>

#define CAPTURE_OPEN ((size_t)-1)
#define DEPTH_MAX 200 /* matches inside of each other: quantifiers and captures */
#define ESCAPE '%'

struct matcher {
	const char *text;
	const char *text_end;
	const char *pattern_end;
	long steps;
	int depth;
	enum pattern_result stop; /* NONE, or why the search ends without an answer */
	const char *error;
	struct pattern_match *match;
};

static const char *match_rest(struct matcher *m, const char *at, const char *p);

static const char *stop(struct matcher *m, enum pattern_result why, const char *error)
{
	m->stop = why;
	m->error = error;
	return NULL;
}

static bool spend(struct matcher *m, size_t count)
{
	m->steps -= (long)count;
	if (m->steps >= 0)
		return true;
	m->steps = 0;
	stop(m, PATTERN_TOO_LONG, NULL);
	return false;
}

/* Behind the single-character class that begins at p: "a", ".", "%a", "[a-z]". */
static const char *skip_class(struct matcher *m, const char *p)
{
	const char *end = m->pattern_end;
	char first = *p++;

	if (first == ESCAPE)
		return p < end
			? p + 1
			: stop(m, PATTERN_MALFORMED, "malformed pattern (ends with '%')");
	if (first != '[')
		return p;
	if (p < end && *p == '^')
		p++;
	/* A ] right at the start of a set stands for itself. */
	for (bool is_first = true; p < end && (is_first || *p != ']'); is_first = false)
		p += *p == ESCAPE && p + 1 < end ? 2 : 1;
	return p < end ? p + 1
		       : stop(m, PATTERN_MALFORMED, "malformed pattern (missing ']')");
}

static bool is_in_class(unsigned char c, char class)
{
	bool is;

	switch (tolower((unsigned char)class)) {
	case 'a':
		is = isalpha(c);
		break;
	case 'c':
		is = iscntrl(c);
		break;
	case 'd':
		is = isdigit(c);
		break;
	case 'g':
		is = isgraph(c);
		break;
	case 'l':
		is = islower(c);
		break;
	case 'p':
		is = ispunct(c);
		break;
	case 's':
		is = isspace(c);
		break;
	case 'u':
		is = isupper(c);
		break;
	case 'w':
		is = isalnum(c);
		break;
	case 'x':
		is = isxdigit(c);
		break;
	case 'z':
		is = c == 0;
		break;
	default:
		return (unsigned char)class == c;
	}
	return isupper((unsigned char)class) ? !is : is;
}

/* p: at the [; last: at the closing ]. */
static bool is_in_set(unsigned char c, const char *p, const char *last)
{
	bool is_negated = p[1] == '^';

	for (p += is_negated ? 2 : 1; p < last; p++) {
		if (*p == ESCAPE && p + 1 < last) {
			if (is_in_class(c, *++p))
				return !is_negated;
		} else if (p + 2 < last && p[1] == '-') {
			if ((unsigned char)p[0] <= c && c <= (unsigned char)p[2])
				return !is_negated;
			p += 2;
		} else if ((unsigned char)*p == c) {
			return !is_negated;
		}
	}
	return is_negated;
}

static bool is_one(struct matcher *m, const char *at, const char *p,
	const char *class_end)
{
	if (at >= m->text_end || !spend(m, (size_t)(class_end - p)))
		return false;

	unsigned char c = (unsigned char)*at;
	switch (*p) {
	case '.':
		return true;
	case ESCAPE:
		return is_in_class(c, p[1]);
	case '[':
		return is_in_set(c, p, class_end - 1);
	default:
		return (unsigned char)*p == c;
	}
}

/* class_end: at the quantifier. */
static const char *match_greedy(struct matcher *m, const char *at, const char *p,
	const char *class_end, const char *least)
{
	while (is_one(m, at, p, class_end))
		at++;
	for (; at >= least && m->stop == PATTERN_NONE; at--) {
		const char *end = match_rest(m, at, class_end + 1);

		if (end)
			return end;
	}
	return NULL;
}

static const char *match_lazy(struct matcher *m, const char *at, const char *p,
	const char *class_end)
{
	for (;;) {
		const char *end = match_rest(m, at, class_end + 1);

		if (end || m->stop != PATTERN_NONE)
			return end;
		if (!is_one(m, at, p, class_end))
			return NULL;
		at++;
	}
}

/* p: behind the parenthesis. */
static const char *open_capture(struct matcher *m, const char *at, const char *p)
{
	struct pattern_match *match = m->match;
	bool is_position = p < m->pattern_end && *p == ')';

	if (match->capture_count == PATTERN_CAPTURES)
		return stop(m, PATTERN_MALFORMED, "too many captures");
	match->captures[match->capture_count++] = (struct pattern_capture) {
		.start = at,
		.size = is_position ? PATTERN_POSITION : CAPTURE_OPEN,
	};
	const char *end = match_rest(m, at, is_position ? p + 1 : p);
	if (!end)
		match->capture_count--;
	return end;
}

static const char *close_capture(struct matcher *m, const char *at, const char *p)
{
	int i = m->match->capture_count;

	do {
		if (--i < 0)
			return stop(m, PATTERN_MALFORMED, "invalid pattern capture");
	} while (m->match->captures[i].size != CAPTURE_OPEN);

	struct pattern_capture *capture = &m->match->captures[i];
	capture->size = (size_t)(at - capture->start);
	const char *end = match_rest(m, at, p);
	if (!end)
		capture->size = CAPTURE_OPEN;
	return end;
}

/* %b(): p at the b. */
static const char *match_balanced(struct matcher *m, const char *at, const char *p)
{
	if (m->pattern_end - p < 3)
		return stop(m, PATTERN_MALFORMED,
			"malformed pattern (missing arguments to '%b')");
	if (at >= m->text_end || *at != p[1])
		return NULL;

	const char *start = at;
	for (long depth = 1; ++at < m->text_end;) {
		if (*at == p[2])
			depth--;
		else if (*at == p[1])
			depth++;
		if (depth == 0)
			break;
	}
	if (!spend(m, (size_t)(at - start)))
		return NULL;
	return at < m->text_end ? at + 1 : NULL;
}

/* %f[set]: p at the [; the position where a run of the set begins. */
static bool is_frontier(struct matcher *m, const char *at, const char *p,
	const char *set_end)
{
	unsigned char before = at > m->text ? (unsigned char)at[-1] : 0;
	unsigned char here = at < m->text_end ? (unsigned char)*at : 0;

	return spend(m, (size_t)(set_end - p)) && !is_in_set(before, p, set_end - 1) &&
		is_in_set(here, p, set_end - 1);
}

static const char *match_back_reference(struct matcher *m, const char *at, char digit)
{
	int i = digit - '1';

	if (i < 0 || i >= m->match->capture_count ||
		m->match->captures[i].size == CAPTURE_OPEN)
		return stop(m, PATTERN_MALFORMED, "invalid capture index");

	const struct pattern_capture *capture = &m->match->captures[i];
	if (capture->size == PATTERN_POSITION)
		return NULL; /* it stands for a number, which no text matches */
	size_t size = capture->size;
	if (!spend(m, size) || (size_t)(m->text_end - at) < size ||
		memcmp(capture->start, at, size) != 0)
		return NULL;
	return at + size;
}

/* True if p is at one of %b %f %0-%9, which take no quantifier. */
static bool is_special(const struct matcher *m, const char *p)
{
	return *p == ESCAPE && p + 1 < m->pattern_end &&
		(p[1] == 'b' || p[1] == 'f' || isdigit((unsigned char)p[1]));
}

/* Matches it and moves *pattern behind it. */
static const char *match_special(struct matcher *m, const char *at, const char **pattern)
{
	const char *p = *pattern + 1;

	*pattern = p + 1;
	if (*p == 'b') {
		*pattern = p + 3;
		return match_balanced(m, at, p);
	}
	if (*p != 'f')
		return match_back_reference(m, at, *p);
	p++;
	if (p >= m->pattern_end || *p != '[')
		return stop(m, PATTERN_MALFORMED, "missing '[' after '%f' in pattern");
	if (!(*pattern = skip_class(m, p)))
		return NULL;
	return is_frontier(m, at, p, *pattern) ? at : NULL;
}

static const char *match_items(struct matcher *m, const char *at, const char *p)
{
	while (p < m->pattern_end) {
		if (!spend(m, 1))
			return NULL;
		if (*p == '(')
			return open_capture(m, at, p + 1);
		if (*p == ')')
			return close_capture(m, at, p + 1);
		if (*p == '$' && p + 1 == m->pattern_end)
			return at == m->text_end ? at : NULL;
		if (is_special(m, p)) {
			if (!(at = match_special(m, at, &p)))
				return NULL;
			continue;
		}

		const char *class_end = skip_class(m, p);
		if (!class_end || !spend(m, (size_t)(class_end - p)))
			return NULL;
		char quantifier = class_end < m->pattern_end ? *class_end : '\0';
		if (quantifier == '*')
			return match_greedy(m, at, p, class_end, at);
		if (quantifier == '+')
			return match_greedy(m, at, p, class_end, at + 1);
		if (quantifier == '-')
			return match_lazy(m, at, p, class_end);

		bool is = is_one(m, at, p, class_end);
		if (quantifier == '?') {
			const char *end = is ? match_rest(m, at + 1, class_end + 1)
					     : NULL;

			if (end || m->stop != PATTERN_NONE)
				return end;
			p = class_end + 1;
			continue;
		}
		if (!is)
			return NULL;
		at++;
		p = class_end;
	}
	return at;
}

/* The end of the match of the pattern from p on at this place of the text, or NULL. */
static const char *match_rest(struct matcher *m, const char *at, const char *p)
{
	if (m->depth == DEPTH_MAX)
		return stop(m, PATTERN_TOO_LONG, NULL);
	m->depth++;
	const char *end = match_items(m, at, p);
	m->depth--;
	return end;
}

static enum pattern_result finish(struct matcher *m, const char *start, const char *end)
{
	m->match->start = start;
	m->match->end = end;
	for (int i = 0; i < m->match->capture_count; i++) {
		if (m->match->captures[i].size == CAPTURE_OPEN) {
			m->error = "unfinished capture";
			return PATTERN_MALFORMED;
		}
	}
	return PATTERN_FOUND;
}

static enum pattern_result search(struct matcher *m, const char *at, const char *pattern)
{
	bool is_anchored = pattern < m->pattern_end && *pattern == '^';

	for (;; at++) {
		m->match->capture_count = 0;
		const char *end = match_rest(m, at, is_anchored ? pattern + 1 : pattern);

		if (end)
			return finish(m, at, end);
		if (m->stop != PATTERN_NONE)
			return m->stop;
		if (is_anchored || at == m->text_end)
			return PATTERN_NONE;
	}
}

enum pattern_result pattern_find(const char *text, size_t size, size_t from,
	const char *pattern, size_t pattern_size, long *steps,
	struct pattern_match *match, const char **error)
{
	assert(text && pattern); /* NULL is what a failed match gives */
	struct matcher matcher = {
		.text = text,
		.text_end = text + size,
		.pattern_end = pattern + pattern_size,
		.steps = *steps,
		.match = match,
	};

	if (from > size)
		return PATTERN_NONE;
	enum pattern_result result = search(&matcher, text + from, pattern);
	*steps = matcher.steps;
	*error = matcher.error;
	return result;
}
