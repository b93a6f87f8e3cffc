#include "http/spool_writer.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"

#define PENDING_LOW (256 * 1024) /* bytes waiting at which the filler is woken */

static struct spool_block *block_of(struct list *file_link)
{
	return CONTAINER_OF(file_link, struct spool_block, file_link);
}

/* None of the file's blocks is to be written any more. With the lock held. */
static void leave_queue(struct spool_file *file)
{
	for (struct list *at = file->blocks.next; at != &file->blocks; at = at->next)
		list_remove(&block_of(at)->queue_link);
}

static void free_block(struct spool_block *block)
{
	struct spools *spools = block->file->spools;

	list_remove(&block->queue_link);
	list_remove(&block->file_link);
	atomic_fetch_sub(&block->file->pending, block->size);
	atomic_fetch_sub(&spools->memory_used, block->memory_charge);
	free(block->data);
	free(block);
}

static void free_file(struct spool_file *file)
{
	while (!list_is_empty(&file->blocks))
		/* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): list_remove() unlinks it */
		free_block(block_of(file->blocks.next));
	atomic_fetch_sub(&file->spools->disk_used, file->charge);
	if (file->fd >= 0)
		close(file->fd);
	free(file);
}

/* -- the thread ------------------------------------------------------------------- */

static int open_file(const char *folder)
{
	int fd = open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	char path[4096];

	if (fd >= 0 || (errno != EOPNOTSUPP && errno != EISDIR && errno != EINVAL))
		return fd >= 0 ? fd : -errno;
	/* The file system knows no nameless files. */
	snprintf(path, sizeof(path), "%s/spool-XXXXXX", folder);
	fd = mkostemp(path, O_CLOEXEC);
	if (fd < 0)
		return -errno;
	unlink(path);
	return fd;
}

static int write_block(int fd, const struct spool_block *block)
{
	size_t done = 0;

	while (done < block->size) {
		ssize_t written = pwrite(fd, block->data + done, block->size - done,
			(off_t)(block->offset + done));

		if (written < 0 && errno == EINTR)
			continue;
		if (written < 0)
			return -errno;
		if (written == 0)
			return -ENOSPC;
		done += (size_t)written;
	}
	return 0;
}

static void wake(struct spool_file *file)
{
	const uint64_t one = 1;

	if (file->wake_fd < 0)
		return;
	/* Cannot fail: the counter is far from full. */
	if (write(file->wake_fd, &one, sizeof(one)) < 0)
		return;
	file->wake_fd = -1;
}

/* With the lock held, after a write of the block. */
static void finish_block(struct spool_block *block, int rc)
{
	struct spool_file *file = block->file;

	file->writing = NULL;
	if (file->is_abandoned) {
		free_file(file);
		return;
	}
	if (rc) {
		atomic_store(&file->error, rc);
		/* All that is not written stays in memory and can be read from there. */
		leave_queue(file);
	} else {
		free_block(block);
	}
	if (rc || atomic_load(&file->pending) <= PENDING_LOW)
		wake(file);
}

static void *run(void *arg)
{
	struct spools *spools = arg;

	pthread_mutex_lock(&spools->lock);
	for (;;) {
		struct spool_block *block;
		struct spool_file *file;
		int rc = 0;

		while (list_is_empty(&spools->queue) && !spools->is_stopping)
			pthread_cond_wait(&spools->has_block, &spools->lock);
		if (list_is_empty(&spools->queue))
			break;
		block = CONTAINER_OF(spools->queue.next, struct spool_block, queue_link);
		list_remove(&block->queue_link);
		file = block->file;
		/* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): list_remove() unlinks it */
		file->writing = block;
		if (file->fd < 0) {
			int fd;

			pthread_mutex_unlock(&spools->lock);
			fd = open_file(spools->folder);
			pthread_mutex_lock(&spools->lock);
			file->fd = fd < 0 ? -1 : fd;
			rc = fd < 0 ? fd : 0;
		}
		if (!rc && !file->is_abandoned) {
			pthread_mutex_unlock(&spools->lock);
			rc = write_block(file->fd, block);
			pthread_mutex_lock(&spools->lock);
		}
		finish_block(block, rc);
	}
	pthread_mutex_unlock(&spools->lock);
	return NULL;
}

