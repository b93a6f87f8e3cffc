/* relay_plan.h - applies a relay's plan to one event.
 *
 * An event's JSON is scanned only where a condition asks for a member whose name occurs
 * in it, and at most once per event. Inside of upstream/ only. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "upstream/relay.h"
#include "upstream/sse.h"

struct planner;

/* What is to be done with an event. */
struct verdict {
	bool is_dropped;
	bool is_end;
	bool is_error;
	bool is_finish;
};

/* The plan is borrowed. */
struct planner *planner_new(const struct relay_plan *plan);
struct verdict planner_judge(struct planner *planner, const struct sse_event *event);
/* Whether the last event of a stream, which lacks its blank line, is all there. */
bool planner_is_whole(const struct planner *planner, const struct sse_event *event);
/* By rule; good until the next judgement. */
const char *const *planner_kept(const struct planner *planner);
const size_t *planner_kept_size(const struct planner *planner);
void planner_free(struct planner *planner);
