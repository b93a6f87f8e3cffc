/* options.h - the command line. */
#pragma once

#include "base/err.h"

enum command {
	COMMAND_SERVE,
	COMMAND_CHECK,
	COMMAND_TEST,
	COMMAND_VERSION,
	COMMAND_HELP
};

struct options {
	enum command command;
	const char *config; /* -c; "router.lua" */
	char **files;       /* of test */
	int file_count;
};

#define NEAP_VERSION "0.1.0"

extern const char options_help[];

/* -EINVAL with a text for what the user got wrong. */
MUST_CHECK
int options_parse(struct options *out, int argc, char **argv, struct err *err);
