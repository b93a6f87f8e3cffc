/* log.h - lines on standard error, written by a thread of their own.
 *
 * log_info("listener", "address=%s", text): an area, then key=value. On a terminal a
 * line reads as text, else it is a JSON object {"time","level","area","message"}. A
 * caller never waits for whoever reads standard error: lines go through a bounded
 * queue, and what does not fit is dropped and counted (log_dropped). Secrets never
 * reach a log call. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/mem.h"

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };
enum log_format { LOG_AUTO, LOG_TEXT, LOG_JSON };

/* Starts the writer thread; before it, and after log_stop(), lines are written at
 * once. */
void log_start(void);
/* Writes what is queued (for at most a second) and ends the thread. */
void log_stop(void);
/* From any thread; AUTO: text on a terminal, JSON elsewhere. */
void log_configure(enum log_format format, enum log_level least);
bool log_is_text(void);
bool log_covers(enum log_level level);

void log_message(enum log_level level, const char *area, const char *format, ...)
	PRINTF_LIKE(3, 4);
#define log_debug(area, ...) log_message(LOG_DEBUG, area, __VA_ARGS__)
#define log_info(area, ...) log_message(LOG_INFO, area, __VA_ARGS__)
#define log_warn(area, ...) log_message(LOG_WARN, area, __VA_ARGS__)
#define log_error(area, ...) log_message(LOG_ERROR, area, __VA_ARGS__)

/* A finished line without its newline, as it is. */
void log_line(const char *line, size_t size);
uint64_t log_dropped(void); /* lines, since the start */
