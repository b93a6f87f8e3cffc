/* record_line.h - the log line of a finished request: a JSON object. */
#pragma once

#include "base/buf.h"

struct record_reading;

/* line is emptied first. */
void record_line_write(struct buf *line, const struct record_reading *reading);
