#include "storage/posting.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "storage/cursor.h"
#include "storage/pack.h"
#include "storage/storage.h"
#include "storage/table.h"

/* Of a chunk: rows that are much larger would take pages of their own. */
#define CHUNK_SIZE 1400
#define KEY_SIZE 8 /* of a record, at the end of a chunk's key */

static struct key value_prefix(const struct index_value *value)
{
	struct key prefix = { 0 };

	key_u8(&prefix, (uint8_t)value->dimension);
	key_text(&prefix, value->text.data, value->text.size);
	return prefix;
}

static struct key chunk_key(const struct key *prefix, uint64_t first)
{
	struct key key = *prefix;

	key_u64(&key, first);
	return key;
}

/* -- chunks ----------------------------------------------------------------------- */

/* The value of a chunk's row are the distances, so that one of a single key is empty. */
struct chunk {
	uint64_t first;
	uint64_t last;
	size_t count; /* 0: there is none yet */
	size_t size;
	bool is_stored; /* it is the row where the cursor is */
	unsigned char packed[CHUNK_SIZE];
};

static int first_of(struct bytes key, const struct key *prefix, uint64_t *first)
{
	struct bytes rest = { (const char *)key.data + prefix->size,
		key.size - prefix->size };

	return rest.size == KEY_SIZE ? key_take_u64(&rest, first) : -EBADMSG;
}

/* -EBADMSG: *count stays as it is. */
static int unpack_keys(struct bytes row, uint64_t first, uint64_t keys[POSTING_CHUNK],
	size_t *count)
{
	struct unpack from = unpack_start(row);
	size_t found = 0;

	keys[found++] = first;
	while (!unpack_is_over(&from)) {
		uint64_t key = keys[found - 1] + unpack_number(&from);

		if (from.is_bad || key <= keys[found - 1] || found == POSTING_CHUNK)
			return -EBADMSG;
		keys[found++] = key;
	}
	*count = found;
	return 0;
}

/* The same for the last key and the count alone, and without a branch for each byte: the
 * writer does this for every chunk that it touches. */
static int unpack_end(struct bytes row, uint64_t first, uint64_t *last, size_t *count)
{
	const unsigned char *at = row.data;
	uint64_t sum = first;
	unsigned shift = 0, most = 0;
	bool is_bad = false, is_inside = false;
	size_t found = 1;

	for (size_t i = 0; i < row.size; i++) {
		is_inside = at[i] & 0x80;
		/* No distance is 0, and no number ends with an empty byte. */
		is_bad |= at[i] == 0;
		sum += (uint64_t)(at[i] & 0x7f) << (shift & 63);
		most |= shift;
		found += !is_inside;
		shift = (shift + 7) & (0u - is_inside);
	}
	if (is_bad || is_inside || most > 63 || sum < first || found > POSTING_CHUNK)
		return -EBADMSG;
	*last = sum;
	*count = found;
	return 0;
}

/* The row at which a cursor ends: 1, or 0 where there is none. */
static int take_row(struct cursor *cursor, const struct key *prefix, uint64_t *first,
	struct bytes *row)
{
	struct bytes key;
	int rc = cursor_next(cursor, &key, row);

	return rc > 0 && first_of(key, prefix, first) != 0 ? -EBADMSG : rc;
}

/* The row of a value at which a search ends, as above. */
static int find_row(struct txn *txn, const struct key *prefix, const struct range *search,
	uint64_t *first, struct bytes *row)
{
	struct range range = *search;
	struct cursor *cursor;
	int rc;

	*first = 0;
	*row = (struct bytes) { 0 };
	range.prefix = key_bytes(prefix);
	range.limit = 1;
	if ((rc = cursor_open(&cursor, txn, &index_table, &range)) != 0)
		return rc;
	rc = take_row(cursor, prefix, first, row);
	cursor_close(cursor);
	return rc;
}

/* -- writing ---------------------------------------------------------------------- */

/* The chunk that still grows, or an empty one. One that is damaged grows no more: whoever
 * reads it will hear of it, and records are written on. */
static int load_open(struct cursor *cursor, const struct key *prefix, struct chunk *chunk)
{
	struct range range = { .prefix = key_bytes(prefix), .is_down = true, .limit = 1 };
	struct bytes row;
	int rc = cursor_restart(cursor, &range);

	chunk->first = chunk->last = 0;
	chunk->count = chunk->size = 0;
	chunk->is_stored = false;
	if (rc || (rc = take_row(cursor, prefix, &chunk->first, &row)) <= 0)
		return rc;
	if (row.size > CHUNK_SIZE ||
		unpack_end(row, chunk->first, &chunk->last, &chunk->count) != 0)
		return 0;
	chunk->is_stored = true;
	chunk->size = row.size;
	if (row.size)
		memcpy(chunk->packed, row.data, row.size);
	return 0;
}

