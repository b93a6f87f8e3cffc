#include "options.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

const char options_help[] =
	"usage: neap [serve] [-c FILE]      routes requests until SIGTERM; SIGHUP reloads\n"
	"       neap check [-c FILE]        prints every error of router.lua and the policies\n"
	"       neap test [FILE…]           runs tests of policies; without FILE: every\n"
	"                                   *_test.lua of the policies' folders\n"
	"       neap explain [-c FILE] [OPTION…] REQUEST.json\n"
	"                                   shows chain, targets and what would be tried, and\n"
	"                                   sends nothing; - reads the request from stdin\n"
	"       neap key rotate [-c FILE]   seals all stored secrets with a fresh master key,\n"
	"                                   also while neap runs\n"
	"       neap import [-c FILE] [--from SYSTEM] [--no-logs] [--dry-run] FILE…\n"
	"                                   takes over databases and configuration of another\n"
	"                                   router, also while neap runs\n"
	"       neap openapi                prints the OpenAPI document of the admin API\n"
	"       neap version\n"
	"\n"
	"  -c, --config FILE   the configuration (default: router.lua); also in front of the command\n"
	"  --token NAME        explain: the token of router.lua that asks\n"
	"  --header \"N: V\"     explain: a header of the request; more than once for more\n"
	"  --answer OUTCOME    explain: what the attempts come back with: a status, or connect,\n"
	"                      empty, protocol, reset, timeout, tls (503); given more than\n"
	"                      once, in turn, the last one for the rest\n"
	"  --json              explain: as a JSON document\n"
	"  --from SYSTEM       import: niceapi, nexusai, gemini-balance, siliconflow, one-api,\n"
	"                      new-api or litellm, where the file does not tell\n"
	"  --no-logs           import: leaves the calls in their logs where they are\n"
	"  --dry-run           import: says what would be carried over, and changes nothing\n"
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
	{ "explain", COMMAND_EXPLAIN, true, true },
	{ "key", COMMAND_KEY, false, true },
	{ "import", COMMAND_IMPORT, true, true },
	{ "openapi", COMMAND_OPENAPI, false, false },
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

/* Appends the word to a list of explain's. */
static int add_word(const char **list, int *count, const char *word, struct err *err)
{
	if (*count == EXPLAIN_WORDS_MAX)
		return err_set(err, -EINVAL, "there are more than %d of these: \"%s\"",
			EXPLAIN_WORDS_MAX, word);
	list[(*count)++] = word;
	return 0;
}

/* An option of explain alone, with its value: 1 and *at behind it, 0 if it is none. */
static int take_explain(struct explain_options *out, int argc, char **argv, int *at,
	struct err *err)
{
	const char *name = argv[*at], *value = *at + 1 < argc ? argv[*at + 1] : NULL;
	int rc = 0;

	if (strcmp(name, "--json") == 0) {
		out->is_json = true;
		return 1;
	}
	if (strcmp(name, "--token") != 0 && strcmp(name, "--header") != 0 &&
		strcmp(name, "--answer") != 0)
		return 0;
	if (!value)
		return err_set(err, -EINVAL, "%s needs a value", name);
	++*at;
	if (strcmp(name, "--token") == 0)
		out->token = value;
	else if (strcmp(name, "--header") == 0)
		rc = add_word(out->headers, &out->header_count, value, err);
	else
		rc = add_word(out->answers, &out->answer_count, value, err);
	return rc < 0 ? rc : 1;
}

/* The word at *at for explain: an option of its own, or the request. */
static int take_explain_word(struct options *out, int argc, char **argv, int *at,
	struct err *err)
{
	int rc = take_explain(&out->explain, argc, argv, at, err);

	if (rc != 0)
		return rc < 0 ? rc : 0; /* 1: it was one */
	if (argv[*at][0] == '-' && argv[*at][1] != '\0')
		return err_set(err, -EINVAL, "\"%s\" means nothing to explain",
			argv[*at]);
	if (out->file_count)
		return err_set(err, -EINVAL, "\"%s\" is one request too many", argv[*at]);
	out->files = argv + *at;
	out->file_count = 1;
	return 0;
}

/* The word at *at for import: an option of its own, or one more file. The files, which may
 * stand between options, are moved to the front. */
