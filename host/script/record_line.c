#include "script/record_line.h"

#include <stdint.h>
#include <string.h>
#include <time.h>

#include "json/value.h"
#include "script/record_read.h"
#include "storage/record_json.h"

/* One reservation for all of it: a line has dozens of names. */
static void add_name(struct buf *line, const char *name)
{
	size_t size = strlen(name);
	char *out = buf_reserve(line, size + 4);

	memcpy(out, ",\"", 2);
	memcpy(out + 2, name, size);
	memcpy(out + 2 + size, "\":", 2);
	buf_grow(line, size + 4);
}

static void add_text(struct buf *line, const char *name, struct bytes text)
{
	add_name(line, name);
	if (text.data)
		value_write_string(line, text.data, text.size);
	else
		buf_append(line, "null", 4);
}

static void add_text_if_any(struct buf *line, const char *name, struct bytes text)
{
	if (text.data)
		add_text(line, name, text);
}

static void add_number(struct buf *line, const char *name, double number)
{
	add_name(line, name);
	value_write_number(line, number);
}

static void add_count(struct buf *line, const char *name, uint64_t count)
{
	add_number(line, name, (double)count);
}

/* Millionths as units: for what is whole, nobody has to search for the shortest text. */
static void add_micros(struct buf *line, const char *name, uint64_t micros)
{
	char digits[] = ".000000";
	size_t size = sizeof(digits) - 1;
	uint64_t rest = micros % 1000000;

	add_count(line, name, micros / 1000000);
	for (size_t i = size; i > 1; rest /= 10)
		digits[--i] = (char)('0' + rest % 10);
	while (digits[size - 1] == '0')
		size--;
	if (size > 1)
		buf_append(line, digits, size);
}

static void add_count_if_any(struct buf *line, const char *name, uint64_t count)
{
	if (count)
		add_count(line, name, count);
}

static void add_ms(struct buf *line, const char *name, uint32_t ms)
{
	if (ms == RECORD_NO_MS)
		add_text(line, name, (struct bytes) { 0 });
	else
		add_count(line, name, ms);
}

/* {"time":"2026-11-21T08:00:00.123Z". Many lines are of the same second. */
static void add_time(struct buf *line, int64_t wall_us)
{
	static __thread time_t known = -1;
	static __thread char text[sizeof("2026-11-21T08:00:00")];
	time_t seconds = (time_t)(wall_us / 1000000);
	int ms = (int)(wall_us / 1000 % 1000);
	char rest[] = { '.', (char)('0' + ms / 100), (char)('0' + ms / 10 % 10),
		(char)('0' + ms % 10), 'Z', '"' };
	struct tm utc;

	if (seconds != known) {
		gmtime_r(&seconds, &utc);
		strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &utc);
		known = seconds;
	}
	buf_append_text(line, "{\"time\":\"");
	buf_append_text(line, text);
	buf_append(line, rest, sizeof(rest));
}

static void add_attempts(struct buf *line, const struct record_reading *reading)
{
	const struct record *record = &reading->record;

	add_name(line, "attempts");
	for (size_t i = 0; i < record->attempt_count; i++) {
		const struct record_attempt *attempt = &record->attempts[i];
		struct bytes target = reading->words[i].target;

		buf_append_text(line, i ? ",{\"target\":" : "[{\"target\":");
		value_write_string(line, target.size ? target.data : "", target.size);
		add_text(line, "key", attempt->key);
		add_count_if_any(line, "status", (uint64_t)attempt->status);
		add_text_if_any(line, "failure", attempt->failure);
		add_text_if_any(line, "why", reading->words[i].why);
		add_count(line, "ms", attempt->ms);
		buf_append(line, "}", 1);
	}
	buf_append_text(line, record->attempt_count ? "]" : "[]");
}

/* Its sums, and those of its parts that there are. */
static void add_usage(struct buf *line, const struct record_reading *reading)
{
	const struct record_usage *usage = &reading->record.usage;
	uint64_t prompt = usage->in_fresh + usage->cache_read + usage->cache_write_5m +
		usage->cache_write_1h + usage->in_audio;

	add_name(line, "usage");
	if (!usage->is_known && !usage->is_estimate) {
		buf_append(line, "null", 4);
		return;
	}
	buf_append_text(line, "{\"prompt\":");
	value_write_number(line, (double)prompt);
	add_count(line, "completion", usage->out_total);
	add_count(line, "total", prompt + usage->out_total);
	add_count_if_any(line, "cache_read", usage->cache_read);
	add_count_if_any(line, "cache_write_5m", usage->cache_write_5m);
	add_count_if_any(line, "cache_write_1h", usage->cache_write_1h);
	add_count_if_any(line, "in_audio", usage->in_audio);
	if (reading->out_audio > 0)
		add_number(line, "out_audio", reading->out_audio);
	add_count_if_any(line, "reasoning", usage->reasoning);
	if (usage->audio_ms)
		add_number(line, "seconds", (double)usage->audio_ms / 1000);
	add_count_if_any(line, "images", usage->images);
	if (usage->is_estimate)
		buf_append_text(line, ",\"is_estimate\":true");
	buf_append(line, "}", 1);
}

static void add_request(struct buf *line, const struct record_reading *reading)
{
	const struct record *record = &reading->record;

	add_text(line, "id", record->request_id);
	add_text(line, "client", record->client);
	add_text(line, "path", reading->path);
	add_text(line, "token", record->token);
	add_text(line, "group", record->group);
	add_text(line, "model", record->model);
	add_text(line, "provider", record->provider);
	add_text(line, "target_model", record->target_model);
	add_text(line, "key", record->key);
}

void record_line_write(struct buf *line, const struct record_reading *reading)
{
	const struct record *record = &reading->record;
	const char *outcome = record_outcome_name(record->outcome);

	buf_reset(line);
	add_time(line, record->start_us);
	buf_append_text(line, ",\"level\":\"info\",\"area\":\"request\"");
	add_request(line, reading);
	add_attempts(line, reading);
	if (record->status)
		add_count(line, "status", (uint64_t)record->status);
	else
		add_text(line, "status", (struct bytes) { 0 });
	add_count(line, "ms", record->ms);
	add_ms(line, "first_event_ms", record->first_event_ms);
	add_usage(line, reading);
	if (record->has_cost)
		add_micros(line, "cost", (uint64_t)record->cost_micros);
	add_text_if_any(line, "conversation", record->conversation);
	add_text(line, "outcome", (struct bytes) { outcome, strlen(outcome) });
	add_name(line, "stream");
	buf_append_text(line, record->is_stream ? "true" : "false");
	add_count(line, "generation", record->generation);
	add_text_if_any(line, "error", record->error);
	add_text_if_any(line, "policy", reading->policy);
	buf_append(line, "}", 1);
}