static int put_chunk(struct txn *txn, struct cursor *cursor, const struct key *prefix,
	const struct chunk *chunk)
{
	struct key key = chunk_key(prefix, chunk->first);
	struct bytes row = { chunk->packed, chunk->size };

	if (chunk->is_stored)
		return cursor_replace(cursor, key_bytes(&key), row);
	return table_put(txn, &index_table, key_bytes(&key), row);
}

static bool is_full(const struct chunk *chunk)
{
	return chunk->count == POSTING_CHUNK ||
		chunk->size + PACK_NUMBER_MAX > CHUNK_SIZE;
}

static void grow(struct chunk *chunk, uint64_t key)
{
	if (chunk->count)
		chunk->size = (size_t)(pack_number(chunk->packed + chunk->size,
					       key - chunk->last) -
			chunk->packed);
	else
		chunk->first = key;
	chunk->last = key;
	chunk->count++;
}

static int add_key(struct txn *txn, struct cursor *cursor, const struct key *prefix,
	struct chunk *chunk, uint64_t key)
{
	int rc;

	if (chunk->count && key <= chunk->last)
		return -EBADMSG;
	if (is_full(chunk)) {
		if ((rc = put_chunk(txn, cursor, prefix, chunk)) != 0)
			return rc;
		chunk->count = chunk->size = 0;
		chunk->is_stored = false;
	}
	grow(chunk, key);
	return 0;
}

int posting_open(struct cursor **out, struct txn *txn)
{
	return cursor_open(out, txn, &index_table, &(struct range) { .limit = 1 });
}

int posting_write(struct txn *txn, struct cursor *cursor, const struct index_value *value,
	posting_next_fn *next, void *arg)
{
	struct key prefix = value_prefix(value);
	struct chunk chunk;
	uint64_t key;
	int rc = load_open(cursor, &prefix, &chunk);

	while (!rc && next(arg, &key))
		rc = add_key(txn, cursor, &prefix, &chunk, key);
	return rc ? rc : put_chunk(txn, cursor, &prefix, &chunk);
}

/* -- inserting -------------------------------------------------------------------- */

#define INSERT_MAX POSTING_CHUNK /* keys that one chunk takes at once */

/* A chunk that is taken apart: its keys, and where the next one begins. */
struct home {
	uint64_t first;
	uint64_t end;
	size_t count; /* 0: there is no chunk yet */
	uint64_t keys[POSTING_CHUNK];
};

/* The chunk that a key belongs to: the last that does not begin behind it, else the first
 * of all. */
static int find_home(struct txn *txn, const struct key *prefix, uint64_t key,
	struct home *home)
{
	struct key from = chunk_key(prefix, key);
	struct range before = { .from = key_bytes(&from), .is_down = true }, any = { 0 };
	struct range behind = { .is_from_excluded = true };
	struct bytes row;
	int rc = find_row(txn, prefix, &before, &home->first, &row);

	home->count = 0;
	home->end = UINT64_MAX;
	if (rc == 0)
		rc = find_row(txn, prefix, &any, &home->first, &row);
	if (rc <= 0)
		return rc;
	if ((rc = unpack_keys(row, home->first, home->keys, &home->count)) != 0)
		return rc;
	from = chunk_key(prefix, home->first);
	behind.from = key_bytes(&from);
	rc = find_row(txn, prefix, &behind, &home->end, &row);
	if (rc == 0)
		home->end = UINT64_MAX;
	return rc < 0 ? rc : 0;
}

/* Both are increasing; out has room for both. */
static size_t merge(const uint64_t *a, size_t a_count, const uint64_t *b, size_t b_count,
	uint64_t *out)
{
	size_t i = 0, j = 0, count = 0;

	while (i < a_count || j < b_count)
		out[count++] = j == b_count || (i < a_count && a[i] < b[j]) ? a[i++]
									    : b[j++];
	return count;
}

static int write_chunks(struct txn *txn, const struct key *prefix, const uint64_t *keys,
	size_t count)
{
	struct chunk chunk;
	int rc = 0;

	chunk.first = chunk.last = 0;
	chunk.count = chunk.size = 0;
	chunk.is_stored = false;
	for (size_t i = 0; i < count && !rc; i++)
		rc = add_key(txn, NULL, prefix, &chunk, keys[i]);
	return rc ? rc : put_chunk(txn, NULL, prefix, &chunk);
}

