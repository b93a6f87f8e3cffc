#include "storage/record_json.h"

#include <inttypes.h>

#include "json/value.h"
#include "storage/record_id.h"

const char *record_outcome_name(enum record_outcome outcome)
{
	static const char *const names[RECORD_OUTCOMES] = { "ok", "failed", "aborted",
		"truncated" };

	return outcome < RECORD_OUTCOMES ? names[outcome] : "unknown";
}

/* -- members ---------------------------------------------------------------------- */

static void add_text(struct buf *out, struct bytes text)
{
	if (text.size)
		value_write_string(out, text.data, text.size);
	else
		buf_append(out, "null", 4);
}

static void name_text(struct buf *out, const char *name, struct bytes text)
{
	buf_printf(out, ",\"%s\":", name);
	add_text(out, text);
}

static void name_number(struct buf *out, const char *name, uint64_t number)
{
	buf_printf(out, ",\"%s\":%" PRIu64, name, number);
}

static void name_ms(struct buf *out, const char *name, uint32_t ms)
{
	if (ms == RECORD_NO_MS)
		buf_printf(out, ",\"%s\":null", name);
	else
		name_number(out, name, ms);
}

static void name_status(struct buf *out, int status)
{
	if (status)
		name_number(out, "status", (uint64_t)status);
	else
		buf_append_text(out, ",\"status\":null");
}

static void name_boolean(struct buf *out, const char *name, bool value)
{
	buf_printf(out, ",\"%s\":%s", name, value ? "true" : "false");
}

/* -- parts ------------------------------------------------------------------------ */

static void name_usage(struct buf *out, const struct record_usage *usage)
{
	buf_append_text(out, ",\"usage\":");
	if (!usage->is_known && !usage->is_estimate) {
		buf_append_text(out, "null");
		return;
	}
	buf_printf(out, "{\"estimate\":%s", usage->is_estimate ? "true" : "false");
	name_number(out, "in_fresh", usage->in_fresh);
	name_number(out, "cache_read", usage->cache_read);
	name_number(out, "cache_write_5m", usage->cache_write_5m);
	name_number(out, "cache_write_1h", usage->cache_write_1h);
	name_number(out, "in_audio", usage->in_audio);
	name_number(out, "out_total", usage->out_total);
	name_number(out, "reasoning", usage->reasoning);
	name_number(out, "requests", usage->requests);
	name_number(out, "audio_ms", usage->audio_ms);
	name_number(out, "images", usage->images);
	buf_append(out, "}", 1);
}

static void name_cost(struct buf *out, const struct record *record)
{
	if (!record->has_cost) {
		buf_append_text(out, ",\"cost_micros\":null,\"price_version\":null");
		return;
	}
	buf_printf(out, ",\"cost_micros\":%" PRId64, record->cost_micros);
	name_number(out, "price_version", record->price_version);
}

static void name_attempts(struct buf *out, const struct record *record)
{
	buf_append_text(out, ",\"attempts\":[");
	for (size_t i = 0; i < record->attempt_count; i++) {
		const struct record_attempt *attempt = &record->attempts[i];

		buf_append_text(out, i ? ",{\"provider\":" : "{\"provider\":");
		add_text(out, attempt->provider);
		name_text(out, "model", attempt->model);
		name_text(out, "key", attempt->key);
		name_status(out, attempt->status);
		name_text(out, "failure", attempt->failure);
		name_boolean(out, "lost", attempt->is_lost);
		name_number(out, "ms", attempt->ms);
		name_ms(out, "first_event_ms", attempt->first_event_ms);
		buf_append(out, "}", 1);
	}
	buf_append(out, "]", 1);
}

void record_json_begin(struct buf *out, const struct record *record)
{
	char id[RECORD_ID_TEXT];

	record_id_write(record->id, id);
	buf_printf(out, "{\"id\":\"%.*s\"", RECORD_ID_TEXT, id);
	name_text(out, "request_id", record->request_id);
	buf_printf(out, ",\"start_us\":%" PRId64, record->start_us);
	name_text(out, "token", record->token);
	name_text(out, "group", record->group);
	name_text(out, "endpoint", record->endpoint);
	name_text(out, "dialect_in", record->dialect_in);
	name_text(out, "dialect_out", record->dialect_out);
	name_text(out, "model", record->model);
	name_text(out, "provider", record->provider);
	name_text(out, "target_model", record->target_model);
	name_text(out, "key", record->key);
	name_text(out, "conversation", record->conversation);
	name_text(out, "client", record->client);
	name_status(out, record->status);
	buf_printf(out, ",\"outcome\":\"%s\",\"origin\":\"%s\"",
		record_outcome_name(record->outcome),
		record->is_test             ? "test"
			: record->is_import ? "import"
					    : "client");
	name_boolean(out, "stream", record->is_stream);
	name_number(out, "ms", record->ms);
	name_ms(out, "first_byte_ms", record->first_byte_ms);
	name_ms(out, "first_event_ms", record->first_event_ms);
	name_usage(out, &record->usage);
	name_cost(out, record);
	name_number(out, "bytes_in", record->bytes_in);
	name_number(out, "bytes_out", record->bytes_out);
	name_number(out, "generation", record->generation);
	name_boolean(out, "details", record->has_details);
	name_attempts(out, record);
}

/* -- details ---------------------------------------------------------------------- */

static int skip_empty(void *arg)
{
	(void)arg;
	return 0;
}

static int skip_boolean(bool value, void *arg)
{
	(void)value;
	(void)arg;
	return 0;
}

static int skip_text(const char *text, size_t size, void *arg)
{
	(void)text;
	(void)size;
	(void)arg;
	return 0;
}

static bool is_json(struct bytes text)
{
	static const struct value_handler handler = { .on_null = skip_empty,
		.on_boolean = skip_boolean,
		.on_number = skip_text,
		.on_string = skip_text,
		.on_name = skip_text,
		.on_array = skip_boolean,
		.on_object = skip_boolean };
	struct buf scratch = { 0 };
	int rc = value_read(text.data, text.size, &handler, NULL, &scratch, NULL);

	buf_clear(&scratch);
	return rc == 0;
}

static void name_detail(struct buf *out, const char *name, struct bytes text)
{
	const char *first = text.data;

	/* A text that happens to be a number stays a text. */
	if (!text.size || (*first != '{' && *first != '[') || !is_json(text)) {
		name_text(out, name, text);
		return;
	}
	buf_printf(out, ",\"%s\":", name);
	buf_append(out, text.data, text.size);
}

void record_json_details(struct buf *out, const struct record *record)
{
	name_detail(out, "raw_usage", record->raw_usage);
	name_detail(out, "error", record->error);
	name_detail(out, "trace", record->trace);
}
