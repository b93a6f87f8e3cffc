/* journal_query.h - records, as JSON, out of the journal.
 *
 * The functions are transactions' functions for a reader (store_thread.h): short, so that
 * what the writer frees is used again soon, whatever is asked for. Where a search takes
 * long the page comes with what was found by then, perhaps nothing, and a cursor that goes
 * on there. Texts that come in are borrowed; out
 * is emptied first. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "storage/body.h"
#include "storage/journal_filter.h"
#include "storage/store.h"

#define JOURNAL_PAGE_MAX 1000  /* records */
#define JOURNAL_SEARCH_MS 25   /* how long a page is searched for */
#define JOURNAL_CURSOR_SIZE 24 /* bytes, with the NUL */

struct journal_page {
	struct journal_filter filter;
	struct bytes cursor; /* of the page before; empty: the first page */
	uint32_t limit;      /* 1 to JOURNAL_PAGE_MAX */
	uint32_t search_ms;  /* 0: JOURNAL_SEARCH_MS */
	bool is_oldest_first;
	bool is_lines;    /* an object in each line, for export; else an array of them */
	bool is_detailed; /* with raw usage, error and trace */
	struct buf *out;

	/* The answer. */
	uint32_t count;
	char next[JOURNAL_CURSOR_SIZE]; /* empty: there is nothing more */
	int64_t reached_us;             /* where the next page begins; 0: there is none */
};

/* arg is a struct journal_page. -EINVAL: the cursor is of no such page. */
int journal_page(struct txn *txn, void *arg, struct err *err);

struct journal_record {
	unsigned char id[16];
	enum body_part part; /* for journal_body() */
	struct buf *out;
};

/* arg is a struct journal_record. The object with its details and, as "bodies", what there
 * is of them: [{"part":"request","size":…,"whole_size":…}]. -ENOENT: no such record. */
int journal_record(struct txn *txn, void *arg, struct err *err);
/* The bytes of one body. -ENOENT: there is none. */
int journal_body(struct txn *txn, void *arg, struct err *err);
