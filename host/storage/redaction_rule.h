/* redaction_rule.h - what secrets look like. Private to redaction.c. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* What a rule found at a place: keep bytes that stay, then cut bytes that go. */
struct redaction_hit {
	size_t keep;
	size_t cut; /* 0: nothing was found */
};

/* The bytes at which redaction_look() can find anything: most stop here. */
extern const bool redaction_signs[256];
/* Looks at the place of a text, where a word begins or a sign stands. */
struct redaction_hit redaction_look(const char *text, size_t size, size_t at);
/* The bytes from the place on that may be base64. */
size_t redaction_base64_run(const char *text, size_t size, size_t at);
