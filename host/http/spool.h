/* spool.h - a request's body, kept so that it can be sent again.
 *
 * The first SPOOL_MEMORY bytes of a body stay in memory, in one run; a body that grows
 * past it moves to a file without a name (O_TMPFILE) in the spool folder. Both kinds have
 * a total for the whole process: where memory is short a file is used earlier, where the
 * disk's share is used up the body is refused (507). No worker waits for a disk: file
 * writes are made by one thread of the process, and whoever fills a spool stops while it
 * is behind. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/piece.h"

#define SPOOL_MEMORY (2 * 1024 * 1024)

struct event_base;
struct spool;
struct spools;

typedef void spool_fn(struct spool *spool, void *arg);

/* The process's spools. folder is made (0700) if it is missing. memory_max and disk_max:
 * bytes in total. */
MUST_CHECK
int spools_open(struct spools **out, const char *folder, uint64_t memory_max,
	uint64_t disk_max, struct err *err);
void spools_close(struct spools *spools); /* after every spool is freed */

/* base: where on_ready is called from. */
struct spool *spool_new(struct spools *spools, struct event_base *base);
/* So many bytes will come, if the client keeps its word: for the memory of the first run. */
void spool_expect(struct spool *spool, uint64_t size);
/* Returns 0, or -ENOSPC (the total is used up, or the disk is full), or another negative
 * errno of the file. */
MUST_CHECK
int spool_append(struct spool *spool, const void *data, size_t size);
/* Where the next bytes can be put without a copy, at the end of what is in memory: *size of
 * them, until the next call. NULL where they must be appended. */
char *spool_room(struct spool *spool, size_t *size);
/* So many bytes have been put there. */
void spool_fill(struct spool *spool, size_t size);
/* True while so much waits for the file's thread that the filler must stop reading.
 * on_ready comes once, from the event loop, when it may go on or when the file has failed
 * (spool_error). */
bool spool_is_behind(const struct spool *spool);
void spool_when_ready(struct spool *spool, spool_fn *on_ready, void *arg);
int spool_error(const struct spool *spool); /* 0 or a negative errno */
uint64_t spool_size(const struct spool *spool);
/* The whole body in one run where it is in memory, else NULL. */
const char *spool_memory(const struct spool *spool);
/* The body as a source for pieces; reading is possible from any thread once it is
 * complete. */
struct source *spool_source(struct spool *spool);
void spool_free(struct spool *spool); /* also while a write is under way */
