/* explain_run.h - `neap explain`: a dry run of one request by lua/neap/explain.lua, in a
 * state of its own, without workers and without a network. */
#pragma once

#include <stdbool.h>

#include "base/buf.h"

#define EXPLAIN_WORDS_MAX 32

struct sources;

/* Texts are borrowed. */
struct explain_options {
	const char *config;
	const char *token;                      /* NULL: who may use everything */
	const char *headers[EXPLAIN_WORDS_MAX]; /* "name: value" */
	int header_count;
	const char
		*answers[EXPLAIN_WORDS_MAX]; /* what attempts come back with, in turn */
	int answer_count;                    /* 0: each with 503 */
	bool is_json;
};

/* body: the request's. Prints what was found, or what is wrong to stderr. Returns the exit
 * status: 0, 1 for a request that cannot be explained, 2 for options that mean nothing, 78
 * for a configuration that cannot be loaded. */
int explain_run(struct sources *sources, const struct explain_options *options,
	const struct buf *body);
