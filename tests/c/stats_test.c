/* What statistics say: their JSON, series in any zone, breakdowns, and what is refused. */
#include "rollup_world.h"
#include "journal_world.h"

#include <time.h>

#include "base/mem.h"
#include "storage/stats_time.h"

#define DAY_S ROLLUP_DAY_S
#define HOUR_S ROLLUP_HOUR_S

/* -- asking ----------------------------------------------------------------------- */

struct question {
	struct stats_query query;
	const int64_t *edges_s;
	size_t edge_count;
	enum rollup_dimension by;
	enum stats_order order;
	uint32_t top;
	struct buf out;
	struct err err;
};

static int series(struct txn *txn, void *arg, struct err *err)
{
	struct question *question = arg;

	(void)err;
	buf_reset(&question->out);
	return stats_series(txn, &question->query, question->edges_s,
		question->edge_count, &question->out, &question->err);
}

static int breakdown(struct txn *txn, void *arg, struct err *err)
{
	struct question *question = arg;

	(void)err;
	buf_reset(&question->out);
	return stats_breakdown(txn, &question->query, question->by, question->order,
		question->top, &question->out, &question->err);
}

static const char *text_of(struct buf *out)
{
	buf_append(out, "", 1);
	out->end--;
	return buf_data(out);
}

static int ask(struct question *question, store_fn *fn)
{
	int rc = store_read(store, fn, question, NULL);

	text_of(&question->out);
	return rc;
}

/* Adds up all numbers that stand behind "name": in the text. */
static int64_t total_of(const char *text, const char *name, const char *until)
{
	char member[64];
	int64_t total = 0;

	snprintf(member, sizeof(member), "\"%s\":", name);
	for (text = strstr(text, member); text && (!until || text < until);
		text = strstr(text + 1, member))
		total += strtoll(text + strlen(member), NULL, 10);
	return total;
}

static struct plain plainly(const struct stats_query *query)
{
	struct plain plain = { .from_s = query->from_s,
		.until_s = query->until_s,
		.by = query->filter,
		.value = query->value };

	assert_int_equal(store_read(store, plain_read, &plain, NULL), 0);
	return plain;
}

/* -- the words -------------------------------------------------------------------- */

static int write_one(struct txn *txn, void *arg, struct err *err)
{
	struct rollup_batch *batch = arg;

	(void)err;
	return rollup_write(txn, batch);
}

static void one_record_reads_so(void **state)
{
	struct record_attempt attempts[] = {
		{ .provider = ALL_OF("a"), .failure = ALL_OF("timeout") },
		{ .provider = ALL_OF("a"), .status = 503 },
		{ .provider = ALL_OF("b"), .status = 200 },
	};
	struct record record = {
		.provider = ALL_OF("b"),
		.attempts = attempts,
		.attempt_count = 3,
		.status = 200,
		.is_stream = true,
		.ms = 20,
		.first_byte_ms = RECORD_NO_MS,
		.first_event_ms = 7,
		.usage = { .is_known = true,
			.in_fresh = 10,
			.cache_read = 20,
			.cache_write_5m = 30,
			.cache_write_1h = 40,
			.in_audio = 50,
			.out_total = 60,
			.reasoning = 6,
			.requests = 1,
			.audio_ms = 70,
			.images = 2 },
		.has_cost = true,
		.cost_micros = -12345678901,
		.bytes_in = 1000,
		.bytes_out = 2000,
	};
	struct rollup_batch *batch = rollup_batch_new();
	struct asking asking = { .query = { .now_s = WORLD_START_S + 100,
					 .from_s = WORLD_START_S,
					 .until_s = WORLD_START_S + 60 } };

	(void)state;
	rollup_add(batch, &record, (int64_t)WORLD_START_S * 1000000);
	assert_int_equal(store_write(store, write_one, batch, NULL), 0);
	assert_int_equal(store_read(store, ask_overview, &asking, NULL), 0);
	assert_string_equal(text_of(&asking.out),
		"{\"from\":1763596800,\"until\":1763596860,\"requests\":1,\"ok\":1,"
		"\"failed\":0,\"aborted\":0,\"truncated\":0,\"tests\":0,\"streams\":1,"
		"\"attempts\":3,\"attempts_failed\":2,\"retries\":2,\"retried\":1,"
		"\"priced\":1,\"bytes_in\":1000,\"bytes_out\":2000,"
		"\"status\":{\"none\":0,\"1xx\":0,\"2xx\":1,\"3xx\":0,\"4xx\":0,"
		"\"5xx\":0},"
		"\"usage\":{\"known\":1,\"estimated\":0,\"in_fresh\":10,\"cache_read\":20,"
		"\"cache_write_5m\":30,\"cache_write_1h\":40,\"in_audio\":50,"
		"\"out_total\":60,\"reasoning\":6,\"requests\":1,\"audio_ms\":70,"
		"\"images\":2,\"total\":210},\"cost_micros\":-12345678901,"
		"\"ms\":{\"p50\":20,\"p95\":20,\"p99\":20,\"average\":20},"
		"\"first_event_ms\":{\"p50\":7,\"p95\":7,\"p99\":7,\"average\":7},"
		"\"success_rate\":1,\"requests_per_s\":0.016667,\"tokens_per_s\":3.5}");
	/* The attempts that failed are the other provider's. */
	asking.query.filter = ROLLUP_PROVIDER;
	asking.query.value = ALL_OF("a");
	assert_int_equal(store_read(store, ask_overview, &asking, NULL), 0);
	assert_non_null(strstr(text_of(&asking.out), "\"requests\":0,"));
	assert_non_null(strstr(buf_data(&asking.out), "\"attempts_failed\":2,"));
	buf_clear(&asking.out);
	rollup_batch_free(batch);
}

