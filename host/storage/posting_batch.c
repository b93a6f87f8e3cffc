#include "storage/posting_batch.h"

#include <stdlib.h>
#include <string.h>

#include "storage/cursor.h"
#include "storage/posting.h"

#define NONE UINT32_MAX
#define SLOTS_FIRST 1024
#define SHORT 8 /* bytes of a text that is copied: those that nobody else keeps are */

/* The keys of an entry, in a list: all entries grow at the same time. */
struct node {
	uint64_t key;
	uint32_t next;
};

struct entry {
	enum index_dimension dimension;
	uint32_t text_size;
	const void *text; /* NULL: it is short */
	unsigned char short_text[SHORT];
	uint64_t hash;
	uint32_t first; /* nodes */
	uint32_t last;
};

struct posting_batch {
	struct entry *entries;
	uint32_t entry_count, entry_room;
	struct node *nodes;
	uint32_t node_count, node_room;
	uint32_t *slots; /* entries by hash, or NONE; at most half of them are taken */
	uint32_t slot_count;
	/* The entry of each dimension that got the last key, or NONE: mostly the next one's. */
	uint32_t latest[INDEX_DIMENSIONS];
};

static void clear_slots(struct posting_batch *batch)
{
	memset(batch->slots, 0xff, batch->slot_count * sizeof(*batch->slots));
}

struct posting_batch *posting_batch_new(void)
{
	struct posting_batch *batch = xcalloc(1, sizeof(*batch));

	batch->slot_count = SLOTS_FIRST;
	batch->slots = xmalloc(batch->slot_count * sizeof(*batch->slots));
	posting_batch_reset(batch);
	return batch;
}

void posting_batch_free(struct posting_batch *batch)
{
	if (!batch)
		return;
	free(batch->slots);
	free(batch->nodes);
	free(batch->entries);
	free(batch);
}

void posting_batch_reset(struct posting_batch *batch)
{
	batch->entry_count = batch->node_count = 0;
	memset(batch->latest, 0xff, sizeof(batch->latest));
	clear_slots(batch);
}

/* -- adding ----------------------------------------------------------------------- */

static uint64_t hash_of(const struct index_value *value)
{
	const unsigned char *at = value->text.data;
	uint64_t hash = (uint64_t)value->dimension * 0x9e3779b97f4a7c15 +
		value->text.size;
	uint64_t word;
	size_t left = value->text.size;

	for (; left >= sizeof(word); left -= sizeof(word), at += sizeof(word)) {
		memcpy(&word, at, sizeof(word));
		hash = (hash ^ word) * 0xff51afd7ed558ccd;
		hash ^= hash >> 32;
	}
	word = 0;
	if (left)
		memcpy(&word, at, left);
	hash = (hash ^ word) * 0xc4ceb9fe1a85ec53;
	return hash ^ hash >> 29;
}

static struct index_value value_of(const struct entry *entry)
{
	const void *text = entry->text ? entry->text : entry->short_text;

	return (struct index_value) { entry->dimension, { text, entry->text_size } };
}

static bool is_same(const struct entry *entry, const struct index_value *value)
{
	struct index_value own = value_of(entry);

	return own.dimension == value->dimension && own.text.size == value->text.size &&
		memcmp(own.text.data, value->text.data, own.text.size) == 0;
}

/* The slot of a value, taken or not. */
static uint32_t *find_slot(const struct posting_batch *batch,
	const struct index_value *value, uint64_t hash)
{
	uint32_t mask = batch->slot_count - 1;

	for (uint32_t at = (uint32_t)hash & mask;; at = (at + 1) & mask) {
		uint32_t number = batch->slots[at];

		if (number == NONE)
			return &batch->slots[at];
		if (batch->entries[number].hash == hash &&
			is_same(&batch->entries[number], value))
			return &batch->slots[at];
	}
}

static void grow_slots(struct posting_batch *batch)
{
	batch->slot_count *= 2;
	batch->slots = xrealloc(batch->slots, batch->slot_count * sizeof(*batch->slots));
	clear_slots(batch);
	for (uint32_t i = 0; i < batch->entry_count; i++) {
		struct index_value value = value_of(&batch->entries[i]);

		*find_slot(batch, &value, batch->entries[i].hash) = i;
	}
}

