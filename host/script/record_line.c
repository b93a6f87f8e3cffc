#include "script/record_line.h"

#include <stdint.h>
#include <time.h>

#include "base/number.h"
#include "json/value.h"
#include "script/record_read.h"
#include "storage/record_json.h"

/* Names are written out with what stands around them: each is one constant that the
 * compiler copies, and a line has dozens. */

static void add_text(struct buf *line, struct bytes text)
{
	if (text.data)
		value_write_string(line, text.data, text.size);
	else
		buf_append_text(line, "null");
}

static void add_count(struct buf *line, uint64_t count)
{
	line->end += number_write(buf_reserve(line, NUMBER_ROOM), count, 10);
}

/* Millionths as units: for what is whole, nobody has to search for the shortest text. */
static void add_micros(struct buf *line, uint64_t micros)
{
	char digits[] = ".000000";
	size_t size = sizeof(digits) - 1;
	uint64_t rest = micros % 1000000;

	add_count(line, micros / 1000000);
	for (size_t i = size; i > 1; rest /= 10)
		digits[--i] = (char)('0' + rest % 10);
	while (digits[size - 1] == '0')
		size--;
	if (size > 1)
		buf_append(line, digits, size);
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

static void add_attempt(struct buf *line, const struct record_attempt *attempt,
	const struct attempt_words *words)
{
	buf_append_text(line, "{\"target\":");
	value_write_string(line, words->target.size ? words->target.data : "",
		words->target.size);
	buf_append_text(line, ",\"key\":");
	add_text(line, attempt->key);
	if (attempt->status) {
		buf_append_text(line, ",\"status\":");
		add_count(line, (uint64_t)attempt->status);
	}
	if (attempt->failure.data) {
		buf_append_text(line, ",\"failure\":");
		add_text(line, attempt->failure);
	}
	if (words->why.data) {
		buf_append_text(line, ",\"why\":");
		add_text(line, words->why);
	}
	buf_append_text(line, ",\"ms\":");
	add_count(line, attempt->ms);
	buf_append_text(line, "}");
}

static void add_attempts(struct buf *line, const struct record_reading *reading)
{
	const struct record *record = &reading->record;

	buf_append_text(line, ",\"attempts\":[");
	for (size_t i = 0; i < record->attempt_count; i++) {
		if (i)
			buf_append_text(line, ",");
		add_attempt(line, &record->attempts[i], &reading->words[i]);
	}
	buf_append_text(line, "]");
}

static void add_part(struct buf *line, const char *name, uint64_t count)
{
	if (!count)
		return;
	buf_append_text(line, ",\"");
	buf_append_text(line, name);
	buf_append_text(line, "\":");
	add_count(line, count);
}

/* Its sums, and those of its parts that there are. */
static void add_usage(struct buf *line, const struct record_reading *reading)
{
	const struct record_usage *usage = &reading->record.usage;
	uint64_t prompt = usage->in_fresh + usage->cache_read + usage->cache_write_5m +
		usage->cache_write_1h + usage->in_audio;

	if (!usage->is_known && !usage->is_estimate) {
		buf_append_text(line, ",\"usage\":null");
		return;
	}
	buf_append_text(line, ",\"usage\":{\"prompt\":");
	add_count(line, prompt);
	buf_append_text(line, ",\"completion\":");
	add_count(line, usage->out_total);
	buf_append_text(line, ",\"total\":");
	add_count(line, prompt + usage->out_total);
	add_part(line, "cache_read", usage->cache_read);
	add_part(line, "cache_write_5m", usage->cache_write_5m);
	add_part(line, "cache_write_1h", usage->cache_write_1h);
	add_part(line, "in_audio", usage->in_audio);
	add_part(line, "out_audio", reading->out_audio);
	add_part(line, "reasoning", usage->reasoning);
	if (usage->audio_ms) {
		buf_append_text(line, ",\"seconds\":");
		value_write_number(line, (double)usage->audio_ms / 1000);
	}
	add_part(line, "images", usage->images);
	if (usage->is_estimate)
		buf_append_text(line, ",\"is_estimate\":true");
	buf_append_text(line, "}");
}

static void add_request(struct buf *line, const struct record_reading *reading)
{
	const struct record *record = &reading->record;

	buf_append_text(line, ",\"level\":\"info\",\"area\":\"request\",\"id\":");
	add_text(line, record->request_id);
	buf_append_text(line, ",\"client\":");
	add_text(line, record->client);
	buf_append_text(line, ",\"path\":");
	add_text(line, reading->path);
	buf_append_text(line, ",\"token\":");
	add_text(line, record->token);
	buf_append_text(line, ",\"group\":");
	add_text(line, record->group);
	buf_append_text(line, ",\"model\":");
	add_text(line, record->model);
	buf_append_text(line, ",\"provider\":");
	add_text(line, record->provider);
	buf_append_text(line, ",\"target_model\":");
	add_text(line, record->target_model);
	buf_append_text(line, ",\"key\":");
	add_text(line, record->key);
}

static void add_result(struct buf *line, const struct record *record)
{
	buf_append_text(line, ",\"status\":");
	if (record->status)
		add_count(line, (uint64_t)record->status);
	else
		buf_append_text(line, "null");
	buf_append_text(line, ",\"ms\":");
	add_count(line, record->ms);
	buf_append_text(line, ",\"first_event_ms\":");
	if (record->first_event_ms != RECORD_NO_MS)
		add_count(line, record->first_event_ms);
	else
		buf_append_text(line, "null");
}

static void add_rest(struct buf *line, const struct record_reading *reading)
{
	const struct record *record = &reading->record;

	if (record->has_cost) {
		buf_append_text(line, ",\"cost\":");
		add_micros(line, (uint64_t)record->cost_micros);
	}
	if (record->conversation.data) {
		buf_append_text(line, ",\"conversation\":");
		add_text(line, record->conversation);
	}
	buf_append_text(line, ",\"outcome\":\"");
	buf_append_text(line, record_outcome_name(record->outcome));
	buf_append_text(line,
		record->is_stream ? "\",\"stream\":true,\"generation\":"
				  : "\",\"stream\":false,\"generation\":");
	add_count(line, record->generation);
	if (record->error.data) {
		buf_append_text(line, ",\"error\":");
		add_text(line, record->error);
	}
	if (reading->policy.data) {
		buf_append_text(line, ",\"policy\":");
		add_text(line, reading->policy);
	}
	buf_append_text(line, "}");
}

void record_line_write(struct buf *line, const struct record_reading *reading)
{
	buf_reset(line);
	add_time(line, reading->record.start_us);
	add_request(line, reading);
	add_attempts(line, reading);
	add_result(line, &reading->record);
	add_usage(line, reading);
	add_rest(line, reading);
}
