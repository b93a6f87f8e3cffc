#include "storage/index.h"

#include <string.h>

/* Of the milliseconds, in six bytes, that an id begins with. */
#define ID_SIZE 5

struct bytes index_outcome(enum record_outcome outcome)
{
	static const char texts[] = "0123";

	return (struct bytes) { &texts[outcome & 3], 1 };
}

struct bytes index_status_class(int status_class)
{
	static const char texts[] = "012345";

	return (struct bytes) {
		&texts[status_class < 0 || status_class > 5 ? 0 : status_class], 1
	};
}

struct bytes index_id(const unsigned char id[16])
{
	return (struct bytes) { id, ID_SIZE };
}

static void add(struct index_values *values, enum index_dimension dimension,
	struct bytes text)
{
	values->values[values->count++] = (struct index_value) { dimension, text };
}

/* Where the dimension's values begin with first. */
static void add_once(struct index_values *values, size_t first,
	enum index_dimension dimension, struct bytes text)
{
	for (size_t i = first; i < values->count; i++)
		if (values->values[i].text.size == text.size &&
			memcmp(values->values[i].text.data, text.data, text.size) == 0)
			return;
	if (text.size)
		add(values, dimension, text);
}

/* The record's own text and that of each attempt; both are at their offset. */
static void add_all(struct index_values *values, size_t first,
	enum index_dimension dimension, const struct record *record, struct bytes own,
	size_t offset)
{
	add_once(values, first, dimension, own);
	for (size_t i = 0; i < record->attempt_count; i++) {
		const char *attempt = (const char *)&record->attempts[i];
		struct bytes text;

		memcpy(&text, attempt + offset, sizeof(text));
		add_once(values, first, dimension, text);
	}
}

void index_values(const struct record *record, struct index_values *values)
{
	size_t first;

	values->count = 0;
	if (record->token.size)
		add(values, INDEX_TOKEN, record->token);
	if (record->group.size)
		add(values, INDEX_GROUP, record->group);
	if (record->conversation.size)
		add(values, INDEX_CONVERSATION, record->conversation);
	add(values, INDEX_OUTCOME, index_outcome(record->outcome));
	add(values, INDEX_STATUS_CLASS, index_status_class(record->status / 100));
	add(values, INDEX_ID, index_id(record->id));
	add_all(values, values->count, INDEX_PROVIDER, record, record->provider,
		offsetof(struct record_attempt, provider));
	first = values->count;
	add_once(values, first, INDEX_MODEL, record->model);
	add_all(values, first, INDEX_MODEL, record, record->target_model,
		offsetof(struct record_attempt, model));
	add_all(values, values->count, INDEX_KEY, record, record->key,
		offsetof(struct record_attempt, key));
}
