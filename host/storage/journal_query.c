#include "storage/journal_query.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "storage/cursor.h"
#include "storage/journal_search.h"
#include "storage/posting.h"
#include "storage/record_json.h"
#include "storage/storage.h"
#include "storage/table.h"

/* Records that are looked at without a look at the clock. */
#define ROWS_MAX 32

/* A cursor: the direction, and the next key to be looked at. */
#define CURSOR_DOWN 'd'
#define CURSOR_UP 'u'
#define CURSOR_TEXT 17 /* bytes, without the NUL */

static struct key record_key(uint64_t number)
{
	struct key key = { 0 };

	key_u64(&key, number);
	return key;
}

static int read_details(struct txn *txn, uint64_t number, struct record *record)
{
	struct key key = record_key(number);
	struct bytes row;
	int rc = table_get(txn, &traces_table, key_bytes(&key), &row);

	if (rc)
		return rc == -ENOENT ? 0 : rc;
	return record_decode_details(record, row);
}

/* -- where a page begins ---------------------------------------------------------- */

static void write_cursor(struct journal_page *page, uint64_t key)
{
	snprintf(page->next, sizeof(page->next), "%c%016" PRIx64,
		page->is_oldest_first ? CURSOR_UP : CURSOR_DOWN, key);
	page->reached_us = (int64_t)key;
}

static int read_cursor(const struct journal_page *page, uint64_t *key)
{
	char wanted = page->is_oldest_first ? CURSOR_UP : CURSOR_DOWN;
	const char *text = page->cursor.data;

	if (page->cursor.size != CURSOR_TEXT || text[0] != wanted)
		return -EINVAL;
	*key = 0;
	for (int i = 1; i < CURSOR_TEXT; i++) {
		const char *digits = "0123456789abcdef";
		const char *digit = text[i] ? strchr(digits, text[i]) : NULL;

		if (!digit)
			return -EINVAL;
		*key = *key << 4 | (uint64_t)(digit - digits);
	}
	return 0;
}

/* Both ends are included. False: nothing can be between them. */
static bool find_span(const struct journal_page *page, uint64_t *from, uint64_t *until)
{
	const struct journal_filter *filter = &page->filter;
	uint64_t least = filter->from_us > 0 ? (uint64_t)filter->from_us : 0;
	uint64_t most = filter->until_us > 0 ? (uint64_t)filter->until_us - 1
					     : UINT64_MAX;
	uint64_t next;

	if (page->cursor.size && read_cursor(page, &next) == 0) {
		if (page->is_oldest_first && next > least)
			least = next;
		if (!page->is_oldest_first && next < most)
			most = next;
	}
	*from = page->is_oldest_first ? least : most;
	*until = page->is_oldest_first ? most : least;
	return least <= most;
}

/* -- a page ----------------------------------------------------------------------- */

struct look {
	struct txn *txn;
	struct journal_page *page;
	struct journal_search *search;
	struct journal_sieve sieve;
	int64_t until_ms;
	size_t rows;
};

/* A record that cannot be read is left out: the others can. */
static int add_record(struct look *look, uint64_t key, struct bytes row)
{
	struct record_attempt room[RECORD_ATTEMPTS_MAX];
	struct journal_page *page = look->page;
	struct record record;
	int rc;

	if (record_decode(&record, row, room) != 0)
		return 0;
	if ((rc = journal_sieve_passes(&look->sieve, look->txn, key, &record)) <= 0)
		return rc;
	if (page->is_detailed && record.has_details &&
		(rc = read_details(look->txn, key, &record)) != 0)
		return rc;
	if (page->count++ && !page->is_lines)
		buf_append(page->out, ",", 1);
	record_json_begin(page->out, &record);
	if (page->is_detailed)
		record_json_details(page->out, &record);
	buf_append_text(page->out, page->is_lines ? "}\n" : "}");
	return 0;
}

static bool is_time_over(struct look *look, bool is_asked)
{
	if (!is_asked && ++look->rows % ROWS_MAX)
		return false;
	return clock_ms() >= look->until_ms;
}

/* 0: the search is over; 1: there may be more. */
static int fill(struct look *look)
{
	struct journal_page *page = look->page;

	for (;;) {
		struct bytes row;
		uint64_t key;
		int rc = journal_search_next(look->search, &key, &row);

		if (rc == 0 || (rc < 0 && rc != -EAGAIN))
			return rc;
		if (rc > 0 && (rc = add_record(look, key, row)) != 0)
			return rc;
		if (page->count == page->limit || is_time_over(look, rc == -EAGAIN))
			return 1;
	}
}

int journal_page(struct txn *txn, void *arg, struct err *err)
{
	struct journal_page *page = arg;
	struct look look = { .txn = txn, .page = page };
	uint32_t search_ms = page->search_ms ? page->search_ms : JOURNAL_SEARCH_MS;
	uint64_t from, until, next;
	int rc = 0;

	assert(page->limit > 0 && page->limit <= JOURNAL_PAGE_MAX);
	page->count = 0;
	page->reached_us = 0;
	page->next[0] = '\0';
	buf_reset(page->out);
	if (page->cursor.size && read_cursor(page, &next) != 0)
		return err_set(err, -EINVAL, "the cursor is of no such page");
	if (!page->is_lines)
		buf_append(page->out, "[", 1);
	if (find_span(page, &from, &until)) {
		look.until_ms = clock_ms() + search_ms;
		look.search = journal_search_new(txn, &page->filter,
			!page->is_oldest_first, from, until);
		journal_sieve_init(&look.sieve, &page->filter);
		rc = fill(&look);
		if (rc > 0)
			write_cursor(page, journal_search_position(look.search));
		journal_sieve_clear(&look.sieve);
		journal_search_free(look.search);
	}
	if (!page->is_lines)
		buf_append(page->out, "]", 1);
	return rc < 0 ? rc : 0;
}
