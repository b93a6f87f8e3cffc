/* Pages of records against a plain look at all of them: every filter, both directions,
 * page by page; one record with all that belongs to it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>

#include "journal_check.h"
#include "storage/journal_query.h"
#include "storage/record_id.h"

#define RECORDS 6000
#define STEP_US 700000
#define FIRST_US 1795219200000000 /* 2026-11-21 */

/* What a record has, by value. */
struct known {
	int64_t key;
	char request_id[64], token[64], group[64], conversation[64], error[128];
	char providers[4][64], models[5][64], keys[4][64];
	size_t attempt_count;
	int status;
	enum record_outcome outcome;
	bool is_stream, is_test;
	int64_t cost_micros;
	uint32_t ms;
	unsigned char id[16];
};

static char place[128];
static struct store *store;
static struct known known[RECORDS];

static void copy(char *out, struct bytes text)
{
	snprintf(out, 64, "%.*s", (int)text.size, (const char *)text.data);
}

static void note(struct known *one, const struct record *record, int64_t key)
{
	*one = (struct known) { .key = key,
		.attempt_count = record->attempt_count,
		.status = record->status,
		.outcome = record->outcome,
		.is_stream = record->is_stream,
		.is_test = record->is_test,
		.cost_micros = record->cost_micros,
		.ms = record->ms };
	memcpy(one->id, record->id, sizeof(one->id));
	copy(one->request_id, record->request_id);
	copy(one->token, record->token);
	copy(one->group, record->group);
	copy(one->conversation, record->conversation);
	snprintf(one->error, sizeof(one->error), "%.*s", (int)record->error.size,
		record->error.size ? (const char *)record->error.data : "");
	for (size_t i = 0; i < record->attempt_count; i++) {
		copy(one->providers[i], record->attempts[i].provider);
		copy(one->models[i], record->attempts[i].model);
		copy(one->keys[i], record->attempts[i].key);
	}
	copy(one->models[record->attempt_count], record->model);
}

static void fill(void)
{
	struct record_source source = { .seed = 11,
		.end_us = FIRST_US,
		.step_us = STEP_US };
	struct journal_options options = { .worker_count = 1 };
	struct journal *journal;
	int64_t key = 0;

	assert_int_equal(journal_start(&journal, store, &options, NULL), 0);
	for (int i = 0; i < RECORDS; i++) {
		struct record record = source_next(&source);
		struct body *bodies = NULL;

		key = record_end_us(&record) > key ? record_end_us(&record) : key + 1;
		note(&known[i], &record, key);
		if (i == 77) {
			bodies = body_new(BODY_REQUEST, "{\"a\":1}", 7, 7);
			bodies->next = body_new(BODY_RESPONSE, known, 101024, 200000);
			record.raw_usage = (struct bytes) { "{\"total\": 9}", 12 };
			record.trace = (struct bytes) { "not JSON", 8 };
		}
		assert_true(journal_push(journal, 0, &record, bodies));
		if (i % 1000 == 999)
			journal_flush(journal);
	}
	journal_close(journal);
}

/* -- the plain look --------------------------------------------------------------- */

static bool is_one(struct bytes wanted, const char texts[][64], size_t count)
{
	for (size_t i = 0; i < count && wanted.size; i++)
		if (strlen(texts[i]) == wanted.size &&
			memcmp(texts[i], wanted.data, wanted.size) == 0)
			return true;
	return !wanted.size;
}

static bool has_part(const struct known *one, struct bytes text)
{
	char wanted[64];
	bool is_in = !text.size;

	copy(wanted, text);
	for (size_t i = 0; i < one->attempt_count + 1; i++)
		is_in = is_in || strcasestr(one->models[i], wanted);
	return is_in || strcasestr(one->conversation, wanted) ||
		strcasestr(one->request_id, wanted) || strcasestr(one->error, wanted);
}

static bool is_wish(enum journal_wish wish, bool is)
{
	return wish == JOURNAL_EITHER || is == (wish == JOURNAL_YES);
}

static bool passes(const struct journal_filter *filter, const struct known *one)
{
	return one->key >= filter->from_us &&
		(!filter->until_us || one->key < filter->until_us) &&
		is_one(filter->token, &one->token, 1) &&
		is_one(filter->group, &one->group, 1) &&
		is_one(filter->conversation, &one->conversation, 1) &&
		is_one(filter->provider, one->providers, one->attempt_count) &&
		is_one(filter->model, one->models, one->attempt_count + 1) &&
		is_one(filter->key, one->keys, one->attempt_count) &&
		(!filter->status || one->status == filter->status) &&
		(!filter->status_class || one->status / 100 == filter->status_class) &&
		(!filter->has_outcome || one->outcome == filter->outcome) &&
		is_wish(filter->stream, one->is_stream) &&
		is_wish(filter->test, one->is_test) &&
		one->cost_micros >= filter->min_cost_micros &&
		one->ms >= filter->min_ms && has_part(one, filter->text);
}

/* -- pages ------------------------------------------------------------------------ */

