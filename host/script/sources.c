#include "script/sources.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/map.h"
#include "base/mem.h"

struct file {
	char *text; /* NULL: could not be read */
	size_t size;
	int error;
};

struct sources {
	char *home;
	char *library;
	struct map *files;
	const struct stored *stored;
};

static int read_whole(int fd, struct file *file)
{
	struct stat stat;

	if (fstat(fd, &stat) != 0)
		return errno;
	if (S_ISDIR(stat.st_mode))
		return EISDIR;
	file->text = xmalloc(SOURCE_MAX + 1);
	for (;;) {
		ssize_t got = read(fd, file->text + file->size,
			SOURCE_MAX + 1 - file->size);

		if (got < 0)
			return errno;
		file->size += (size_t)got;
		if (file->size > SOURCE_MAX)
			return EFBIG;
		if (got == 0)
			break;
	}
	file->text = xrealloc(file->text, file->size + 1);
	file->text[file->size] = '\0';
	return 0;
}

static struct file *read_file(const char *path)
{
	struct file *file = xcalloc(1, sizeof(*file));
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	file->error = fd < 0 ? errno : read_whole(fd, file);
	if (fd >= 0)
		close(fd);
	if (file->error) {
		free(file->text);
		file->text = NULL;
	}
	return file;
}

struct sources *sources_new(const char *home, const char *library)
{
	struct sources *sources = xcalloc(1, sizeof(*sources));

	sources->home = xstrdup(home);
	sources->library = library ? xstrdup(library) : NULL;
	sources->files = map_new();
	return sources;
}

const char *sources_home(const struct sources *sources)
{
	return sources->home;
}

const char *sources_library(const struct sources *sources)
{
	return sources->library;
}

void sources_set_stored(struct sources *sources, const struct stored *stored)
{
	sources->stored = stored;
}

const struct stored *sources_stored(const struct sources *sources)
{
	return sources->stored;
}

const char *sources_read(struct sources *sources, const char *path, size_t *size,
	const char **why)
{
	struct file *file = map_get(sources->files, path, strlen(path));

	if (!file) {
		file = read_file(path);
		map_set(sources->files, path, strlen(path), file);
	}
	*size = file->size;
	if (!file->text)
		*why = strerrordesc_np(file->error);
	return file->text;
}

static void free_file(const char *path, size_t path_size, void *value, void *arg)
{
	struct file *file = value;

	(void)path;
	(void)path_size;
	(void)arg;
	if (file->text) {
		/* Keys may stand in it (file "…"). */
		explicit_bzero(file->text, file->size);
		free(file->text);
	}
	free(file);
}

void sources_free(struct sources *sources)
{
	if (!sources)
		return;
	map_each(sources->files, free_file, NULL);
	map_free(sources->files);
	free(sources->home);
	free(sources->library);
	free(sources);
}
