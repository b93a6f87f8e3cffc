#include "storage/master_key.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sodium.h>

#include "storage/folder.h"

#define LINE_SIZE (2 * MASTER_KEY_SIZE + 1) /* hex digits and a newline */
#define FILE_MAX (MASTER_KEYS_MAX * LINE_SIZE)

struct master_key {
	unsigned char id[MASTER_KEY_ID_SIZE];
	unsigned char key[MASTER_KEY_SIZE];
};

struct master_keys {
	char *path;
	pthread_mutex_t lock;     /* for what follows */
	struct master_key *known; /* guarded memory; the first is in force */
	size_t count;
};

static void name_key(struct master_key *key)
{
	static const char purpose[] = "neap master key id";

	/* One way: the id says nothing about the key. */
	crypto_generichash(key->id, sizeof(key->id), key->key, sizeof(key->key),
		(const unsigned char *)purpose, sizeof(purpose) - 1);
}

/* -- reading the file ------------------------------------------------------------- */

static int check_file(const char *path, const struct stat *found, struct err *err)
{
	if (!S_ISREG(found->st_mode))
		return err_set(err, -EINVAL, "%s is no file", path);
	/* Whoever runs as root can read it whatever it says. */
	if (found->st_uid != geteuid() && found->st_uid != 0)
		return err_set(err, -EPERM,
			"%s belongs to user %u, not to neap's: it may be known to others",
			path, (unsigned)found->st_uid);
	if (found->st_mode & 077)
		return err_set(err, -EACCES,
			"%s can be reached by others (mode %03o): chmod 600, and think of "
			"a new key",
			path, (unsigned)found->st_mode & 0777);
	return 0;
}

/* Fills keys->known from size bytes of text. */
static int parse(struct master_keys *keys, const char *text, size_t size, struct err *err)
{
	size_t at = 0;

	keys->count = 0;
	while (at < size && keys->count < MASTER_KEYS_MAX) {
		struct master_key *key = &keys->known[keys->count];
		size_t digits = size - at < LINE_SIZE ? size - at : LINE_SIZE - 1, got;

		if (sodium_hex2bin(key->key, sizeof(key->key), text + at, digits, NULL,
			    &got, NULL) != 0 ||
			got != sizeof(key->key) ||
			(at + digits < size && text[at + digits] != '\n'))
			return err_set(err, -EBADMSG,
				"%s: line %zu is no key of %d hex digits: the file is torn; "
				"restore it from a copy",
				keys->path, keys->count + 1, 2 * MASTER_KEY_SIZE);
		name_key(key);
		keys->count++;
		at += digits + 1;
	}
	if (!keys->count || at < size)
		return err_set(err, -EBADMSG,
			keys->count ? "%s has more than %d keys: remove old ones"
				    : "%s is empty: restore it from a copy",
			keys->path, MASTER_KEYS_MAX);
	return 0;
}