/* Takes the next request id out of the text. */
static bool next_id(const char **at, char id[64])
{
	static const char name[] = "\"request_id\":\"";
	const char *found = strstr(*at, name);

	if (!found)
		return false;
	*at = found + sizeof(name) - 1;
	snprintf(id, 64, "%.*s", (int)strcspn(*at, "\""), *at);
	return true;
}

/* Compares a page with what comes next of the wanted; returns where that is then. */
static int assert_page(const struct journal_page *page, int at, int step)
{
	const char *text = buf_data(page->out);
	uint32_t count = 0;
	char id[64];

	for (; next_id(&text, id); count++) {
		while (at >= 0 && at < RECORDS && !passes(&page->filter, &known[at]))
			at += step;
		assert_in_range(at, 0, RECORDS - 1);
		assert_string_equal(id, known[at].request_id);
		at += step;
	}
	assert_int_equal(count, page->count);
	assert_in_range(count, 0, page->limit);
	return at;
}

static int read_page(struct journal_page *page)
{
	int rc = store_read(store, journal_page, page, NULL);

	buf_append(page->out, "", 1);
	return rc;
}

/* Returns how many there are. */
static int assert_filter(const struct journal_filter *filter, uint32_t limit, bool is_up)
{
	struct buf out = { 0 };
	struct journal_page page = { .filter = *filter,
		.limit = limit,
		.is_oldest_first = is_up,
		.search_ms = 1, /* many pages come short */
		.out = &out };
	char cursor[JOURNAL_CURSOR_SIZE] = "";
	int at = is_up ? 0 : RECORDS - 1, step = is_up ? 1 : -1, found = 0;

	do {
		page.cursor = bytes_of(cursor);
		assert_int_equal(read_page(&page), 0);
		assert_int_equal(buf_data(&out)[0], '[');
		assert_int_equal(buf_data(&out)[buf_size(&out) - 2], ']');
		at = assert_page(&page, at, step);
		found += (int)page.count;
		snprintf(cursor, sizeof(cursor), "%s", page.next);
	} while (cursor[0]);
	for (; at >= 0 && at < RECORDS; at += step)
		assert_false(passes(filter, &known[at]));
	buf_clear(&out);
	return found;
}

#define TEXT(text) ((struct bytes) { text, sizeof(text) - 1 })

static void every_filter_finds_what_a_plain_look_finds(void **state)
{
	const struct journal_filter filters[] = {
		{ 0 },
		{ .from_us = known[1000].key, .until_us = known[1500].key },
		{ .until_us = known[10].key },
		{ .token = TEXT("team-7") },
		{ .group = TEXT("group-3"), .token = TEXT("team-1") },
		{ .provider = TEXT("provider-0") },
		{ .provider = TEXT("provider-5"),
			.has_outcome = true,
			.outcome = RECORD_FAILED },
		{ .model = TEXT("vendor-model-20251001-3") },
		{ .model = TEXT("group-3") },
		{ .key = TEXT("key-2"), .stream = JOURNAL_YES },
		{ .conversation = TEXT("conversation-411") },
		{ .status = 429 },
		{ .status_class = 5 },
		{ .status_class = 2, .min_ms = 7000 },
		{ .has_outcome = true, .outcome = RECORD_OK, .stream = JOURNAL_NO },
		{ .has_outcome = true, .outcome = RECORD_ABORTED },
		{ .test = JOURNAL_YES },
		{ .min_cost_micros = 60000 },
		{ .text = TEXT("OVERLOADED_e") },
		{ .text = TEXT("Conversation-80"), .provider = TEXT("provider-1") },
		{ .text = TEXT("req_1") },
		{ .token = TEXT("team-1"),
			.group = TEXT("group-1"),
			.provider = TEXT("provider-1"),
			.from_us = known[200].key },
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(filters); i++) {
		int count = assert_filter(&filters[i], 97, false);

		assert_true(count > 0);
		assert_int_equal(assert_filter(&filters[i], 1000, true), count);
	}
	assert_filter(&filters[4], 1, false);
}

static void what_nobody_has_is_not_found(void **state)
{
	static char long_name[400];
	const struct journal_filter filters[] = {
		{ .token = TEXT("nobody") },
		{ .token = TEXT("team-1"), .key = TEXT("none") },
		{ .text = TEXT("xyzzy") },
		{ .from_us = INT64_MAX - 1 },
		{ .from_us = known[10].key, .until_us = known[10].key },
		{ .group = { long_name, sizeof(long_name) } },
	};

	(void)state;
	memset(long_name, 'g', sizeof(long_name));
	for (size_t i = 0; i < COUNT_OF(filters); i++) {
		assert_int_equal(assert_filter(&filters[i], 10, false), 0);
		assert_int_equal(assert_filter(&filters[i], 10, true), 0);
	}
}

static void a_page_of_another_query_is_refused(void **state)
{
	static const char *const cursors[] = { "x", "u0000000000000001",
		"d000000000000001", "d00000000000000zz", "d000000000000001 1" };
	struct buf out = { 0 };
	struct journal_page page = { .limit = 10, .out = &out };
	struct err err;

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cursors); i++) {
		page.cursor = bytes_of(cursors[i]);
		assert_int_equal(store_read(store, journal_page, &page, &err), -EINVAL);
		assert_non_null(strstr(err.text, "cursor"));
	}
	buf_clear(&out);
}