static void nothing_is_zeros_and_nulls(void **state)
{
	struct asking asking = {
		.query = { .now_s = WORLD_START_S, .from_s = 0, .until_s = INT64_MAX }
	};

	(void)state;
	assert_int_equal(store_read(store, ask_overview, &asking, NULL), 0);
	assert_non_null(strstr(text_of(&asking.out), "\"requests\":0,"));
	assert_non_null(strstr(buf_data(&asking.out), "\"success_rate\":null,"));
	assert_non_null(strstr(buf_data(&asking.out), "\"ms\":{\"average\":null,"));
	buf_clear(&asking.out);
}

/* -- edges ------------------------------------------------------------------------ */

static void check_edges(enum stats_step step, int32_t offset_s, int64_t from_s,
	int64_t until_s, const int64_t *wanted, size_t wanted_count)
{
	int64_t edges[64];
	size_t count;

	assert_int_equal(stats_edges(step, offset_s, from_s, until_s, edges,
				 COUNT_OF(edges), &count, NULL),
		0);
	assert_int_equal(count, wanted_count);
	for (size_t i = 0; i < count; i++)
		assert_int_equal(edges[i], wanted[i]);
}

static void edges_are_where_days_and_months_begin(void **state)
{
	static const int64_t hours[] = { 1000, 3600, 7200, 8000 };
	/* In India, five and a half hours east. */
	static const int64_t days[] = { 1763596800, 1763663400, 1763749800, 1763769600 };
	/* 2023-12-31 23:00 in New York's winter to 2024-03-31 there. */
	static const int64_t months[] = { 1704081600, 1704085200, 1706763600, 1709269200,
		1711861200 };
	int64_t edges[4];
	size_t count;

	(void)state;
	check_edges(STATS_HOUR, 0, 1000, 8000, hours, COUNT_OF(hours));
	check_edges(STATS_DAY, 19800, 1763596800, 1763769600, days, COUNT_OF(days));
	check_edges(STATS_MONTH, -18000, 1704081600, 1711861200, months,
		COUNT_OF(months));
	assert_int_equal(stats_edges(STATS_HOUR, 0, 0, 3 * 3600, edges, 4, &count, NULL),
		0);
	assert_int_equal(stats_edges(STATS_HOUR, 0, 0, 3 * 3600 + 1, edges, 4, &count,
				 NULL),
		-E2BIG);
	assert_int_equal(stats_edges(STATS_HOUR, 0, 5, 5, edges, 4, &count, NULL),
		-EINVAL);
	assert_int_equal(stats_edges(STATS_HOUR, 0, -5, 5, edges, 4, &count, NULL),
		-EINVAL);
	assert_int_equal(stats_edges(STATS_DAY, 2 * DAY_S, 0, 5, edges, 4, &count, NULL),
		-EINVAL);
}