static int take_import_word(struct options *out, int argc, char **argv, int *at,
	struct err *err)
{
	if (strcmp(argv[*at], "--dry-run") == 0) {
		out->import.is_dry = true;
		return 0;
	}
	if (strcmp(argv[*at], "--no-logs") == 0) {
		out->import.is_without_logs = true;
		return 0;
	}
	if (strcmp(argv[*at], "--from") == 0) {
		if (++*at == argc)
			return err_set(err, -EINVAL, "--from needs a system");
		out->import.from = argv[*at];
		return 0;
	}
	if (argv[*at][0] == '-')
		return err_set(err, -EINVAL, "\"%s\" means nothing to import", argv[*at]);
	if (!out->file_count)
		out->files = argv + *at;
	out->files[out->file_count++] = argv[*at];
	return 0;
}

/* A word of a command that has words of its own: 1, or a negative errno; 0: it has none. */
static int take_own_word(struct options *out, int argc, char **argv, int *at,
	struct err *err)
{
	int rc;

	if (out->command == COMMAND_EXPLAIN)
		rc = take_explain_word(out, argc, argv, at, err);
	else if (out->command == COMMAND_IMPORT)
		rc = take_import_word(out, argc, argv, at, err);
	else
		return 0;
	return rc ? rc : 1;
}

/* The configuration's file, if that is the word at *at: 1 and *at on its last word, 0 if it
 * is something else. */
static int take_config(struct options *out, int argc, char **argv, int *at,
	struct err *err)
{
	static const char joined[] = "--config=";
	const char *word = argv[*at];

	if (strncmp(word, joined, sizeof(joined) - 1) == 0) {
		out->config = word + sizeof(joined) - 1;
		return 1;
	}
	if (!is_one_of(word, "-c", "--config"))
		return 0;
	if (++*at == argc)
		return err_set(err, -EINVAL, "%s needs a file", word);
	out->config = argv[*at];
	return 1;
}

/* The command, in front of which the configuration may stand, too; *at is behind it. */
static int find_given(struct options *out, int argc, char **argv, int *at,
	struct err *err)
{
	bool has_config = false;
	int command, rc;

	*out = (struct options) { .command = COMMAND_SERVE, .config = "router.lua" };
	for (*at = 1; *at < argc; ++*at) {
		if ((rc = take_config(out, argc, argv, at, err)) < 0)
			return rc;
		if (rc == 0)
			break;
		has_config = true;
	}
	if (*at == argc || argv[*at][0] == '-')
		return 0; /* serve */
	command = find_command(argv[*at]);
	if (command < 0)
		return err_set(err, -EINVAL, "there is no command \"%s\"", argv[*at]);
	out->command = commands[command].command;
	++*at;
	if (has_config && !commands[command].takes_config)
		return err_set(err, -EINVAL, "a configuration means nothing to %s",
			commands[command].name);
	return command;
}

static int finish(struct options *out, struct err *err)
{
	out->explain.config = out->config;
	if (out->command == COMMAND_EXPLAIN && !out->file_count)
		return err_set(err, -EINVAL,
			"explain needs a request: a file, or - for stdin");
	if (out->command == COMMAND_IMPORT && !out->file_count)
		return err_set(err, -EINVAL, "import needs a file of another router's");
	if (out->command == COMMAND_KEY && out->file_count != 1)
		return err_set(err, -EINVAL, "key is followed by rotate");
	return 0;
}

int options_parse(struct options *out, int argc, char **argv, struct err *err)
{
	int first, rc, command = find_given(out, argc, argv, &first, err);

	if (command < 0)
		return command;
	for (int at = first; at < argc; at++) {
		if (is_one_of(argv[at], "-h", "--help")) {
			out->command = COMMAND_HELP;
			return 0;
		}
		if (at == 1 && is_one_of(argv[at], "-V", "--version")) {
			out->command = COMMAND_VERSION;
			continue;
		}
		rc = commands[command].takes_config
			? take_config(out, argc, argv, &at, err)
			: 0;
		if (rc < 0)
			return rc;
		if (rc)
			continue;
		if ((rc = take_own_word(out, argc, argv, &at, err)) < 0)
			return rc;
		if (rc)
			continue;
		if (out->command == COMMAND_KEY && strcmp(argv[at], "rotate") == 0) {
			out->file_count++;
			continue;
		}
		if (!commands[command].takes_files || argv[at][0] == '-')
			return err_set(err, -EINVAL, "\"%s\" means nothing to %s",
				argv[at], commands[command].name);
		out->files = argv + at;
		out->file_count = argc - at;
		break;
	}
	return finish(out, err);
}