/* Those of the keys that belong into one chunk; *taken says how many they are. */
static int insert_some(struct txn *txn, const struct key *prefix, const uint64_t *keys,
	size_t count, size_t *taken)
{
	uint64_t merged[POSTING_CHUNK + INSERT_MAX];
	struct home home;
	struct key name;
	size_t some = 0;
	int rc = find_home(txn, prefix, keys[0], &home);

	if (rc)
		return rc;
	while (some < count && some < INSERT_MAX && keys[some] < home.end)
		some++;
	name = chunk_key(prefix, home.first);
	if (home.count && (rc = table_delete(txn, &index_table, key_bytes(&name))) != 0)
		return rc;
	*taken = some;
	return write_chunks(txn, prefix, merged,
		merge(home.keys, home.count, keys, some, merged));
}

int posting_insert(struct txn *txn, const struct index_value *value, const uint64_t *keys,
	size_t count)
{
	struct key prefix = value_prefix(value);
	int rc = 0;

	while (count && !rc) {
		size_t taken = 0;

		rc = insert_some(txn, &prefix, keys, count, &taken);
		keys += taken;
		count -= taken;
	}
	return rc;
}

/* -- forgetting ------------------------------------------------------------------- */

int posting_forget(struct txn *txn, const struct index_value *value, uint64_t last)
{
	struct key prefix = value_prefix(value);
	uint64_t keys[POSTING_CHUNK], first;
	size_t count;
	struct bytes row;
	int rc;

	for (;;) {
		struct key chunk;

		rc = find_row(txn, &prefix, &(struct range) { .is_down = false }, &first,
			&row);
		if (rc <= 0 || first > last)
			return rc < 0 ? rc : 0;
		/* A damaged one goes with its first record. */
		if (unpack_keys(row, first, keys, &count) == 0 && keys[count - 1] > last)
			return 0;
		chunk = chunk_key(&prefix, first);
		if ((rc = table_delete(txn, &index_table, key_bytes(&chunk))) != 0)
			return rc;
	}
}

/* -- reading ---------------------------------------------------------------------- */

/* Loads the chunk at which a search that begins at `at` ends. */
static int load(struct posting *posting, uint64_t at, bool is_down, bool is_at_excluded)
{
	struct key prefix = value_prefix(&posting->value);
	struct key from = chunk_key(&prefix, at);
	struct range search = { .from = key_bytes(&from),
		.is_down = is_down,
		.is_from_excluded = is_at_excluded };
	struct bytes row;
	uint64_t first;
	int rc = find_row(posting->txn, &prefix, &search, &first, &row);

	if (rc <= 0)
		return rc;
	posting->count = 0;
	rc = unpack_keys(row, first, posting->keys, &posting->count);
	return rc ? rc : 1;
}

static bool is_within(const struct posting *posting, uint64_t target)
{
	return posting->count && target >= posting->keys[0] &&
		target <= posting->keys[posting->count - 1];
}

/* target is within the chunk, or on the side of it where its answer is the chunk's end. */
static int answer(const struct posting *posting, uint64_t target, bool is_down,
	uint64_t *found)
{
	size_t low = 0, high = posting->count;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (posting->keys[middle] < target)
			low = middle + 1;
		else
			high = middle;
	}
	/* low: the least key that is not less. */
	if (is_down && (low == posting->count || posting->keys[low] > target))
		low--;
	*found = posting->keys[low];
	return 1;
}

static int seek_down(struct posting *posting, uint64_t target, uint64_t *found)
{
	int rc = load(posting, target, true, false);

	return rc > 0 ? answer(posting, target, true, found) : rc;
}

/* Most searches go on where the last one ended, so that the next chunk is looked at before
 * one is searched for. */
static int seek_up(struct posting *posting, uint64_t target, uint64_t *found)
{
	int rc = 1;

	if (posting->count && target > posting->keys[posting->count - 1])
		rc = load(posting, posting->keys[0], false, true);
	else
		posting->count = 0;
	if (rc <= 0)
		return rc;
	if (!posting->count || target > posting->keys[posting->count - 1]) {
		if ((rc = load(posting, target, true, false)) < 0)
			return rc;
		if (rc == 0 || target > posting->keys[posting->count - 1])
			rc = load(posting, target, false, true);
	}
	return rc > 0 ? answer(posting, target, false, found) : rc;
}

int posting_seek(struct posting *posting, uint64_t target, bool is_down, uint64_t *found)
{
	if (is_within(posting, target))
		return answer(posting, target, is_down, found);
	return is_down ? seek_down(posting, target, found)
		       : seek_up(posting, target, found);
}
