#include "http/spool.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <event2/event.h>

#include "base/mem.h"
#include "http/spool_writer.h"

#define RUN_FIRST 1024            /* bytes of the first run in memory */
#define EXPECTED_MAX (256 * 1024) /* believed of a length before so much of it has come */
#define BLOCK_SIZE (128 * 1024)   /* bytes that go to the file's thread at a time */
#define PENDING_HIGH (1024 * 1024)
#define POLL_MS 20

struct spool {
	struct source source;
	struct spools *spools;
	struct event_base *base;
	uint64_t size;
	char *run; /* the whole body, or the last block of a file */
	size_t run_size;
	size_t run_capacity;
	size_t expected;         /* bytes that were named, or of the first run */
	size_t memory_charge;    /* bytes of memory_used for the run */
	struct spool_file *file; /* NULL: all in memory */
	struct event *ready_event;
	int ready_fd;
	spool_fn *on_ready;
	void *ready_arg;
};

int spools_open(struct spools **out, const char *folder, uint64_t memory_max,
	uint64_t disk_max, struct err *err)
{
	struct spools *spools;
	struct stat status;
	int rc;

	if (mkdir(folder, 0700) != 0 && errno != EEXIST)
		return err_set(err, -errno, "%s: %s", folder, strerror(errno));
	if (stat(folder, &status) != 0 || !S_ISDIR(status.st_mode) ||
		access(folder, W_OK | X_OK) != 0)
		return err_set(err, -ENOTDIR, "%s is no folder to write to", folder);

	spools = xcalloc(1, sizeof(*spools));
	spools->folder = xstrdup(folder);
	spools->memory_max = memory_max;
	spools->disk_max = disk_max;
	if ((rc = spool_writer_start(spools, err)) != 0) {
		free(spools->folder);
		free(spools);
		return rc;
	}
	*out = spools;
	return 0;
}

void spools_close(struct spools *spools)
{
	spool_writer_stop(spools);
	free(spools->folder);
	free(spools);
}

/* Adds to a total of the process unless that would pass its limit. */
static bool charge(_Atomic uint64_t *used, uint64_t limit, uint64_t size)
{
	if (atomic_fetch_add(used, size) + size <= limit)
		return true;
	atomic_fetch_sub(used, size);
	return false;
}

/* -- reading ---------------------------------------------------------------------- */

static ssize_t read_source(struct source *source, uint64_t offset, void *room,
	size_t size)
{
	struct spool *spool = CONTAINER_OF(source, struct spool, source);
	uint64_t run_start = spool->size - spool->run_size;

	if (offset >= spool->size || !size)
		return 0;
	if (offset < run_start) {
		if (size > run_start - offset)
			size = (size_t)(run_start - offset);
		return spool_file_read(spool->file, offset, room, size);
	}
	if (size > spool->size - offset)
		size = (size_t)(spool->size - offset);
	memcpy(room, spool->run + (offset - run_start), size);
	return (ssize_t)size;
}

static const struct source_ops source_ops = { .read = read_source };

struct source *spool_source(struct spool *spool)
{
	return &spool->source;
}

uint64_t spool_size(const struct spool *spool)
{
	return spool->size;
}

const char *spool_memory(const struct spool *spool)
{
	if (spool->file)
		return NULL;
	return spool->run ? spool->run : "";
}

/* -- filling ---------------------------------------------------------------------- */

struct spool *spool_new(struct spools *spools, struct event_base *base)
{
	struct spool *spool = mem_take(sizeof(*spool));

	*spool = (struct spool) {
		.source = { .ops = &source_ops },
		.spools = spools,
		.base = base,
		.expected = RUN_FIRST,
		.ready_fd = -1,
	};
	return spool;
}

void spool_expect(struct spool *spool, uint64_t size)
{
	if (size)
		spool->expected = size < SPOOL_MEMORY ? (size_t)size : SPOOL_MEMORY;
}

/* Makes the run in memory large enough, if that is allowed. */
static bool grow_run(struct spool *spool, size_t size)
{
	size_t wanted = spool->run_size + size;
	size_t capacity = spool->expected;

	if (wanted > SPOOL_MEMORY)
		return false;
	if (capacity > EXPECTED_MAX && spool->run_size < EXPECTED_MAX)
		capacity = EXPECTED_MAX;
	if (capacity < spool->run_capacity)
		capacity = spool->run_capacity;
	while (capacity < wanted)
		capacity *= 2;
	if (capacity == spool->run_capacity)
		return true;
	if (!charge(&spool->spools->memory_used, spool->spools->memory_max,
		    capacity - spool->run_capacity))
		return false;
	spool->memory_charge = capacity;
	spool->run = mem_resize(spool->run, spool->run_capacity, capacity);
	spool->run_capacity = capacity;
	return true;
}

