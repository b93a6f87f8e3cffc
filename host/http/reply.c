#include "http/reply.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/number.h"
#include "base/token.h"
#include "http/exchange.h"

static const struct {
	int status;
	const char *text;
} reasons[] = {
	{ 200, "OK" },
	{ 201, "Created" },
	{ 202, "Accepted" },
	{ 204, "No Content" },
	{ 206, "Partial Content" },
	{ 301, "Moved Permanently" },
	{ 302, "Found" },
	{ 303, "See Other" },
	{ 304, "Not Modified" },
	{ 307, "Temporary Redirect" },
	{ 308, "Permanent Redirect" },
	{ 400, "Bad Request" },
	{ 401, "Unauthorized" },
	{ 402, "Payment Required" },
	{ 403, "Forbidden" },
	{ 404, "Not Found" },
	{ 405, "Method Not Allowed" },
	{ 406, "Not Acceptable" },
	{ 408, "Request Timeout" },
	{ 409, "Conflict" },
	{ 410, "Gone" },
	{ 411, "Length Required" },
	{ 412, "Precondition Failed" },
	{ 413, "Content Too Large" },
	{ 415, "Unsupported Media Type" },
	{ 416, "Range Not Satisfiable" },
	{ 417, "Expectation Failed" },
	{ 422, "Unprocessable Content" },
	{ 425, "Too Early" },
	{ 429, "Too Many Requests" },
	{ 431, "Request Header Fields Too Large" },
	{ 500, "Internal Server Error" },
	{ 501, "Not Implemented" },
	{ 502, "Bad Gateway" },
	{ 503, "Service Unavailable" },
	{ 504, "Gateway Timeout" },
	{ 505, "HTTP Version Not Supported" },
	{ 507, "Insufficient Storage" },
};

static const char *reason(int status)
{
	for (size_t i = 0; i < COUNT_OF(reasons); i++) {
		if (reasons[i].status == status)
			return reasons[i].text;
	}
	return "Unnamed";
}

bool field_is_valid(const struct field *field)
{
	size_t size;

	if (!field->name || !*field->name || !field->value)
		return false;
	size = strlen(field->name);
	if (token_run(field->name, size) != size)
		return false;
	size = strlen(field->value);
	return text_run(field->value, size) == size;
}

/* Fields that decide where an answer ends are written here and nowhere else: a second one
 * from above would let two parsers read two answers. */
static bool is_ours(const char *name, size_t size)
{
	switch (size) {
	case sizeof("Date") - 1:
		return strcasecmp(name, "Date") == 0;
	case sizeof("Connection") - 1:
		return strcasecmp(name, "Connection") == 0;
	case sizeof("Content-Length") - 1:
		return strcasecmp(name, "Content-Length") == 0;
	case sizeof("Transfer-Encoding") - 1:
		return strcasecmp(name, "Transfer-Encoding") == 0;
	default:
		return false;
	}
}

/* "Date: …" with its line end; made once per second and thread. */
static const char *date_line(size_t *size)
{
	static _Thread_local char line[64];
	static _Thread_local size_t line_size;
	static _Thread_local time_t made;
	static const char days[][4] = { "Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat" };
	static const char months[][4] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul",
		"Aug", "Sep", "Oct", "Nov", "Dec" };
	time_t now = (time_t)clock_wall_s();
	struct tm date;

	if (now != made || !line_size) {
		gmtime_r(&now, &date);
		line_size = (size_t)snprintf(line, sizeof(line),
			"Date: %s, %02d %s %04d %02d:%02d:%02d GMT\r\n",
			days[date.tm_wday], date.tm_mday, months[date.tm_mon],
			date.tm_year + 1900, date.tm_hour, date.tm_min, date.tm_sec);
		made = now;
	}
	*size = line_size;
	return line;
}

static void refuse_field(const char *name)
{
	log_warn("http", "refused=field name=%.64s", name ? name : "");
}

/* The line is written first and looked at there, where it stands in one run: the name
 * must reach up to its colon, and text up to the line's end. */
static void write_field(struct buf *out, const struct field *field)
{
	size_t name_size, value_size, size;
	char *line, *at;

	if (!field->name || !*field->name || !field->value) {
		refuse_field(field->name);
		return;
	}
	name_size = strlen(field->name);
	value_size = strlen(field->value);
	size = name_size + value_size + 4;
	line = buf_reserve(out, size);
	at = mempcpy(line, field->name, name_size);
	at = mempcpy(at, ": ", 2);
	at = mempcpy(at, field->value, value_size);
	memcpy(at, "\r\n", 2);
	if (token_run(line, size) == name_size && text_run(line, size) == size - 2 &&
		!is_ours(field->name, name_size))
		buf_grow(out, size);
	else
		refuse_field(field->name);
}

static void write_number(struct buf *out, int64_t number)
{
	buf_grow(out, number_write(buf_reserve(out, NUMBER_ROOM), (uint64_t)number));
}

static void write_status(struct buf *out, int status)
{
	buf_append_text(out, "HTTP/1.1 ");
	write_number(out, status);
	buf_append_text(out, " ");
	buf_append_text(out, reason(status));
	buf_append_text(out, "\r\n");
}

static void write_length(struct buf *out, int64_t length)
{
	buf_append_text(out, "Content-Length: ");
	write_number(out, length);
	buf_append_text(out, "\r\n");
}

void reply_write_head(const struct reply *reply, struct buf *out)
{
	size_t date_size;
	const char *date = date_line(&date_size);

	write_status(out, reply->status);
	for (size_t i = 0; i < reply->count; i++)
		write_field(out, &reply->fields[i]);
	buf_append(out, date, date_size);
	if (reply->is_chunked)
		buf_append_text(out, "Transfer-Encoding: chunked\r\n");
	else if (reply->length >= 0)
		write_length(out, reply->length);
	if (reply->connection == REPLY_SAYS_CLOSE)
		buf_append_text(out, "Connection: close\r\n");
	else if (reply->connection == REPLY_SAYS_KEEP_ALIVE)
		buf_append_text(out, "Connection: keep-alive\r\n");
	buf_append(out, "\r\n", 2);
}
