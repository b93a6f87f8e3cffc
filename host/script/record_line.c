#include "script/record_line.h"

#include <assert.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

#include "base/number.h"
#include "json/value.h"
#include "script/record_read.h"
#include "storage/record_json.h"

/* A line has dozens of names. Each is written out with what stands around it, one constant
 * that the compiler stores; room for all that stands between two values is always there, made
 * behind the last value. Values are written by functions that are called and not copied: a
 * line is written once for each request, and then what counts is how many bytes of code that
 * takes. */
#define BETWEEN_MAX 96 /* bytes between two values */
#define NAME_MAX_SIZE 40

static void make_room(struct buf *line)
{
	buf_reserve(line, BETWEEN_MAX + NUMBER_ROOM);
}

static inline __attribute__((always_inline)) void put(struct buf *line, const char *words,
	size_t size)
{
	memcpy(line->memory + line->end, words, size);
	line->end += size;
}

static inline __attribute__((always_inline)) void put_name(struct buf *line,
	const char *name)
{
	assert(strlen(name) <= NAME_MAX_SIZE); /* the compiler knows */
	put(line, name, strlen(name));
}

static __attribute__((noinline)) void put_text(struct buf *line, struct bytes text)
{
	if (text.data)
		value_write_string(line, text.data, text.size);
	else
		buf_append(line, "null", 4);
	make_room(line);
}

static __attribute__((noinline)) void put_count(struct buf *line, uint64_t count)
{
	line->end += number_write(line->memory + line->end, count);
	make_room(line);
}

static const struct bytes none; /* null */

static inline void add_text(struct buf *line, const char *name, struct bytes text)
{
	put_name(line, name);
	put_text(line, text);
}

/* Where there is one. */
static inline void add_given(struct buf *line, const char *name, struct bytes text)
{
	if (text.data)
		add_text(line, name, text);
}

static inline void add_count(struct buf *line, const char *name, uint64_t count)
{
	put_name(line, name);
	put_count(line, count);
}

/* Where it is not 0. */
static inline void add_part(struct buf *line, const char *name, uint64_t count)
{
	if (count)
		add_count(line, name, count);
}

/* Of the cost, millionths as units: for what is whole, nobody has to search for the shortest
 * text. */
static void add_cost(struct buf *line, uint64_t micros)
{
	char digits[] = ".000000";
	size_t size = sizeof(digits) - 1;
	uint64_t rest = micros % 1000000;

	add_count(line, ",\"cost\":", micros / 1000000);
	for (size_t i = size; i > 1; rest /= 10)
		digits[--i] = (char)('0' + rest % 10);
	while (digits[size - 1] == '0')
		size--;
	if (size > 1)
		put(line, digits, size);
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
	put_name(line, "{\"time\":\"");
	put(line, text, sizeof(text) - 1);
	put(line, rest, sizeof(rest));
}

static void add_attempt(struct buf *line, const struct record_attempt *attempt,
	const struct attempt_words *words)
{
	const struct bytes nothing = { "", 0 };

	add_text(line, "{\"target\":", words->target.size ? words->target : nothing);
	add_text(line, ",\"key\":", attempt->key);
	add_part(line, ",\"status\":", (uint64_t)attempt->status);
	add_given(line, ",\"failure\":", attempt->failure);
	add_given(line, ",\"why\":", words->why);
	add_count(line, ",\"ms\":", attempt->ms);
	put_name(line, "}");
}

static void add_attempts(struct buf *line, const struct record_reading *reading)
{
	const struct record *record = &reading->record;

	put_name(line, ",\"attempts\":[");
	for (size_t i = 0; i < record->attempt_count; i++) {
		if (i)
			put_name(line, ",");
		add_attempt(line, &record->attempts[i], &reading->words[i]);
	}
	put_name(line, "]");
}

/* Its sums, and those of its parts that there are. */
static void add_usage(struct buf *line, const struct record_reading *reading)
{
	const struct record_usage *usage = &reading->record.usage;
	uint64_t prompt = usage->in_fresh + usage->cache_read + usage->cache_write_5m +
		usage->cache_write_1h + usage->in_audio;

	if (!usage->is_known && !usage->is_estimate) {
		add_text(line, ",\"usage\":", none);
		return;
	}
	add_count(line, ",\"usage\":{\"prompt\":", prompt);
	add_count(line, ",\"completion\":", usage->out_total);
	add_count(line, ",\"total\":", prompt + usage->out_total);
	add_part(line, ",\"cache_read\":", usage->cache_read);
	add_part(line, ",\"cache_write_5m\":", usage->cache_write_5m);
	add_part(line, ",\"cache_write_1h\":", usage->cache_write_1h);
	add_part(line, ",\"in_audio\":", usage->in_audio);
	add_part(line, ",\"out_audio\":", reading->out_audio);
	add_part(line, ",\"reasoning\":", usage->reasoning);
	if (usage->audio_ms) {
		put_name(line, ",\"seconds\":");
		value_write_number(line, (double)usage->audio_ms / 1000);
		make_room(line);
	}
	add_part(line, ",\"images\":", usage->images);
	if (usage->is_estimate)
		put_name(line, ",\"is_estimate\":true");
	put_name(line, "}");
}

static void add_request(struct buf *line, const struct record_reading *reading)
{
	const struct record *record = &reading->record;

	add_text(line,
		",\"level\":\"info\",\"area\":\"request\",\"id\":", record->request_id);
	add_text(line, ",\"client\":", record->client);
	add_text(line, ",\"path\":", reading->path);
	add_text(line, ",\"token\":", record->token);
	add_text(line, ",\"group\":", record->group);
	add_text(line, ",\"model\":", record->model);
	add_text(line, ",\"provider\":", record->provider);
	add_text(line, ",\"target_model\":", record->target_model);
	add_text(line, ",\"key\":", record->key);
}

static void add_result(struct buf *line, const struct record *record)
{
	put_name(line, ",\"status\":");
	if (record->status)
		put_count(line, (uint64_t)record->status);
	else
		put_text(line, none);
	add_count(line, ",\"ms\":", record->ms);
	put_name(line, ",\"first_event_ms\":");
	if (record->first_event_ms != RECORD_NO_MS)
		put_count(line, record->first_event_ms);
	else
		put_text(line, none);
}

static void add_rest(struct buf *line, const struct record_reading *reading)
{
	const struct record *record = &reading->record;
	const char *outcome = record_outcome_name(record->outcome);

	if (record->has_cost)
		add_cost(line, (uint64_t)record->cost_micros);
	add_given(line, ",\"conversation\":", record->conversation);
	add_text(line, ",\"outcome\":", (struct bytes) { outcome, strlen(outcome) });
	if (record->is_stream)
		put_name(line, ",\"stream\":true,\"generation\":");
	else
		put_name(line, ",\"stream\":false,\"generation\":");
	put_count(line, record->generation);
	add_given(line, ",\"error\":", record->error);
	add_given(line, ",\"policy\":", reading->policy);
	put_name(line, "}");
}

void record_line_write(struct buf *line, const struct record_reading *reading)
{
	buf_reset(line);
	make_room(line);
	add_time(line, reading->record.start_us);
	add_request(line, reading);
	add_attempts(line, reading);
	add_result(line, &reading->record);
	add_usage(line, reading);
	add_rest(line, reading);
}
