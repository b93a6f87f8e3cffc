#include "storage/stats_json.h"

#include <math.h>
#include <string.h>

#include "json/value.h"

static const struct {
	enum rollup_count count;
	const char *name;
} head_members[] = {
	{ ROLLUP_OUTCOMES + RECORD_OK, "ok" },
	{ ROLLUP_OUTCOMES + RECORD_FAILED, "failed" },
	{ ROLLUP_OUTCOMES + RECORD_ABORTED, "aborted" },
	{ ROLLUP_OUTCOMES + RECORD_TRUNCATED, "truncated" },
	{ ROLLUP_TESTS, "tests" },
	{ ROLLUP_STREAMS, "streams" },
	{ ROLLUP_ATTEMPTS, "attempts" },
	{ ROLLUP_ATTEMPTS_FAILED, "attempts_failed" },
	{ ROLLUP_RETRIES, "retries" },
	{ ROLLUP_RETRIED, "retried" },
	{ ROLLUP_PRICED, "priced" },
	{ ROLLUP_BYTES_IN, "bytes_in" },
	{ ROLLUP_BYTES_OUT, "bytes_out" },
}, usage_members[] = {
	{ ROLLUP_USAGE_KNOWN, "known" },
	{ ROLLUP_USAGE_ESTIMATED, "estimated" },
	{ ROLLUP_IN_FRESH, "in_fresh" },
	{ ROLLUP_CACHE_READ, "cache_read" },
	{ ROLLUP_CACHE_WRITE_5M, "cache_write_5m" },
	{ ROLLUP_CACHE_WRITE_1H, "cache_write_1h" },
	{ ROLLUP_IN_AUDIO, "in_audio" },
	{ ROLLUP_OUT_TOTAL, "out_total" },
	{ ROLLUP_REASONING, "reasoning" },
	{ ROLLUP_USAGE_REQUESTS, "requests" },
	{ ROLLUP_AUDIO_MS, "audio_ms" },
	{ ROLLUP_IMAGES, "images" },
}, status_members[] = {
	{ ROLLUP_STATUSES, "none" },
	{ ROLLUP_STATUSES + 1, "1xx" },
	{ ROLLUP_STATUSES + 2, "2xx" },
	{ ROLLUP_STATUSES + 3, "3xx" },
	{ ROLLUP_STATUSES + 4, "4xx" },
	{ ROLLUP_STATUSES + 5, "5xx" },
};

/* A series has a hundred thousand numbers, for which printf is slow. */
static void add_digits(struct buf *out, uint64_t number)
{
	char digits[20];
	size_t at = sizeof(digits);

	do {
		digits[--at] = (char)('0' + number % 10);
		number /= 10;
	} while (number);
	buf_append(out, digits + at, sizeof(digits) - at);
}

static void add_name(struct buf *out, const char *name)
{
	buf_append(out, "\"", 1);
	buf_append_text(out, name);
	buf_append(out, "\":", 2);
}

void stats_json_number(struct buf *out, const char *name, uint64_t number)
{
	add_name(out, name);
	add_digits(out, number);
	buf_append(out, ",", 1);
}

static void add_signed(struct buf *out, const char *name, int64_t number)
{
	add_name(out, name);
	if (number < 0)
		buf_append(out, "-", 1);
	add_digits(out, number < 0 ? -(uint64_t)number : (uint64_t)number);
	buf_append(out, ",", 1);
}

/* With six digits behind the point; b 0: null. */
static void add_ratio(struct buf *out, const char *name, double a, double b)
{
	add_name(out, name);
	value_write_number(out, b > 0 ? round(a / b * 1e6) / 1e6 : NAN);
}

static void add_times(struct buf *out, const char *name, const struct histogram *times,
	uint64_t sum_ms)
{
	static const struct {
		const char *name;
		double share;
	} quantiles[] = { { "p50", 0.5 }, { "p95", 0.95 }, { "p99", 0.99 } };
	uint64_t count = histogram_count(times);

	add_name(out, name);
	if (!count) {
		buf_append_text(out,
			"{\"average\":null,\"p50\":null,\"p95\":null,\"p99\":null},");
		return;
	}
	buf_append(out, "{", 1);
	for (size_t i = 0; i < COUNT_OF(quantiles); i++)
		stats_json_number(out, quantiles[i].name,
			histogram_quantile(times, quantiles[i].share));
	add_name(out, "average");
	value_write_number(out, round((double)sum_ms / (double)count * 10) / 10);
	buf_append_text(out, "},");
}

/* The comma behind an object's last member is where its end goes. */
static void end_object(struct buf *out, const char *end)
{
	buf_data(out)[buf_size(out) - 1] = '}';
	buf_append_text(out, end);
}

void stats_json_sums(struct buf *out, const struct rollup_sums *sums, int64_t seconds)
{
	const uint64_t *counts = sums->counts;
	uint64_t requests = rollup_requests(sums), tokens = rollup_tokens(sums);

	stats_json_number(out, "requests", requests);
	for (size_t i = 0; i < COUNT_OF(head_members); i++)
		stats_json_number(out, head_members[i].name,
			counts[head_members[i].count]);
	buf_append_text(out, "\"status\":{");
	for (size_t i = 0; i < COUNT_OF(status_members); i++)
		stats_json_number(out, status_members[i].name,
			counts[status_members[i].count]);
	end_object(out, ",\"usage\":{");
	for (size_t i = 0; i < COUNT_OF(usage_members); i++)
		stats_json_number(out, usage_members[i].name,
			counts[usage_members[i].count]);
	stats_json_number(out, "total", tokens);
	end_object(out, ",");
	add_signed(out, "cost_micros", sums->cost_micros);
	add_times(out, "ms", &sums->ms, counts[ROLLUP_MS]);
	add_times(out, "first_event_ms", &sums->first_event_ms,
		counts[ROLLUP_FIRST_EVENT_MS]);
	add_ratio(out, "success_rate", (double)counts[ROLLUP_OUTCOMES + RECORD_OK],
		(double)requests);
	buf_append(out, ",", 1);
	add_ratio(out, "requests_per_s", (double)requests, (double)seconds);
	buf_append(out, ",", 1);
	add_ratio(out, "tokens_per_s", (double)tokens, (double)seconds);
}
