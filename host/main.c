/* main.c - from the command line to one of neap's commands. */
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sodium.h>

#include "base/buf.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/privacy.h"
#include "import.h"
#include "key_rotate.h"
#include "options.h"
#include "script/explain_run.h"
#include "script/openapi_run.h"
#include "script/sources.h"
#include "script/test_run.h"
#include "server.h"

#define EXIT_USAGE 2
#define CHUNK 65536
#define REQUEST_MAX (64 * 1024 * 1024) /* bytes of a request to explain */

/* Where lua/ and policies/ are: beside the folder of the executable (build/neap), else
 * where it is installed (PREFIX/bin/neap, PREFIX/share/neap). */
static void find_home(char *home, size_t size)
{
	char exe[4096], probe[4200];
	ssize_t length = readlink("/proc/self/exe", exe, sizeof(exe) - 1);

	exe[length > 0 ? length : 0] = '\0';
	for (int i = 0; i < 2; i++) {
		char *slash = strrchr(exe, '/');

		if (slash)
			*slash = '\0';
	}
	snprintf(home, size, "%s", exe);
	snprintf(probe, sizeof(probe), "%s/lua/neap/router.lua", exe);
	if (access(probe, R_OK) != 0)
		snprintf(home, size, "%s/share/neap", exe);
}

/* All that the file holds; - is stdin. */
static int read_file(const char *path, struct buf *out)
{
	FILE *file = strcmp(path, "-") == 0 ? stdin : fopen(path, "rb");
	size_t size = 1;

	if (!file)
		return -errno;
	while (size > 0 && buf_size(out) < REQUEST_MAX) {
		size = fread(buf_reserve(out, CHUNK), 1, CHUNK, file);
		buf_grow(out, size);
	}
	int rc = ferror(file) ? -EIO : buf_size(out) < REQUEST_MAX ? 0 : -EFBIG;

	if (file != stdin)
		fclose(file);
	return rc;
}

static int run_explain(const struct options *options, const char *home)
{
	struct sources *sources = sources_new(home, getenv("NEAP_LUA"));
	struct buf body = { 0 };
	int rc = read_file(options->files[0], &body), status = 1;

	if (rc != 0)
		fprintf(stderr, "neap: %s: %s\n", options->files[0], strerror(-rc));
	else
		status = explain_run(sources, &options->explain, &body);
	buf_clear(&body);
	sources_free(sources);
	return status;
}

static void find_tests(glob_t *found, const char *folder)
{
	static const char *const names[] = { "*_test.lua", "*/*_test.lua" };
	char pattern[8400];

	for (size_t i = 0; i < COUNT_OF(names); i++) {
		snprintf(pattern, sizeof(pattern), "%s/%s", folder, names[i]);
		glob(pattern, found->gl_pathv ? GLOB_APPEND : 0, NULL, found);
	}
}

static bool is_same_folder(const char *a, const char *b)
{
	struct stat stat_a, stat_b;

	return stat(a, &stat_a) == 0 && stat(b, &stat_b) == 0 &&
		stat_a.st_dev == stat_b.st_dev && stat_a.st_ino == stat_b.st_ino;
}

/* The tests in the two folders where policies are looked for. */
static int run_all_tests(struct sources *sources, const char *home)
{
	glob_t found = { 0 };
	char shipped[8400];
	int status = 1;

	snprintf(shipped, sizeof(shipped), "%s/policies", home);
	find_tests(&found, "policies");
	if (!is_same_folder("policies", shipped))
		find_tests(&found, shipped);
	if (found.gl_pathc)
		status = test_run(sources, found.gl_pathv, (int)found.gl_pathc);
	else
		fprintf(stderr, "neap: there is no test: policies/*_test.lua\n");
	globfree(&found);
	return status;
}

static int run_tests(const struct options *options, const char *home)
{
	struct sources *sources = sources_new(home, getenv("NEAP_LUA"));
	int status;

	if (options->file_count)
		status = test_run(sources, options->files, options->file_count);
	else
		status = run_all_tests(sources, home);
	sources_free(sources);
	return status;
}

static int print_openapi(const char *home)
{
	struct sources *sources = sources_new(home, getenv("NEAP_LUA"));
	int status = openapi_run(sources);

	sources_free(sources);
	return status;
}

static void raise_file_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
}

/* A standard descriptor that comes closed would be that of the next file which is opened:
 * the log would be written into the storage. */
static void fill_standard_descriptors(void)
{
	int fd;

	do
		fd = open("/dev/null", O_RDWR);
	while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd >= 0)
		close(fd);
}

int main(int argc, char **argv)
{
	struct options options;
	char home[8300];
	struct err err;

	fill_standard_descriptors();
	if (options_parse(&options, argc, argv, &err) != 0) {
		fprintf(stderr, "neap: %s\n\n%s", err.text, options_help);
		return EXIT_USAGE;
	}
	if (options.command == COMMAND_HELP) {
		fputs(options_help, stdout);
		return 0;
	}
	if (options.command == COMMAND_VERSION) {
		printf("neap %s\n", NEAP_VERSION);
		return 0;
	}
	mem_prepare();
	(void)privacy_begin(); /* where it is refused, everything else goes on */
	signal(SIGPIPE, SIG_IGN);
	if (sodium_init() < 0) {
		fprintf(stderr, "neap: libsodium could not be started\n");
		return 1;
	}
	find_home(home, sizeof(home));
	if (options.command == COMMAND_TEST)
		return run_tests(&options, home);
	if (options.command == COMMAND_EXPLAIN)
		return run_explain(&options, home);
	if (options.command == COMMAND_KEY)
		return key_rotate(&options, home);
	if (options.command == COMMAND_IMPORT)
		return import_files(&options, home);
	if (options.command == COMMAND_OPENAPI)
		return print_openapi(home);
	if (options.command == COMMAND_CHECK)
		return server_check(&options, home);
	raise_file_limit();
	return server_run(&options, home);
}
