#include "base/log.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/background.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/utf8.h"

#define QUEUE_MAX (4 * 1024 * 1024) /* bytes; more than that waits for nobody */
#define LINE_MAX_SIZE 4096          /* bytes of one formatted message */
#define GATHER_MS 20                /* the writer joins the lines of so many ms */
#define PIECE_SIZE (16 * 1024)      /* bytes of one write, which takes 20 µs */
#define STOP_MS 1000

static struct {
	pthread_mutex_t lock;
	pthread_cond_t wake;
	pthread_t thread;
	struct buf queue;
	bool is_running;
	bool is_stopping;
	bool is_writing;
} queue = { .lock = PTHREAD_MUTEX_INITIALIZER, .wake = PTHREAD_COND_INITIALIZER };

static _Atomic uint64_t dropped;
static _Atomic bool is_text_chosen = true;
static _Atomic int least_level = LOG_INFO;

/* Whoever shares standard error may have made it non-blocking: a full pipe is waited for. */
static bool may_go_on(int error)
{
	struct pollfd out = { .fd = STDERR_FILENO, .events = POLLOUT };

	if (error == EAGAIN)
		poll(&out, 1, -1);
	return error == EAGAIN || error == EINTR;
}

static void write_all(const char *data, size_t size)
{
	background_begin_steps();
	while (size) {
		size_t piece = size < PIECE_SIZE ? size : PIECE_SIZE;
		ssize_t written = write(STDERR_FILENO, data, piece);

		if (written < 0 && may_go_on(errno))
			continue;
		if (written <= 0) { /* such as a full disk */
			for (; size; size--)
				dropped += *data++ == '\n';
			return;
		}
		data += written;
		size -= (size_t)written;
		background_give_way();
	}
}

static void *writer_main(void *arg)
{
	struct buf batch = { 0 };
	struct timespec gather = { .tv_nsec = GATHER_MS * 1000000L };

	(void)arg;
	pthread_mutex_lock(&queue.lock);
	for (;;) {
		while (!buf_size(&queue.queue) && !queue.is_stopping)
			pthread_cond_wait(&queue.wake, &queue.lock);
		if (!buf_size(&queue.queue))
			break;
		if (!queue.is_stopping) {
			pthread_mutex_unlock(&queue.lock);
			nanosleep(&gather, NULL);
			pthread_mutex_lock(&queue.lock);
		}
		struct buf full = queue.queue;

		queue.queue = batch;
		batch = full;
		queue.is_writing = true;
		pthread_mutex_unlock(&queue.lock);
		write_all(buf_data(&batch), buf_size(&batch));
		buf_reset(&batch);
		pthread_mutex_lock(&queue.lock);
		queue.is_writing = false;
	}
	pthread_mutex_unlock(&queue.lock);
	buf_clear(&batch);
	return NULL;
}

void log_start(void)
{
	queue.is_stopping = false;
	queue.is_running = pthread_create(&queue.thread, NULL, writer_main, NULL) == 0;
}

void log_stop(void)
{
	struct timespec until;

	if (!queue.is_running)
		return;
	pthread_mutex_lock(&queue.lock);
	queue.is_stopping = true;
	queue.is_running = false;
	pthread_cond_signal(&queue.wake);
	pthread_mutex_unlock(&queue.lock);
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += STOP_MS / 1000;
	/* Whoever reads standard error may have stopped reading: the end does not
	 * wait. */
	if (pthread_timedjoin_np(queue.thread, NULL, &until) != 0)
		pthread_detach(queue.thread);
	else
		buf_clear(&queue.queue);
}

void log_configure(enum log_format format, enum log_level least)
{
	is_text_chosen = format == LOG_TEXT ||
		(format == LOG_AUTO && isatty(STDERR_FILENO));
	least_level = (int)least;
}

bool log_is_text(void)
{
	return is_text_chosen;
}