/* Every month of eight hundred years, against the C library. */
static void months_are_the_calendar_s(void **state)
{
	static int64_t edges[10000];
	size_t count;

	(void)state;
	assert_int_equal(stats_edges(STATS_MONTH, 0, 0, 25245561600, edges,
				 COUNT_OF(edges), &count, NULL),
		0);
	assert_int_equal(count, 800 * 12 + 1);
	for (size_t i = 0; i < count; i++) {
		time_t time = (time_t)edges[i];
		struct tm day;

		assert_non_null(gmtime_r(&time, &day));
		assert_int_equal(day.tm_mday, 1);
		assert_int_equal(day.tm_hour + day.tm_min + day.tm_sec, 0);
		assert_int_equal(day.tm_mon, i % 12);
	}
}

/* -- series ----------------------------------------------------------------------- */

static void check_series(enum stats_step step, int32_t offset_s, int64_t from_s,
	int64_t until_s, int64_t now_s)
{
	static int64_t edges[STATS_SPANS_MAX + 1];
	struct question question = { .query = { .now_s = now_s }, .edges_s = edges };
	struct plain plain;

	assert_int_equal(stats_edges(step, offset_s, from_s, until_s, edges,
				 COUNT_OF(edges), &question.edge_count, NULL),
		0);
	assert_int_equal(ask(&question, series), 0);
	question.query.from_s = from_s;
	question.query.until_s = until_s;
	plain = plainly(&question.query);
	assert_int_equal(total_of(buf_data(&question.out), "cost_micros", NULL),
		plain.sums.cost_micros);
	assert_int_equal(total_of(buf_data(&question.out), "total", NULL),
		rollup_tokens(&plain.sums));
	assert_int_equal(total_of(buf_data(&question.out), "ok", NULL),
		plain.sums.counts[ROLLUP_OUTCOMES]);
	/* Each span by itself. */
	for (size_t i = 0; i + 1 < question.edge_count && i < 8; i++) {
		question.query.from_s = edges[i];
		question.query.until_s = edges[i + 1];
		assert_ties_out(store, &question.query);
	}
	buf_clear(&question.out);
}

static void series_add_up_in_every_zone(void **state)
{
	int64_t end_s, day_s;

	(void)state;
	write_world(store, 2500, 240000000, 600);
	end_s = last_second(store);
	day_s = rollup_floor(end_s, DAY_S);
	check_series(STATS_MONTH, 0, WORLD_START_S, day_s + DAY_S, end_s);
	for (int32_t offset_s = -12 * HOUR_S; offset_s <= 14 * HOUR_S; offset_s += HOUR_S)
		check_series(STATS_DAY, offset_s, WORLD_START_S, day_s + DAY_S, end_s);
	/* Today in Nepal, hour by hour; minutes are still there. */
	check_series(STATS_HOUR, 20700, day_s - 20700, day_s - 20700 + DAY_S, end_s);
	check_series(STATS_MINUTE, 0, day_s, day_s + HOUR_S, end_s);
}

/* The clocks of Berlin go back: that day has 25 hours. */
static void days_may_have_any_length(void **state)
{
	static const int64_t edges[] = { 1763596800 - 7200, 1763596800 + 90000 - 7200,
		1763596800 + 90000 + 86400 - 7200 };
	struct question question = { .edges_s = edges, .edge_count = 3 };

	(void)state;
	write_world(store, 600, 300000000, 600);
	question.query.now_s = last_second(store);
	assert_int_equal(ask(&question, series), 0);
	for (size_t i = 0; i < 2; i++) {
		question.query.from_s = edges[i];
		question.query.until_s = edges[i + 1];
		assert_ties_out(store, &question.query);
	}
	buf_clear(&question.out);
}

/* What is old is known by the hour, then by the day: edges move, nothing is lost. */
static void old_edges_move_to_what_is_kept(void **state)
{
	static int64_t edges[64];
	struct question question = { .edges_s = edges };
	struct plain plain;
	int64_t now_s;

	(void)state;
	write_world(store, 2000, 300000000, 600);
	now_s = last_second(store) + 10 * DAY_S;
	question.query = (struct stats_query) { .now_s = now_s,
		.from_s = WORLD_START_S,
		.until_s = WORLD_START_S + 30 * DAY_S };
	plain = plainly(&question.query);
	assert_int_equal(stats_edges(STATS_DAY, 19800, WORLD_START_S,
				 WORLD_START_S + 30 * DAY_S, edges, COUNT_OF(edges),
				 &question.edge_count, NULL),
		0);
	assert_int_equal(ask(&question, series), 0);
	assert_int_equal(total_of(buf_data(&question.out), "total", NULL),
		rollup_tokens(&plain.sums));
	/* Half past six became seven. */
	assert_non_null(strstr(buf_data(&question.out),
		"{\"from\":1763596800,\"until\":1763665200,"));
	question.query.now_s += 200 * DAY_S;
	edges[1] = WORLD_START_S + 13 * HOUR_S;
	assert_int_equal(ask(&question, series), 0);
	assert_int_equal(total_of(buf_data(&question.out), "total", NULL),
		rollup_tokens(&plain.sums));
	assert_non_null(strstr(buf_data(&question.out),
		"{\"from\":1763596800,\"until\":1763683200,"));
	/* The last, of five and a half hours, went to the day before. */
	assert_int_equal(edges[question.edge_count - 2],
		WORLD_START_S + 30 * DAY_S - 19800);
	assert_non_null(strstr(buf_data(&question.out), ",\"until\":1766188800,"));
	assert_int_equal(buf_data(&question.out)[buf_size(&question.out) - 3], '}');
	edges[2] = edges[1] + HOUR_S;
	assert_int_equal(ask(&question, series), -ERANGE);
	assert_non_null(strstr(question.err.text, "kept"));
	buf_clear(&question.out);
}