int spool_writer_start(struct spools *spools, struct err *err)
{
	sigset_t all, before;
	int rc;

	list_init(&spools->queue);
	pthread_mutex_init(&spools->lock, NULL);
	pthread_cond_init(&spools->has_block, NULL);
	/* The signals are the main thread's. Above all SIGXFSZ, which a write past the
	 * process's file size limit raises in the writing thread: blocked, it leaves
	 * EFBIG. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	rc = pthread_create(&spools->thread, NULL, run, spools);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (rc)
		return err_set(err, -rc, "no thread for the spool: %s", strerror(rc));
	return 0;
}

void spool_writer_stop(struct spools *spools)
{
	pthread_mutex_lock(&spools->lock);
	spools->is_stopping = true;
	pthread_cond_signal(&spools->has_block);
	pthread_mutex_unlock(&spools->lock);
	pthread_join(spools->thread, NULL);
	pthread_cond_destroy(&spools->has_block);
	pthread_mutex_destroy(&spools->lock);
}

/* -- the file, on a worker -------------------------------------------------------- */

struct spool_file *spool_file_new(struct spools *spools)
{
	struct spool_file *file = xcalloc(1, sizeof(*file));

	file->spools = spools;
	file->fd = -1;
	file->wake_fd = -1;
	list_init(&file->blocks);
	return file;
}

void spool_file_write(struct spool_file *file, char *data, uint64_t offset, size_t size,
	size_t memory_charge)
{
	struct spools *spools = file->spools;
	struct spool_block *block = xcalloc(1, sizeof(*block));

	block->file = file;
	block->data = data;
	block->offset = offset;
	block->size = size;
	block->memory_charge = memory_charge;
	list_init(&block->queue_link);
	atomic_fetch_add(&file->pending, size);
	pthread_mutex_lock(&spools->lock);
	list_append(&file->blocks, &block->file_link);
	if (!atomic_load(&file->error))
		list_append(&spools->queue, &block->queue_link);
	pthread_cond_signal(&spools->has_block);
	pthread_mutex_unlock(&spools->lock);
}

void spool_file_wake(struct spool_file *file, int wake_fd)
{
	pthread_mutex_lock(&file->spools->lock);
	file->wake_fd = wake_fd;
	if (atomic_load(&file->error) || atomic_load(&file->pending) <= PENDING_LOW)
		wake(file);
	pthread_mutex_unlock(&file->spools->lock);
}

ssize_t spool_file_read(struct spool_file *file, uint64_t offset, void *room, size_t size)
{
	ssize_t got;
	int fd;

	pthread_mutex_lock(&file->spools->lock);
	for (struct list *at = file->blocks.next; at != &file->blocks; at = at->next) {
		const struct spool_block *block = block_of(at);

		/* Blocks are in order: what lies before the first is in the file. */
		if (offset < block->offset) {
			if (size > block->offset - offset)
				size = (size_t)(block->offset - offset);
			break;
		}
		if (offset - block->offset >= block->size)
			continue;
		if (size > block->size - (size_t)(offset - block->offset))
			size = block->size - (size_t)(offset - block->offset);
		memcpy(room, block->data + (offset - block->offset), size);
		pthread_mutex_unlock(&file->spools->lock);
		return (ssize_t)size;
	}
	fd = file->fd;
	pthread_mutex_unlock(&file->spools->lock);
	do
		got = pread(fd, room, size, (off_t)offset);
	while (got < 0 && errno == EINTR);
	return got < 0 ? -errno : got;
}

void spool_file_free(struct spool_file *file)
{
	struct spools *spools = file->spools;

	pthread_mutex_lock(&spools->lock);
	file->wake_fd = -1;
	leave_queue(file);
	if (file->writing)
		file->is_abandoned = true;
	else
		free_file(file);
	pthread_mutex_unlock(&spools->lock);
}