/* -ENOENT without a text: there is no file. */
static int read_file(struct master_keys *keys, struct err *err)
{
	char text[FILE_MAX + 1]; /* one more: so that too much shows */
	struct stat found;
	ssize_t size = -1;
	int rc, fd = open(keys->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

	if (fd < 0 && errno == ENOENT)
		return -ENOENT;
	if (fd < 0 || fstat(fd, &found) != 0)
		rc = err_set(err, -errno, "%s could not be read: %s", keys->path,
			strerror(errno));
	else
		rc = check_file(keys->path, &found, err);
	if (!rc) {
		size = read(fd, text, sizeof(text));
		if (size < 0)
			rc = err_set(err, -errno, "%s could not be read: %s", keys->path,
				strerror(errno));
		else
			rc = parse(keys, text, (size_t)size, err);
	}
	sodium_memzero(text, sizeof(text));
	if (fd >= 0)
		close(fd);
	return rc;
}

/* -- writing the file ------------------------------------------------------------- */

static int write_all(int fd, const struct master_key *known, size_t count)
{
	char line[LINE_SIZE + 1];
	int rc = 0;

	for (size_t i = 0; i < count && !rc; i++) {
		sodium_bin2hex(line, sizeof(line), known[i].key, sizeof(known[i].key));
		line[LINE_SIZE - 1] = '\n';
		errno = EIO; /* of a write that is too short */
		if (write(fd, line, LINE_SIZE) != LINE_SIZE)
			rc = -errno;
	}
	if (!rc && fsync(fd) != 0)
		rc = -errno;
	sodium_memzero(line, sizeof(line));
	return rc;
}

static int sync_folder_of(const char *path, struct err *err)
{
	char folder[4096];
	const char *slash = strrchr(path, '/');

	if (!slash)
		return folder_sync(".", err);
	snprintf(folder, sizeof(folder), "%.*s", slash == path ? 1 : (int)(slash - path),
		path);
	return folder_sync(folder, err);
}

/* The file appears as a whole or not at all. is_made: only where there is none. */
static int write_file(const struct master_keys *keys, const struct master_key *known,
	size_t count, bool is_made, struct err *err)
{
	char fresh[4096];
	int fd, rc;

	if (snprintf(fresh, sizeof(fresh), "%s.new", keys->path) >= (int)sizeof(fresh))
		return err_set(err, -ENAMETOOLONG, "%s: too long a path", keys->path);
	/* Left over from a process that died here: nothing was sealed with it. */
	unlink(fresh);
	fd = open(fresh, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	rc = fd < 0 ? -errno : write_all(fd, known, count);
	if (fd >= 0)
		close(fd);
	if (!rc && (is_made ? link(fresh, keys->path) : rename(fresh, keys->path)) != 0)
		rc = -errno;
	if (fd >= 0)
		unlink(fresh);
	if (rc)
		return err_set(err, rc, "%s could not be written: %s", keys->path,
			strerror(-rc));
	return sync_folder_of(keys->path, err);
}

static int make_file(struct master_keys *keys, struct err *err)
{
	randombytes_buf(keys->known[0].key, sizeof(keys->known[0].key));
	name_key(&keys->known[0]);
	keys->count = 1;
	return write_file(keys, keys->known, keys->count, true, err);
}

/* -- life ------------------------------------------------------------------------- */

int master_keys_open_file(struct master_keys **out, const char *path, bool is_made,
	struct err *err)
{
	struct master_keys *keys;
	int rc;

	if (sodium_init() < 0)
		return err_set(err, -EIO, "there is no source of random bytes");
	keys = xcalloc(1, sizeof(*keys));
	keys->path = xstrdup(path);
	pthread_mutex_init(&keys->lock, NULL);
	keys->known = sodium_allocarray(MASTER_KEYS_MAX, sizeof(*keys->known));
	if (!keys->known) {
		rc = err_set(err, -ENOMEM, "no memory for the master key");
	} else {
		rc = read_file(keys, err);
		if (rc == -ENOENT && is_made)
			rc = make_file(keys, err);
		else if (rc == -ENOENT)
			err_set(err, rc, "%s: there is no such file", path);
	}
	if (rc) {
		master_keys_close(keys);
		return rc;
	}
	*out = keys;
	return 0;
}

static int open_found(struct master_keys **out, const char *folder, bool is_made,
	struct err *err)
{
	const char *given = getenv("NEAP_MASTER_KEY_FILE");
	char path[4096];

	if (given && *given)
		return master_keys_open_file(out, given, false, err);
	snprintf(path, sizeof(path), "%s/master.key", folder);
	return master_keys_open_file(out, path, is_made, err);
}

int master_keys_open(struct master_keys **out, const char *folder, struct err *err)
{
	return open_found(out, folder, true, err);
}

int master_keys_open_old(struct master_keys **out, const char *folder, struct err *err)
{
	return open_found(out, folder, false, err);
}

void master_keys_close(struct master_keys *keys)
{
	if (!keys)
		return;
	sodium_free(keys->known); /* wipes */
	pthread_mutex_destroy(&keys->lock);
	free(keys->path);
	free(keys);
}

/* -- use -------------------------------------------------------------------------- */

int master_keys_rotate(struct master_keys *keys, struct err *err)
{
	struct master_key *known = sodium_allocarray(MASTER_KEYS_MAX, sizeof(*known));
	int rc;

	if (!known)
		return err_set(err, -ENOMEM, "no memory for the master key");
	pthread_mutex_lock(&keys->lock);
	if (keys->count == MASTER_KEYS_MAX) {
		rc = err_set(err, -EOVERFLOW,
			"%s has %d keys: seal everything again and drop the old ones first",
			keys->path, MASTER_KEYS_MAX);
	} else {
		randombytes_buf(known[0].key, sizeof(known[0].key));
		name_key(&known[0]);
		memcpy(known + 1, keys->known, keys->count * sizeof(*known));
		rc = write_file(keys, known, keys->count + 1, false, err);
	}
	if (!rc) {
		struct master_key *old = keys->known;

		keys->known = known;
		keys->count++;
		known = old;
	}
	pthread_mutex_unlock(&keys->lock);
	sodium_free(known); /* wipes */
	return rc;
}

int master_keys_drop_old(struct master_keys *keys, struct err *err)
{
	int rc;

	pthread_mutex_lock(&keys->lock);
	rc = write_file(keys, keys->known, 1, false, err);
	if (!rc) {
		sodium_memzero(keys->known + 1, (keys->count - 1) * sizeof(*keys->known));
		keys->count = 1;
	}
	pthread_mutex_unlock(&keys->lock);
	return rc;
}

size_t master_keys_count(struct master_keys *keys)
{
	size_t count;

	pthread_mutex_lock(&keys->lock);
	count = keys->count;
	pthread_mutex_unlock(&keys->lock);
	return count;
}

void master_keys_current(struct master_keys *keys, unsigned char id[MASTER_KEY_ID_SIZE])
{
	pthread_mutex_lock(&keys->lock);
	memcpy(id, keys->known[0].id, MASTER_KEY_ID_SIZE);
	pthread_mutex_unlock(&keys->lock);
}

int master_keys_copy(struct master_keys *keys, const unsigned char *wanted_id,
	unsigned char id[MASTER_KEY_ID_SIZE], unsigned char key[MASTER_KEY_SIZE])
{
	int rc = -ENOKEY;

	pthread_mutex_lock(&keys->lock);
	for (size_t i = 0; i < keys->count && rc; i++) {
		const struct master_key *known = &keys->known[i];

		if (wanted_id && memcmp(known->id, wanted_id, sizeof(known->id)) != 0)
			continue;
		memcpy(id, known->id, sizeof(known->id));
		memcpy(key, known->key, sizeof(known->key));
		rc = 0;
	}
	pthread_mutex_unlock(&keys->lock);
	return rc;
}
