#include "storage/folder.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define LOCK_NAME "owner"

int folder_make(const char *path, struct err *err)
{
	char *part = xstrdup(path);
	size_t size = strlen(part);
	int rc = 0;

	for (size_t i = 1; i <= size && rc == 0; i++) {
		char end = part[i];

		if (end != '/' && end != '\0')
			continue;
		part[i] = '\0';
		if (mkdir(part, 0700) != 0 && errno != EEXIST)
			rc = err_set(err, -errno, "%s could not be made: %s", part,
				strerror(errno));
		part[i] = end;
	}
	free(part);
	return rc;
}

int folder_sync(const char *path, struct err *err)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int rc = 0;

	if (fd < 0 || fsync(fd) != 0)
		rc = err_set(err, -errno, "%s could not be synced: %s", path,
			strerror(errno));
	if (fd >= 0)
		close(fd);
	return rc;
}

int folder_owner(const char *path)
{
	char name[4096], owner[16] = "";
	int fd;

	snprintf(name, sizeof(name), "%s/" LOCK_NAME, path);
	fd = open(name, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	/* Who could lock it is alone. */
	if (flock(fd, LOCK_SH | LOCK_NB) == 0 || read(fd, owner, sizeof(owner) - 1) < 0)
		owner[0] = '\0';
	close(fd);
	return (int)strtol(owner, NULL, 10);
}

int folder_lock(const char *path, struct err *err)
{
	char name[4096], owner[16] = "";
	int fd, rc;

	snprintf(name, sizeof(name), "%s/" LOCK_NAME, path);
	fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0)
		return err_set(err, -errno, "%s could not be opened: %s", name,
			strerror(errno));
	if (flock(fd, LOCK_EX | LOCK_NB) == 0) {
		/* The number is for messages only; the lock goes with the process. */
		int size = snprintf(owner, sizeof(owner), "%d\n", (int)getpid());

		if (ftruncate(fd, 0) == 0 && pwrite(fd, owner, (size_t)size, 0) == size)
			return fd;
		rc = err_set(err, -errno, "%s could not be written: %s", name,
			strerror(errno));
	} else if (errno == EWOULDBLOCK) {
		if (pread(fd, owner, sizeof(owner) - 1, 0) < 0)
			owner[0] = '\0';
		rc = err_set(err, -EBUSY,
			"%s is in use by process %d: stop it, or choose another storage folder",
			path, (int)strtol(owner, NULL, 10));
	} else {
		rc = err_set(err, -errno, "%s could not be locked: %s", name,
			strerror(errno));
	}
	close(fd);
	return rc;
}