bool log_covers(enum log_level level)
{
	return (int)level >= least_level;
}

void log_line(const char *line, size_t size)
{
	pthread_mutex_lock(&queue.lock);
	if (!queue.is_running) {
		struct buf whole = { 0 };

		pthread_mutex_unlock(&queue.lock);
		buf_append(&whole, line, size);
		buf_append(&whole, "\n", 1);
		write_all(buf_data(&whole), buf_size(&whole));
		buf_clear(&whole);
		return;
	}
	if (buf_size(&queue.queue) + size > QUEUE_MAX) {
		dropped++;
	} else {
		bool was_empty = buf_size(&queue.queue) == 0;

		buf_append(&queue.queue, line, size);
		buf_append(&queue.queue, "\n", 1);
		if (was_empty && !queue.is_writing)
			pthread_cond_signal(&queue.wake);
	}
	pthread_mutex_unlock(&queue.lock);
}

uint64_t log_dropped(void)
{
	return dropped;
}

/* What would move the cursor, colour the terminal or look like another line is shown as
 * its number: much of it comes from clients. C2 begins the controls above 7F in UTF-8. */
static void append_shown_text(struct buf *buf, const char *text)
{
	for (; *text; text++) {
		unsigned char byte = (unsigned char)*text, next = (unsigned char)text[1];

		if (byte < 0x20 || byte == 0x7f)
			buf_printf(buf, "\\x%02x", byte);
		else if (byte == 0xc2 && next >= 0x80 && next < 0xa0)
			buf_printf(buf, "\\x%02x", (unsigned char)*++text);
		else
			buf_append(buf, text, 1);
	}
}

/* Returns how many bytes of the text that was. What is none, as where a line was cut, is shown
 * as U+FFFD. */
static size_t append_character(struct buf *buf, const char *text, size_t left)
{
	size_t size = utf8_size(text, left);

	if (size)
		buf_append(buf, text, size);
	else
		buf_append_text(buf, "\xef\xbf\xbd");
	return size ? size : 1;
}

static void append_json_text(struct buf *buf, const char *text)
{
	const char *end = text + strlen(text);

	for (size_t size; text < end; text += size) {
		unsigned char byte = (unsigned char)*text;

		size = 1;
		if (byte == '"' || byte == '\\')
			buf_printf(buf, "\\%c", byte);
		else if (byte < 0x20)
			buf_printf(buf, "\\u%04x", byte);
		else
			size = append_character(buf, text, (size_t)(end - text));
	}
}

static void format_line(struct buf *line, enum log_level level, const char *area,
	const char *message)
{
	static const char *const names[] = { "debug", "info", "warn", "error" };
	int64_t now_us = clock_wall_us();
	time_t seconds = now_us / 1000000;
	struct tm utc;
	char time_text[40];

	gmtime_r(&seconds, &utc);
	if (log_is_text()) {
		strftime(time_text, sizeof(time_text), "%H:%M:%S", &utc);
		buf_printf(line, "%s %-5s %s: ", time_text, names[level], area);
		append_shown_text(line, message);
		return;
	}
	strftime(time_text, sizeof(time_text), "%Y-%m-%dT%H:%M:%S", &utc);
	buf_printf(line,
		"{\"time\":\"%s.%03dZ\",\"level\":\"%s\",\"area\":\"%s\",\"message\":\"",
		time_text, (int)(now_us / 1000 % 1000), names[level], area);
	append_json_text(line, message);
	buf_append_text(line, "\"}");
}

void log_message(enum log_level level, const char *area, const char *format, ...)
{
	struct buf line = { 0 };
	char message[LINE_MAX_SIZE];
	va_list arguments;

	if (!log_covers(level))
		return;
	va_start(arguments, format);
	vsnprintf(message, sizeof(message), format, arguments);
	va_end(arguments);
	format_line(&line, level, area, message);
	log_line(buf_data(&line), buf_size(&line));
	buf_clear(&line);
}
