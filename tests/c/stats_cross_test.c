/* Breakdowns of one value by another dimension, which no row has, against a plain count. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <inttypes.h>
#include <stdlib.h>

#include "journal_check.h"
#include "journal_world.h"
#include "storage/rollup_batch.h"
#include "storage/stats.h"

#define RECORDS 4000
#define END_US 1795219200000000 /* 2026-11-21 */
#define STEP_US 1500000
#define NAMES_MAX 400

struct name {
	char text[80];
	size_t size;
	uint64_t requests, tokens;
	int64_t cost_micros;
};

struct count {
	enum rollup_dimension filter, by;
	struct bytes value;
	int64_t from_us, until_us;
	struct name names[NAMES_MAX], total;
	size_t name_count;
};

static bool is_equal(struct bytes a, const struct name *b)
{
	return a.size == b->size && (!a.size || memcmp(a.data, b->text, a.size) == 0);
}

static void add_to(struct name *name, const struct record *record)
{
	const struct record_usage *usage = &record->usage;

	name->requests++;
	name->cost_micros += record->cost_micros;
	name->tokens += usage->in_fresh + usage->cache_read + usage->cache_write_5m +
		usage->cache_write_1h + usage->in_audio + usage->out_total;
}

static int count_row(struct txn *txn, struct bytes key, struct bytes row, void *arg)
{
	struct record_attempt room[RECORD_ATTEMPTS_MAX];
	struct name wanted = { .size = 0 };
	struct count *count = arg;
	struct record record;
	struct bytes value;
	uint64_t time_us;
	size_t at = 0;

	(void)txn;
	assert_int_equal(key_take_u64(&key, &time_us), 0);
	assert_int_equal(record_decode(&record, row, room), 0);
	wanted.size = count->value.size;
	if (wanted.size)
		memcpy(wanted.text, count->value.data, wanted.size);
	if ((int64_t)time_us < count->from_us || (int64_t)time_us >= count->until_us ||
		!is_equal(rollup_dimension_value(&record, count->filter), &wanted))
		return 0;
	value = rollup_dimension_value(&record, count->by);
	while (at < count->name_count && !is_equal(value, &count->names[at]))
		at++;
	if (at == count->name_count) {
		assert_true(at < NAMES_MAX && value.size < sizeof(wanted.text));
		count->names[at] = (struct name) { .size = value.size };
		if (value.size)
			memcpy(count->names[at].text, value.data, value.size);
		count->name_count++;
	}
	add_to(&count->names[at], &record);
	add_to(&count->total, &record);
	return 0;
}

static int count_all(struct txn *txn, void *arg, struct err *err)
{
	(void)err;
	return each_row(txn, &records_table, count_row, arg);
}

struct question {
	struct stats_query query;
	enum rollup_dimension by;
	uint32_t top;
	struct buf out;
};

static int ask(struct txn *txn, void *arg, struct err *err)
{
	struct question *question = arg;

	buf_reset(&question->out);
	return stats_breakdown(txn, &question->query, question->by, STATS_BY_COST,
		question->top, &question->out, err);
}

/* The number behind the first of that name from at on. */
static int64_t number_at(const char *at, const char *name)
{
	char wanted[40];
	const char *found;

	snprintf(wanted, sizeof(wanted), "\"%s\":", name);
	found = strstr(at, wanted);
	assert_non_null(found);
	return strtoll(found + strlen(wanted), NULL, 10);
}

static void assert_is(const char *at, const struct name *name)
{
	assert_int_equal(number_at(at, "requests"), name->requests);
	assert_int_equal(number_at(at, "cost_micros"), name->cost_micros);
	assert_int_equal(number_at(at, "total"), name->tokens);
}

static void check(enum rollup_dimension filter, const char *value,
	enum rollup_dimension by, int64_t from_s, int64_t until_s)
{
	static struct count count;
	struct question question = { .by = by, .top = STATS_TOP_MAX };
	const char *text;

	count = (struct count) { .filter = filter,
		.by = by,
		.value = { value, strlen(value) },
		.from_us = from_s * 1000000,
		.until_us = until_s * 1000000 };
	question.query = (struct stats_query) { .now_s = END_US / 1000000,
		.from_s = from_s,
		.until_s = until_s,
		.filter = filter,
		.value = count.value };
	assert_int_equal(store_read(store, count_all, &count, NULL), 0);
	assert_int_equal(store_read(store, ask, &question, NULL), 0);
	buf_append(&question.out, "", 1);
	text = buf_data(&question.out);
	assert_int_equal(number_at(text, "from"), from_s);
	assert_is(strstr(text, "\"total\":{\"requests\"") + 8, &count.total);
	for (size_t i = 0; i < count.name_count; i++) {
		char wanted[120];

		snprintf(wanted, sizeof(wanted), "{\"value\":\"%.*s\",\"",
			(int)count.names[i].size, count.names[i].text);
		if (!strstr(text, wanted))
			fail_msg("no %s", wanted);
		assert_is(strstr(text, wanted), &count.names[i]);
	}
	buf_clear(&question.out);
}

/* -- stories ------------------------------------------------------------------------ */

static const char *values[ROLLUP_DIMENSIONS]; /* of some record that was answered */
static char texts[ROLLUP_DIMENSIONS][80];

