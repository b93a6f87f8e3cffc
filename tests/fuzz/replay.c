/* replay.c - a main for fuzz targets without libFuzzer: `make test` replays the corpus.
 *
 * Takes files and folders. Each file goes into the target whole and cut at every byte,
 * which is where parsers that are fed in pieces go wrong; before all files, the empty
 * input. A crash is the failure, as with libFuzzer; otherwise one TAP line is printed. */
#include <dirent.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

#define CUT_MAX 4096 /* bytes: a larger file is cut only up to here */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t input_count;

static void feed(const char *data, size_t size)
{
	/* A copy of just this size: ASan sees the first byte read past the end. */
	uint8_t *copy = xmalloc(size);

	if (size)
		memcpy(copy, data, size);
	LLVMFuzzerTestOneInput(copy, size);
	free(copy);
	input_count++;
}

static void replay_file(const char *path, FILE *file)
{
	char *data = NULL;
	size_t size = 0;
	size_t capacity = 0;

	for (;;) {
		if (size == capacity) {
			capacity = capacity ? capacity * 2 : CUT_MAX;
			data = xrealloc(data, capacity);
		}
		size_t got = fread(data + size, 1, capacity - size, file);

		if (!got)
			break;
		size += got;
	}
	if (ferror(file)) {
		printf("Bail out! cannot read %s\n", path);
		exit(1);
	}
	for (size_t cut = 0; cut < size && cut < CUT_MAX; cut++)
		feed(data, cut);
	feed(data, size);
	free(data);
}

static void replay(const char *path)
{
	DIR *folder = opendir(path);
	struct dirent *entry;
	FILE *file;

	if (!folder) {
		file = fopen(path, "rb");
		if (!file)
			return; /* no corpus yet */
		replay_file(path, file);
		fclose(file);
		return;
	}
	while ((entry = readdir(folder)) != NULL) {
		char inner[PATH_MAX];
		int length = snprintf(inner, sizeof(inner), "%s/%s", path, entry->d_name);

		if (entry->d_name[0] != '.' && length < (int)sizeof(inner))
			replay(inner);
	}
	closedir(folder);
}

int main(int argc, char **argv)
{
	puts("1..1");
	fflush(stdout);
	feed("", 0);
	for (int i = 1; i < argc; i++)
		replay(argv[i]);
	printf("ok 1 - %zu inputs\n", input_count);
	return 0;
}
