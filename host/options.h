/* options.h - the command line. */
#pragma once

#include "base/err.h"
#include "script/explain_run.h"
#include "script/import_run.h"

enum command {
	COMMAND_SERVE,
	COMMAND_CHECK,
	COMMAND_TEST,
	COMMAND_EXPLAIN,
	COMMAND_KEY,
	COMMAND_IMPORT,
	COMMAND_OPENAPI,
	COMMAND_VERSION,
	COMMAND_HELP
};

struct options {
	enum command command;
	const char *config; /* -c; "router.lua" */
	char **files;       /* of test and import; explain's request */
	int file_count;
	struct explain_options explain;
	struct import_options import; /* from and is_dry */
};

#define NEAP_VERSION "0.1.0"

extern const char options_help[];

/* -EINVAL with a text for what the user got wrong. */
MUST_CHECK
int options_parse(struct options *out, int argc, char **argv, struct err *err);