/* -- breakdowns ------------------------------------------------------------------- */

/* The sums of each value, of the rest and in total are those of the records. */
static void check_breakdown(enum rollup_dimension by, enum stats_order order,
	uint32_t top, const char *number)
{
	struct question question = { .by = by, .order = order, .top = top };
	struct stats_query *query = &question.query;
	const char *values, *other, *total;
	int64_t before = INT64_MAX;
	struct plain plain;

	query->now_s = last_second(store);
	query->from_s = WORLD_START_S;
	query->until_s = rollup_floor(query->now_s, HOUR_S) + HOUR_S;
	plain = plainly(query);
	assert_int_equal(ask(&question, breakdown), 0);
	values = strstr(buf_data(&question.out), "\"values\":[");
	other = strstr(values, "\"other\":");
	total = strstr(other, "\"total\":{\"requests\"");
	assert_non_null(total);
	assert_int_equal(total_of(values, "cost_micros", total), plain.sums.cost_micros);
	assert_int_equal(total_of(values, "attempts", total),
		plain.sums.counts[ROLLUP_ATTEMPTS]);
	assert_int_equal(total_of(total, "cost_micros", NULL), plain.sums.cost_micros);
	assert_int_equal(total_of(total, "p95", NULL) > 0, true);
	for (const char *at = strstr(values, "{\"value\":\""); at && at < other;
		at = strstr(at + 1, "{\"value\":\"")) {
		const char *name = at + strlen("{\"value\":\"");
		int64_t rank = strtoll(strstr(strstr(at, number), ":") + 1, NULL, 10);

		query->filter = by;
		query->value = (struct bytes) { name,
			(size_t)(strchr(name, '"') - name) };
		plain = plainly(query);
		assert_int_equal(total_of(at, "out_total", strstr(at, ",\"images\"")),
			plain.sums.counts[ROLLUP_OUT_TOTAL]);
		assert_true(rank <= before);
		before = rank;
		top--;
	}
	assert_true(top == 0 || strncmp(other, "\"other\":null", 12) == 0);
	buf_clear(&question.out);
}

static void breakdowns_add_up(void **state)
{
	(void)state;
	write_world(store, 3000, 100000000, 600);
	check_breakdown(ROLLUP_MODEL, STATS_BY_TOKENS, 10, "\"total\"");
	check_breakdown(ROLLUP_PROVIDER, STATS_BY_REQUESTS, 2, "\"requests\"");
	check_breakdown(ROLLUP_TOKEN, STATS_BY_COST, 5, "\"cost_micros\"");
	check_breakdown(ROLLUP_KEY, STATS_BY_COST, 0, "\"cost_micros\"");
	check_breakdown(ROLLUP_GROUP, STATS_BY_REQUESTS, 100, "\"requests\"");
	check_breakdown(ROLLUP_ENDPOINT, STATS_BY_REQUESTS, 100, "\"requests\"");
}

static void a_breakdown_of_one_value_is_that_value(void **state)
{
	struct question question = { .by = ROLLUP_MODEL,
		.top = 5,
		.query = { .from_s = WORLD_START_S,
			.until_s = WORLD_START_S + DAY_S,
			.filter = ROLLUP_MODEL,
			.value = ALL_OF("model-1") } };

	(void)state;
	write_world(store, 600, 100000000, 600);
	question.query.now_s = last_second(store);
	assert_int_equal(ask(&question, breakdown), 0);
	assert_non_null(strstr(buf_data(&question.out), "\"count\":1,"));
	assert_non_null(strstr(buf_data(&question.out), "{\"value\":\"model-1\","));
	buf_clear(&question.out);
}

