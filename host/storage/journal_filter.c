#include "storage/journal_filter.h"

#include <errno.h>
#include <string.h>

#include "base/fold.h"
#include "storage/storage.h"
#include "storage/table.h"

#define ERROR_LOOKED_AT 4096 /* bytes of an error's text */

/* What the records have of a text that was too long. */
static struct bytes kept(struct bytes text)
{
	if (text.size > RECORD_TEXT_MAX)
		text.size = RECORD_TEXT_MAX;
	return text;
}

static bool is_same(struct bytes a, struct bytes b)
{
	return a.size == b.size && (!a.size || memcmp(a.data, b.data, a.size) == 0);
}

/* An empty wish is fulfilled by everything. */
static bool is_text(struct bytes wanted, struct bytes text)
{
	return !wanted.size || is_same(kept(wanted), text);
}

static bool is_wish(enum journal_wish wish, bool value)
{
	return wish == JOURNAL_EITHER || (wish == JOURNAL_YES) == value;
}

/* -- what the index knows --------------------------------------------------------- */

size_t journal_filter_values(const struct journal_filter *filter,
	struct index_value values[JOURNAL_FILTER_VALUES])
{
	int status_class = filter->status ? filter->status / 100 : filter->status_class;
	const struct index_value all[JOURNAL_FILTER_VALUES] = {
		{ INDEX_CONVERSATION, kept(filter->conversation) },
		{ INDEX_KEY, kept(filter->key) },
		{ INDEX_TOKEN, kept(filter->token) },
		{ INDEX_MODEL, kept(filter->model) },
		{ INDEX_GROUP, kept(filter->group) },
		{ INDEX_PROVIDER, kept(filter->provider) },
		{ INDEX_STATUS_CLASS,
			status_class ? index_status_class(status_class)
				     : (struct bytes) { 0 } },
		{ INDEX_OUTCOME,
			filter->has_outcome ? index_outcome(filter->outcome)
					    : (struct bytes) { 0 } },
	};
	size_t count = 0;

	for (size_t i = 0; i < JOURNAL_FILTER_VALUES; i++)
		if (all[i].text.size)
			values[count++] = all[i];
	return count;
}

/* -- what the record knows -------------------------------------------------------- */

/* The answer's or an attempt's; all three in one. */
static bool has_target(const struct journal_filter *filter, const struct record *record)
{
	bool provider = is_text(filter->provider, record->provider);
	bool model = is_text(filter->model, record->target_model) ||
		is_text(filter->model, record->model);
	bool key = is_text(filter->key, record->key);

	for (size_t i = 0; i < record->attempt_count; i++) {
		const struct record_attempt *attempt = &record->attempts[i];

		provider = provider || is_same(kept(filter->provider), attempt->provider);
		model = model || is_same(kept(filter->model), attempt->model);
		key = key || is_same(kept(filter->key), attempt->key);
	}
	return provider && model && key;
}

static bool has_status(const struct journal_filter *filter, const struct record *record)
{
	if (filter->status && record->status != filter->status)
		return false;
	return !filter->status_class || record->status / 100 == filter->status_class;
}

static bool has_values(const struct journal_filter *filter, const struct record *record)
{
	return has_status(filter, record) &&
		(!filter->has_outcome || record->outcome == filter->outcome) &&
		is_wish(filter->stream, record->is_stream) &&
		is_wish(filter->test, record->is_test) &&
		is_wish(filter->import, record->is_import) &&
		(!filter->min_cost_micros ||
			(record->has_cost &&
				record->cost_micros >= filter->min_cost_micros)) &&
		record->ms >= filter->min_ms && is_text(filter->token, record->token) &&
		is_text(filter->group, record->group) &&
		is_text(filter->conversation, record->conversation) &&
		has_target(filter, record);
}

/* -- a part of a text ------------------------------------------------------------- */

static void fold_into(struct buf *out, struct bytes text)
{
	buf_reset(out);
	buf_grow(out, fold(buf_reserve(out, fold_room(text.size)), text.data, text.size));
}

static bool contains(struct journal_sieve *sieve, struct bytes text)
{
	if (!text.size)
		return false;
	fold_into(&sieve->room, text);
	return memmem(buf_data(&sieve->room), buf_size(&sieve->room),
		       buf_data(&sieve->text), buf_size(&sieve->text)) != NULL;
}

static int error_contains(struct journal_sieve *sieve, struct txn *txn, uint64_t key)
{
	struct record details = { 0 };
	struct key name = { 0 };
	struct bytes row;
	int rc;

	key_u64(&name, key);
	if ((rc = table_get(txn, &traces_table, key_bytes(&name), &row)) != 0)
		return rc == -ENOENT ? 0 : rc;
	if (record_decode_details(&details, row) != 0)
		return 0;
	if (details.error.size > ERROR_LOOKED_AT)
		details.error.size = ERROR_LOOKED_AT;
	return contains(sieve, details.error);
}

static int has_part(struct journal_sieve *sieve, struct txn *txn, uint64_t key,
	const struct record *record)
{
	if (contains(sieve, record->model) || contains(sieve, record->target_model) ||
		contains(sieve, record->conversation) ||
		contains(sieve, record->request_id))
		return 1;
	return record->has_details ? error_contains(sieve, txn, key) : 0;
}

void journal_sieve_init(struct journal_sieve *sieve, const struct journal_filter *filter)
{
	*sieve = (struct journal_sieve) { .filter = filter };
	if (filter->text.size)
		fold_into(&sieve->text, filter->text);
}

void journal_sieve_clear(struct journal_sieve *sieve)
{
	buf_clear(&sieve->text);
	buf_clear(&sieve->room);
}

int journal_sieve_passes(struct journal_sieve *sieve, struct txn *txn, uint64_t key,
	const struct record *record)
{
	if (!has_values(sieve->filter, record))
		return 0;
	return sieve->filter->text.size ? has_part(sieve, txn, key, record) : 1;
}