static void hand_over(struct spool *spool)
{
	if (spool->run_size)
		spool_file_write(spool->file, spool->run, spool->size - spool->run_size,
			spool->run_size, spool->memory_charge);
	else
		free(spool->run);
	spool->run = NULL;
	spool->run_size = 0;
	spool->run_capacity = 0;
	spool->memory_charge = 0;
}

static void append_blocks(struct spool *spool, const char *data, size_t size)
{
	while (size) {
		size_t piece;

		if (!spool->run) {
			spool->run = xmalloc(BLOCK_SIZE);
			spool->run_capacity = BLOCK_SIZE;
		}
		piece = spool->run_capacity - spool->run_size;
		if (piece > size)
			piece = size;
		memcpy(spool->run + spool->run_size, data, piece);
		spool->run_size += piece;
		spool->size += piece;
		data += piece;
		size -= piece;
		if (spool->run_size == spool->run_capacity)
			hand_over(spool);
	}
}

char *spool_room(struct spool *spool, size_t *size)
{
	if (spool->file || !grow_run(spool, 1))
		return NULL;
	*size = spool->run_capacity - spool->run_size;
	return spool->run + spool->run_size;
}

void spool_fill(struct spool *spool, size_t size)
{
	spool->run_size += size;
	spool->size += size;
}

int spool_append(struct spool *spool, const void *data, size_t size)
{
	struct spools *spools = spool->spools;
	uint64_t disk_size = size;

	if (!size)
		return 0;
	if (!spool->file && grow_run(spool, size)) {
		memcpy(spool->run + spool->run_size, data, size);
		spool_fill(spool, size);
		return 0;
	}
	if (spool->file && spool_error(spool))
		return spool_error(spool);
	if (!spool->file)
		disk_size += spool->run_size;
	if (!charge(&spools->disk_used, spools->disk_max, disk_size))
		return -ENOSPC;
	if (!spool->file) {
		spool->file = spool_file_new(spools);
		hand_over(spool);
	}
	spool->file->charge += disk_size;
	append_blocks(spool, data, size);
	return 0;
}

int spool_error(const struct spool *spool)
{
	return spool->file ? atomic_load(&spool->file->error) : 0;
}

bool spool_is_behind(const struct spool *spool)
{
	return spool->file && !spool_error(spool) &&
		atomic_load(&spool->file->pending) > PENDING_HIGH;
}

/* -- waiting ---------------------------------------------------------------------- */

static void on_wake(int fd, short what, void *arg)
{
	struct spool *spool = arg;
	spool_fn *on_ready = spool->on_ready;
	uint64_t count;

	(void)what;
	if ((fd < 0 && spool_is_behind(spool)) ||
		(fd >= 0 && read(fd, &count, sizeof(count)) < 0) || !on_ready)
		return;
	spool->on_ready = NULL;
	on_ready(spool, spool->ready_arg);
}

void spool_when_ready(struct spool *spool, spool_fn *on_ready, void *arg)
{
	const struct timeval poll_time = { .tv_usec = POLL_MS * 1000 };

	spool->on_ready = on_ready;
	spool->ready_arg = arg;
	if (!spool->ready_event) {
		spool->ready_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
		spool->ready_event = event_new(spool->base, spool->ready_fd,
			EV_READ | EV_PERSIST, on_wake, spool);
		/* Where the process has no descriptor left to be woken by, it asks. */
		event_add(spool->ready_event, spool->ready_fd < 0 ? &poll_time : NULL);
	}
	if (spool->file)
		spool_file_wake(spool->file, spool->ready_fd);
	else
		event_active(spool->ready_event, EV_READ, 0);
}

void spool_free(struct spool *spool)
{
	if (spool->file)
		spool_file_free(spool->file);
	if (spool->ready_event)
		event_free(spool->ready_event);
	if (spool->ready_fd >= 0)
		close(spool->ready_fd);
	atomic_fetch_sub(&spool->spools->memory_used, spool->memory_charge);
	mem_give(spool->run, spool->run_capacity);
	mem_give(spool, sizeof(*spool));
}
