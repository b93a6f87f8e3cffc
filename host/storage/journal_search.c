#include "storage/journal_search.h"

#include <errno.h>
#include <stdlib.h>

#include "storage/cursor.h"
#include "storage/posting.h"
#include "storage/storage.h"
#include "storage/table.h"

/* Seeks in the index until the clock is looked at; some microseconds each. */
#define SEEKS_MAX 64

struct journal_search {
	struct txn *txn;
	bool is_down;
	bool is_over;
	uint64_t at; /* the next key that may be */
	uint64_t until;
	struct cursor *cursor; /* through all records; NULL with postings */
	struct key from;       /* which the cursor borrows */
	size_t count;
	struct posting postings[];
};

struct journal_search *journal_search_new(struct txn *txn,
	const struct journal_filter *filter, bool is_down, uint64_t from, uint64_t until)
{
	struct index_value values[JOURNAL_FILTER_VALUES];
	size_t count = journal_filter_values(filter, values);
	struct journal_search *search = xcalloc(1,
		sizeof(*search) + count * sizeof(search->postings[0]));

	search->txn = txn;
	search->is_down = is_down;
	search->at = from;
	search->until = until;
	search->count = count;
	for (size_t i = 0; i < count; i++) {
		search->postings[i].txn = txn;
		search->postings[i].value = values[i];
	}
	return search;
}

void journal_search_free(struct journal_search *search)
{
	cursor_close(search->cursor);
	free(search);
}

uint64_t journal_search_position(const struct journal_search *search)
{
	return search->at;
}

static bool is_beyond(const struct journal_search *search, uint64_t key)
{
	return search->is_down ? key < search->until : key > search->until;
}

/* Moves behind a key; at the end of all numbers it is over. */
static void pass(struct journal_search *search, uint64_t key)
{
	search->is_over = key == (search->is_down ? 0 : UINT64_MAX);
	search->at = search->is_down ? key - 1 : key + 1;
}

/* -- all records ------------------------------------------------------------------ */

static int open_cursor(struct journal_search *search)
{
	struct range range = { .is_down = search->is_down, .limit = CURSOR_PAGE_MAX };

	cursor_close(search->cursor);
	search->cursor = NULL;
	search->from = (struct key) { 0 };
	key_u64(&search->from, search->at);
	range.from = key_bytes(&search->from);
	return cursor_open(&search->cursor, search->txn, &records_table, &range);
}

static int next_row(struct journal_search *search, uint64_t *key, struct bytes *row)
{
	struct bytes name;
	int rc;

	if (!search->cursor && (rc = open_cursor(search)) != 0)
		return rc;
	rc = cursor_next(search->cursor, &name, row);
	if (rc == 0 && cursor_is_page_full(search->cursor)) {
		if ((rc = open_cursor(search)) != 0)
			return rc;
		rc = cursor_next(search->cursor, &name, row);
	}
	if (rc > 0 && key_take_u64(&name, key) != 0)
		return -EBADMSG;
	return rc;
}

/* -- records by their values ------------------------------------------------------ */

/* 1: *key is the next one that all postings have. */
static int next_common(struct journal_search *search, uint64_t *key)
{
	size_t agreed = 0;

	*key = search->at;
	for (int seeks = 0; agreed < search->count; seeks++) {
		struct posting *posting = &search->postings[seeks % (int)search->count];
		uint64_t found;
		int rc;

		if (seeks == SEEKS_MAX) {
			search->at = *key;
			return -EAGAIN;
		}
		rc = posting_seek(posting, *key, search->is_down, &found);
		if (rc <= 0)
			return rc;
		agreed = found == *key ? agreed + 1 : 1;
		*key = found;
		if (is_beyond(search, found))
			return 0;
	}
	return 1;
}

/* A record whose key the index still has may have gone: retention removes what the index
 * has in larger pieces. */
static int next_indexed(struct journal_search *search, uint64_t *key, struct bytes *row)
{
	struct key name = { 0 };
	int rc = next_common(search, key);

	if (rc <= 0)
		return rc;
	key_u64(&name, *key);
	rc = table_get(search->txn, &records_table, key_bytes(&name), row);
	if (rc != -ENOENT)
		return rc ? rc : 1;
	pass(search, *key);
	return -EAGAIN;
}

int journal_search_next(struct journal_search *search, uint64_t *key, struct bytes *row)
{
	int rc = 0;

	if (!search->is_over && !is_beyond(search, search->at))
		rc = search->count ? next_indexed(search, key, row)
				   : next_row(search, key, row);
	if (rc > 0 && is_beyond(search, *key))
		rc = 0;
	if (rc > 0)
		pass(search, *key);
	else if (rc == 0)
		search->is_over = true;
	return rc;
}