static uint32_t new_entry(struct posting_batch *batch, const struct index_value *value,
	uint64_t hash)
{
	struct entry *entry;

	if (batch->entry_count == batch->entry_room) {
		batch->entry_room = batch->entry_room ? batch->entry_room * 2 : 256;
		batch->entries = xrealloc(batch->entries,
			batch->entry_room * sizeof(*batch->entries));
	}
	entry = &batch->entries[batch->entry_count];
	*entry = (struct entry) { .dimension = value->dimension,
		.text_size = (uint32_t)value->text.size,
		.hash = hash,
		.first = NONE };
	if (value->text.size <= SHORT)
		memcpy(entry->short_text, value->text.data, value->text.size);
	else
		entry->text = value->text.data;
	return batch->entry_count++;
}

static void add_node(struct posting_batch *batch, struct entry *entry, uint64_t key)
{
	if (batch->node_count == batch->node_room) {
		batch->node_room = batch->node_room ? batch->node_room * 2 : 1024;
		batch->nodes = xrealloc(batch->nodes,
			batch->node_room * sizeof(*batch->nodes));
	}
	batch->nodes[batch->node_count] = (struct node) { key, NONE };
	if (entry->first == NONE)
		entry->first = batch->node_count;
	else
		batch->nodes[entry->last].next = batch->node_count;
	entry->last = batch->node_count++;
}

/* The number of a value's entry, which is made where there is none. */
static uint32_t find_entry(struct posting_batch *batch, const struct index_value *value)
{
	uint64_t hash = hash_of(value);
	uint32_t *slot = find_slot(batch, value, hash), found = *slot;

	if (found != NONE)
		return found;
	found = *slot = new_entry(batch, value, hash);
	if (batch->entry_count * 2 > batch->slot_count)
		grow_slots(batch);
	return found;
}

static void add(struct posting_batch *batch, const struct index_value *value,
	uint64_t key)
{
	uint32_t *latest = &batch->latest[value->dimension];

	if (*latest == NONE || !is_same(&batch->entries[*latest], value))
		*latest = find_entry(batch, value);
	add_node(batch, &batch->entries[*latest], key);
}

void posting_batch_add(struct posting_batch *batch, const struct index_values *values,
	uint64_t key)
{
	for (size_t i = 0; i < values->count; i++)
		add(batch, &values->values[i], key);
}

/* -- writing ---------------------------------------------------------------------- */

struct walk {
	const struct node *nodes;
	uint32_t next;
};

static bool next_key(void *arg, uint64_t *key)
{
	struct walk *walk = arg;

	if (walk->next == NONE)
		return false;
	*key = walk->nodes[walk->next].key;
	walk->next = walk->nodes[walk->next].next;
	return true;
}

int posting_batch_write(const struct posting_batch *batch, struct txn *txn)
{
	struct cursor *cursor;
	int rc = posting_open(&cursor, txn);

	if (rc)
		return rc;
	for (uint32_t i = 0; i < batch->entry_count && !rc; i++) {
		struct index_value value = value_of(&batch->entries[i]);
		struct walk walk = { batch->nodes, batch->entries[i].first };

		rc = posting_write(txn, cursor, &value, next_key, &walk);
	}
	cursor_close(cursor);
	return rc;
}

int posting_batch_insert(const struct posting_batch *batch, struct txn *txn)
{
	uint64_t *keys = xmalloc((batch->node_count + 1) * sizeof(*keys));
	int rc = 0;

	for (uint32_t i = 0; i < batch->entry_count && !rc; i++) {
		struct index_value value = value_of(&batch->entries[i]);
		struct walk walk = { batch->nodes, batch->entries[i].first };
		size_t count = 0;

		while (next_key(&walk, &keys[count]))
			count++;
		rc = posting_insert(txn, &value, keys, count);
	}
	free(keys);
	return rc;
}

int posting_batch_forget(const struct posting_batch *batch, struct txn *txn,
	uint64_t last)
{
	int rc = 0;

	for (uint32_t i = 0; i < batch->entry_count && !rc; i++) {
		struct index_value value = value_of(&batch->entries[i]);

		rc = posting_forget(txn, &value, last);
	}
	return rc;
}