/* Names are anybody's: quotes, zeros, and of any length. */
static void names_come_back_as_they_are(void **state)
{
	static char longest[300];
	struct rollup_batch *batch = rollup_batch_new();
	struct record record = { .first_event_ms = RECORD_NO_MS };
	struct question question = { .by = ROLLUP_TOKEN,
		.top = 5,
		.query = { .now_s = WORLD_START_S,
			.from_s = WORLD_START_S,
			.until_s = WORLD_START_S + DAY_S } };

	(void)state;
	memset(longest, 'x', sizeof(longest));
	record.token = (struct bytes) { "a\"\0b", 4 };
	rollup_add(batch, &record, (int64_t)WORLD_START_S * 1000000);
	record.token = (struct bytes) { longest, sizeof(longest) };
	rollup_add(batch, &record, (int64_t)WORLD_START_S * 1000000);
	assert_int_equal(store_write(store, write_one, batch, NULL), 0);
	assert_int_equal(ask(&question, breakdown), 0);
	assert_non_null(strstr(buf_data(&question.out),
		"{\"value\":\"a\\\"\\u0000b\",\"requests\":1,"));
	question.query.filter = ROLLUP_TOKEN;
	question.query.value = record.token;
	assert_int_equal(ask(&question, breakdown), 0);
	assert_non_null(strstr(buf_data(&question.out), "\"count\":1,"));
	buf_clear(&question.out);
	rollup_batch_free(batch);
}

/* -- what is refused -------------------------------------------------------------- */

static int count_rows(struct txn *txn, void *arg, struct err *err)
{
	struct rollup_batch *batch = rollup_batch_new();
	struct record record = { .first_event_ms = RECORD_NO_MS };
	int64_t time_s = *(int64_t *)arg;
	char name[32];
	int rc = 0;

	(void)err;
	for (int i = 0; i < 2000; i++) {
		record.token = (struct bytes) { name,
			(size_t)snprintf(name, sizeof(name), "t%d", i) };
		rollup_add(batch, &record, time_s * 1000000);
	}
	rc = rollup_write(txn, batch);
	rollup_batch_free(batch);
	return rc;
}

static void work_is_bounded(void **state)
{
	static int64_t edges[STATS_SPANS_MAX + 2];
	struct question question = { .by = ROLLUP_TOKEN,
		.top = 3,
		.edges_s = edges,
		.query = { .from_s = 0, .until_s = INT64_MAX } };
	int64_t time_s = WORLD_START_S;

	(void)state;
	for (int i = 0; i < 260; i++, time_s += DAY_S)
		assert_int_equal(store_write(store, count_rows, &time_s, NULL), 0);
	question.query.now_s = time_s;
	assert_int_equal(ask(&question, breakdown), -E2BIG);
	assert_non_null(strstr(question.err.text, "shorter time"));
	question.query.from_s = time_s - 90 * DAY_S;
	assert_int_equal(ask(&question, breakdown), 0);
	assert_non_null(strstr(buf_data(&question.out), "\"count\":2000,"));
	question.top = STATS_TOP_MAX + 1;
	assert_int_equal(ask(&question, breakdown), -E2BIG);
	question.edge_count = COUNT_OF(edges);
	assert_int_equal(ask(&question, series), -E2BIG);
	question.edge_count = 1;
	assert_int_equal(ask(&question, series), -EINVAL);
	question.edge_count = 2;
	assert_int_equal(ask(&question, series), -EINVAL);
	buf_clear(&question.out);
}

#define WITH_WORLD(test) \
	cmocka_unit_test_setup_teardown(test, world_set_up, world_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_WORLD(one_record_reads_so),
		WITH_WORLD(nothing_is_zeros_and_nulls),
		cmocka_unit_test(edges_are_where_days_and_months_begin),
		cmocka_unit_test(months_are_the_calendar_s),
		WITH_WORLD(series_add_up_in_every_zone),
		WITH_WORLD(days_may_have_any_length),
		WITH_WORLD(old_edges_move_to_what_is_kept),
		WITH_WORLD(breakdowns_add_up),
		WITH_WORLD(a_breakdown_of_one_value_is_that_value),
		WITH_WORLD(names_come_back_as_they_are),
		WITH_WORLD(work_is_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
