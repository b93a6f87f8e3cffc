/* record_json.h - a record as a JSON object, for people and their tools.
 *
 * Names carry their unit; what is not known, and an empty text, is null. */
#pragma once

#include "base/buf.h"
#include "storage/record.h"

/* Without the object's end, so that more members may follow. */
void record_json_begin(struct buf *out, const struct record *record);
/* ,"raw_usage":…,"error":…,"trace":… - what is JSON as it is, other texts as strings. */
void record_json_details(struct buf *out, const struct record *record);
const char *record_outcome_name(enum record_outcome outcome); /* "ok"; static */
