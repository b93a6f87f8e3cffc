/* stats_json.h - sums as members of a JSON object: the words of the admin API.
 *
 * requests, ok, failed, aborted, truncated; status {none, 1xx … 5xx}; tests, streams,
 * attempts, attempts_failed, retries, retried; usage {known, estimated, the kinds of
 * struct record_usage, total: all kinds that are tokens}; priced, cost_micros; bytes_in,
 * bytes_out; ms and first_event_ms {average, p50, p95, p99}, where null means that there
 * was none; success_rate (of 1, or null), requests_per_s, tokens_per_s. */
#pragma once

#include <stdint.h>

#include "base/buf.h"
#include "storage/rollup_row.h"

/* "name":number, */
void stats_json_number(struct buf *out, const char *name, uint64_t number);
/* All members, without a comma behind the last. seconds: of the span, for the rates. */
void stats_json_sums(struct buf *out, const struct rollup_sums *sums, int64_t seconds);