static void an_export_has_a_line_for_each(void **state)
{
	struct buf out = { 0 };
	struct journal_page page = { .filter = { .status = 502 },
		.limit = 1000,
		.is_oldest_first = true,
		.is_lines = true,
		.is_detailed = true,
		.out = &out };
	uint32_t lines = 0;

	(void)state;
	assert_int_equal(read_page(&page), 0);
	assert_true(page.count > 20);
	for (const char *at = buf_data(&out); *at; at = strchr(at, '\n') + 1) {
		assert_memory_equal(at, "{\"id\":\"", 7);
		assert_non_null(
			strstr(at, "\"error\":{\"error\":{\"type\":\"overloaded"));
		lines++;
	}
	assert_int_equal(lines, page.count);
	buf_clear(&out);
}

/* -- one record ------------------------------------------------------------------- */

static void every_record_is_found_by_its_id(void **state)
{
	struct buf out = { 0 };
	struct journal_record wanted = { .out = &out };

	(void)state;
	for (int i = 0; i < RECORDS; i += 7) {
		char id[RECORD_ID_TEXT];
		struct bytes text = { id, sizeof(id) };
		char expected[64];

		record_id_write(known[i].id, id);
		assert_int_equal(record_id_read(text, wanted.id), 0);
		assert_int_equal(store_read(store, journal_record, &wanted, NULL), 0);
		buf_append(&out, "", 1);
		snprintf(expected, sizeof(expected), "{\"id\":\"%.36s\",", id);
		assert_memory_equal(buf_data(&out), expected, strlen(expected));
		assert_non_null(strstr(buf_data(&out), known[i].request_id));
	}
	wanted.id[15] ^= 1;
	assert_int_equal(store_read(store, journal_record, &wanted, NULL), -ENOENT);
	wanted.id[0] ^= 1;
	assert_int_equal(store_read(store, journal_record, &wanted, NULL), -ENOENT);
	buf_clear(&out);
}

static void a_record_comes_with_all_that_is_kept(void **state)
{
	struct buf out = { 0 };
	struct journal_record wanted = { .part = BODY_RESPONSE, .out = &out };

	(void)state;
	memcpy(wanted.id, known[77].id, sizeof(wanted.id));
	assert_int_equal(store_read(store, journal_record, &wanted, NULL), 0);
	buf_append(&out, "", 1);
	assert_non_null(strstr(buf_data(&out), ",\"raw_usage\":{\"total\": 9},"));
	assert_non_null(strstr(buf_data(&out), ",\"trace\":\"not JSON\","));
	assert_non_null(strstr(buf_data(&out),
		"\"bodies\":[{\"part\":\"request\",\"size\":7,\"whole_size\":7,"
		"\"cut\":false},"
		"{\"part\":\"response\",\"size\":100000,\"whole_size\":200000,"
		"\"cut\":true}]}"));
	assert_int_equal(store_read(store, journal_body, &wanted, NULL), 0);
	assert_int_equal(buf_size(&out), 100000);
	/* As it was when it was pushed. */
	assert_memory_equal(buf_data(&out), known, sizeof(known[0]) * 77);
	wanted.part = BODY_REQUEST;
	assert_int_equal(store_read(store, journal_body, &wanted, NULL), 0);
	assert_int_equal(buf_size(&out), 7);
	wanted.part = BODY_SENT;
	assert_int_equal(store_read(store, journal_body, &wanted, NULL), -ENOENT);
	buf_clear(&out);
}

static void ids_that_are_none_are_refused(void **state)
{
	static const char *const texts[] = { "", "0192f7a05c1e-7b3a-9d55-1f0e6a7b8c9d0",
		"0192f7a0-5c1e-7b3a-9d55-1f0e6a7b8c9",
		"0192f7a0-5c1e-7b3a-9d55-1f0e6a7b8cgg" };
	unsigned char id[16];

	(void)state;
	for (size_t i = 0; i < COUNT_OF(texts); i++)
		assert_int_equal(record_id_read(bytes_of(texts[i]), id), -EINVAL);
	assert_int_equal(record_id_read(bytes_of("0192F7A0-5c1e-7b3a-9d55-1f0e6a7b8c9D"),
				 id),
		0);
	assert_int_equal(id[15], 0x9d);
}

/* -- life ------------------------------------------------------------------------- */

static int setup(void **state)
{
	(void)state;
	place_make(place);
	assert_int_equal(store_open(&store, place, &journal_layout, NULL), 0);
	fill();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	store_close(store);
	place_remove(place);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_filter_finds_what_a_plain_look_finds),
		cmocka_unit_test(what_nobody_has_is_not_found),
		cmocka_unit_test(a_page_of_another_query_is_refused),
		cmocka_unit_test(an_export_has_a_line_for_each),
		cmocka_unit_test(every_record_is_found_by_its_id),
		cmocka_unit_test(a_record_comes_with_all_that_is_kept),
		cmocka_unit_test(ids_that_are_none_are_refused),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
