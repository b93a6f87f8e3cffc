/* spool_writer.h - the thread that writes spools' blocks to their files. Private to
 * spool.c.
 *
 * A block belongs to its spool's file from the hand-over on. Until it is written its
 * bytes can be read from memory, and if its write fails it stays there: a body that was
 * taken is always readable. */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"
#include "base/list.h"

struct spools {
	char *folder;
	uint64_t memory_max;
	uint64_t disk_max;
	_Atomic uint64_t memory_used;
	_Atomic uint64_t disk_used;
	pthread_t thread;
	pthread_mutex_t lock; /* for what follows, and for the files' blocks */
	pthread_cond_t has_block;
	struct list queue; /* blocks, oldest first */
	bool is_stopping;
};

struct spool_block {
	struct list queue_link; /* in spools->queue */
	struct list file_link;  /* in file->blocks, by offset */
	struct spool_file *file;
	char *data;
	uint64_t offset;
	size_t size;
	size_t memory_charge; /* bytes to take off memory_used when it is freed */
};

/* The file of one spool. */
struct spool_file {
	struct spools *spools;
	int fd;                      /* -1 until the first write; opened by the thread */
	struct list blocks;          /* handed over and not written */
	uint64_t charge;             /* bytes of disk_used */
	struct spool_block *writing; /* the one that the thread holds */
	bool is_abandoned;           /* the spool is gone: the thread frees the file */
	int wake_fd;                 /* eventfd of whoever waits; -1: nobody */
	_Atomic uint64_t pending;    /* bytes in blocks */
	atomic_int error;            /* 0 or a negative errno */
};

MUST_CHECK
int spool_writer_start(struct spools *spools, struct err *err);
void spool_writer_stop(struct spools *spools);

struct spool_file *spool_file_new(struct spools *spools);
/* Takes data, which came from malloc. */
void spool_file_write(struct spool_file *file, char *data, uint64_t offset, size_t size,
	size_t memory_charge);
/* Has the eventfd written to once few bytes wait, or upon an error. */
void spool_file_wake(struct spool_file *file, int wake_fd);
/* Copies up to size bytes: from blocks that are not written yet, or from the file. */
ssize_t spool_file_read(struct spool_file *file, uint64_t offset, void *room,
	size_t size);
void spool_file_free(struct spool_file *file);
