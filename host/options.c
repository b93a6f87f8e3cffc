#include "options.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

const char options_help[] =
	"usage: neap [serve] [-c FILE]      routes requests until SIGTERM; SIGHUP reloads\n"
	"       neap check [-c FILE]        prints every error of router.lua and the policies\n"
	"       neap test [FILE…]           runs tests of policies (policies/*_test.lua)\n"
	"       neap version\n"
	"\n"
	"  -c, --config FILE   the configuration (default: router.lua)\n"
	"  -h, --help          this text\n"
	"\n"
	"Exit: 0 well, 1 a failure, 2 a wrong command line, 78 a wrong configuration.\n";

static const struct {
	const char *name;
	enum command command;
	bool takes_files;
	bool takes_config;
} commands[] = {
	{ "serve", COMMAND_SERVE, false, true },
	{ "check", COMMAND_CHECK, false, true },
	{ "test", COMMAND_TEST, true, false },
	{ "version", COMMAND_VERSION, false, false },
	{ "help", COMMAND_HELP, false, false },
};

static int find_command(const char *name)
{
	for (size_t i = 0; i < COUNT_OF(commands); i++)
		if (strcmp(commands[i].name, name) == 0)
			return (int)i;
	return -1;
}

static bool is_one_of(const char *word, const char *brief, const char *full)
{
	return strcmp(word, brief) == 0 || strcmp(word, full) == 0;
}

int options_parse(struct options *out, int argc, char **argv, struct err *err)
{
	int at = 1, command = 0;

	*out = (struct options) { .command = COMMAND_SERVE, .config = "router.lua" };
	if (argc > 1 && argv[1][0] != '-') {
		command = find_command(argv[1]);
		if (command < 0)
			return err_set(err, -EINVAL, "there is no command \"%s\"",
				argv[1]);
		at = 2;
	}
	out->command = commands[command].command;
	for (; at < argc; at++) {
		if (is_one_of(argv[at], "-h", "--help")) {
			out->command = COMMAND_HELP;
			return 0;
		}
		if (at == 1 && is_one_of(argv[at], "-V", "--version")) {
			out->command = COMMAND_VERSION;
			continue;
		}
		if (commands[command].takes_config &&
			is_one_of(argv[at], "-c", "--config")) {
			if (++at == argc)
				return err_set(err, -EINVAL, "%s needs a file",
					argv[at - 1]);
			out->config = argv[at];
			continue;
		}
		if (!commands[command].takes_files || argv[at][0] == '-')
			return err_set(err, -EINVAL, "\"%s\" means nothing to %s",
				argv[at], commands[command].name);
		out->files = argv + at;
		out->file_count = argc - at;
		break;
	}
	return 0;
}