static void of_one_value_by_every_other(void **state)
{
	int64_t end_s = END_US / 1000000 + 10,
		half_s = end_s - (int64_t)RECORDS * STEP_US / 2000000;

	(void)state;
	for (unsigned filter = 1; filter < ROLLUP_DIMENSIONS; filter++) {
		for (unsigned by = 1; by < ROLLUP_DIMENSIONS; by++) {
			if (by == filter)
				continue;
			check((enum rollup_dimension)filter, values[filter],
				(enum rollup_dimension)by, end_s - 86400, end_s);
			check((enum rollup_dimension)filter, values[filter],
				(enum rollup_dimension)by, half_s - 777, half_s + 778);
		}
	}
	check(ROLLUP_TOKEN, "nobody", ROLLUP_MODEL, end_s - 86400, end_s);
}

static void the_first_are_named_and_the_others_one_sum(void **state)
{
	struct question question = { .by = ROLLUP_MODEL,
		.top = 2,
		.query = { .now_s = END_US / 1000000,
			.from_s = END_US / 1000000 - 86400,
			.until_s = END_US / 1000000 + 10,
			.filter = ROLLUP_PROVIDER,
			.value = { values[ROLLUP_PROVIDER],
				strlen(values[ROLLUP_PROVIDER]) } } };
	const char *first, *second, *other, *total;
	struct err err;

	(void)state;
	assert_int_equal(store_read(store, ask, &question, NULL), 0);
	buf_append(&question.out, "", 1);
	first = strstr(buf_data(&question.out), "{\"value\":");
	second = strstr(first + 1, "{\"value\":");
	other = strstr(second, "\"other\":{");
	total = strstr(other, "\"total\":{\"requests\"");
	assert_null(strstr(second + 1, "{\"value\":"));
	assert_true(number_at(first, "cost_micros") >= number_at(second, "cost_micros"));
	assert_int_equal(number_at(first, "requests") + number_at(second, "requests") +
			number_at(other, "requests"),
		number_at(total, "requests"));
	question.query.until_s = question.query.from_s;
	assert_int_equal(store_read(store, ask, &question, &err), -EINVAL);
	buf_clear(&question.out);
}

static int put_many(struct txn *txn, void *arg, struct err *err)
{
	struct record_source source = { .seed = 5, .end_us = END_US, .step_us = 10 };

	(void)arg;
	(void)err;
	for (uint64_t i = 0; i <= STATS_RECORDS_MAX; i++) {
		struct record record = source_next(&source);
		unsigned char *packed = xmalloc(record_size_max(&record));
		struct key key = { 0 };

		key_u64(&key, END_US + 1000000000 + i);
		assert_int_equal(table_put(txn, &records_table, key_bytes(&key),
					 (struct bytes) { packed,
						 record_encode(&record, packed) }),
			0);
		free(packed);
	}
	return 0;
}

static void more_records_than_are_looked_at(void **state)
{
	int64_t from_s = END_US / 1000000 + 900;
	struct question question = { .by = ROLLUP_MODEL,
		.top = 5,
		.query = { .now_s = from_s,
			.from_s = from_s,
			.until_s = from_s + 86400,
			.filter = ROLLUP_ENDPOINT,
			.value = { "chat", 4 } } };
	struct err err;

	(void)state;
	assert_int_equal(store_write(store, put_many, NULL, NULL), 0);
	assert_int_equal(store_read(store, ask, &question, &err), -E2BIG);
	assert_non_null(strstr(err.text, "of one endpoint by model"));
	assert_non_null(strstr(err.text, "more than 50000 records"));
	question.query.until_s = from_s + 100;
	assert_int_equal(store_read(store, ask, &question, NULL), 0);
	buf_clear(&question.out);
}

/* -- life --------------------------------------------------------------------------- */

static int setup(void **state)
{
	struct record_source source = { .seed = 41,
		.end_us = END_US - (int64_t)RECORDS * STEP_US,
		.step_us = STEP_US };
	struct journal_options options = { .worker_count = 1 };
	struct journal *journal;

	world_set_up(state);
	assert_int_equal(journal_start(&journal, store, &options, NULL), 0);
	for (int i = 0; i < RECORDS; i++) {
		struct record record = source_next(&source);

		for (unsigned d = 1; d < ROLLUP_DIMENSIONS && record.has_cost; d++) {
			struct bytes value = rollup_dimension_value(&record,
				(enum rollup_dimension)d);

			if (values[d] || !value.size || value.size >= sizeof(texts[d]))
				continue;
			memcpy(texts[d], value.data, value.size);
			values[d] = texts[d];
		}
		assert_true(journal_push(journal, 0, &record, NULL));
		if (i % 500 == 499)
			journal_flush(journal);
	}
	journal_close(journal);
	for (unsigned d = 1; d < ROLLUP_DIMENSIONS; d++)
		assert_non_null(values[d]);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(of_one_value_by_every_other),
		cmocka_unit_test(the_first_are_named_and_the_others_one_sum),
		cmocka_unit_test(more_records_than_are_looked_at),
	};

	return cmocka_run_group_tests(tests, setup, world_tear_down);
}
