/* pattern.h - Lua patterns (reference manual 5.1, section 5.4.1) matched with a limit on
 * steps.
 *
 * LuaJIT's own matcher backtracks without end inside one C call, where no hook can stop
 * it. This one counts. It knows no Lua state and keeps nothing between two calls. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#define PATTERN_CAPTURES 32
#define PATTERN_POSITION ((size_t)-2) /* size of a capture "()" */

struct pattern_capture {
	const char *start;
	size_t size;
};

struct pattern_match {
	const char *start;
	const char *end;
	int capture_count;
	struct pattern_capture captures[PATTERN_CAPTURES];
};

enum pattern_result {
	PATTERN_NONE,
	PATTERN_FOUND,
	PATTERN_MALFORMED,
	PATTERN_TOO_LONG, /* steps are spent, or the pattern has too many parts */
};

/* Searches text from the offset from on (there alone if the pattern begins with ^).
 * steps: how many remain; lowered by what was used. match is good after FOUND only.
 * error: a text for MALFORMED. */
enum pattern_result pattern_find(const char *text, size_t size, size_t from,
	const char *pattern, size_t pattern_size, long *steps,
	struct pattern_match *match, const char **error);
