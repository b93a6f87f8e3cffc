#include "upstream/relay_plan.h"

#include <stdlib.h>
#include <string.h>

#include "json/scan.h"
#include "json/text.h"

struct planner {
	const struct relay_plan *plan;
	const char **wanted; /* the members of all conditions, NULL-terminated */
	char **kept;
	size_t *kept_size;
	size_t kept_count; /* the plan may be gone when these are freed */
};

/* The scan of the event that is being judged, made when the first condition needs it. */
struct look {
	const struct sse_event *event;
	struct scan *scan;
	bool is_scanned;
	bool is_json;
};

struct planner *planner_new(const struct relay_plan *plan)
{
	struct planner *planner = xcalloc(1, sizeof(*planner));
	size_t conditions = 0, wanted = 0;

	for (size_t i = 0; i < plan->rule_count; i++)
		conditions += plan->rules[i].condition_count;
	planner->plan = plan;
	planner->kept_count = plan->rule_count;
	planner->wanted = xcalloc(conditions + 1, sizeof(*planner->wanted));
	planner->kept = xcalloc(plan->rule_count + 1, sizeof(*planner->kept));
	planner->kept_size = xcalloc(plan->rule_count + 1, sizeof(*planner->kept_size));
	for (size_t i = 0; i < plan->rule_count; i++) {
		const struct relay_rule *rule = &plan->rules[i];

		for (size_t j = 0; j < rule->condition_count; j++)
			if (rule->conditions[j].member)
				planner->wanted[wanted++] = rule->conditions[j].member;
	}
	return planner;
}

static bool equals(const char *text, const char *data, size_t size)
{
	return data && strlen(text) == size && memcmp(text, data, size) == 0;
}

/* Providers send "usage":null with every chunk: that is worth no scan. */
static bool is_null(const char *behind, const char *end)
{
	size_t size = (size_t)(end - behind);

	return (size >= 5 && memcmp(behind, ":null", 5) == 0) ||
		(size >= 6 && memcmp(behind, ": null", 6) == 0);
}

/* The member's name in quotes; an escaped name is refused by the scan anyway. A member that
 * is null counts as absent. */
static bool may_have_member(const struct sse_event *event, const char *name)
{
	const char *data = event->data;
	size_t size = event->data_size, name_size = strlen(name);

	for (size_t at = 0; at < size; at += name_size + 1) {
		at += text_find_quoted(data + at, size - at, name);
		if (at < size && !is_null(data + at + name_size + 1, data + size))
			return true;
	}
	return false;
}

static const struct scan_member *find_member(const struct planner *planner,
	struct look *look, const char *name)
{
	if (!look->event->data || !may_have_member(look->event, name))
		return NULL;
	if (!look->is_scanned) {
		look->scan = scan_new(planner->wanted);
		look->is_scanned = true;
		look->is_json = scan_feed(look->scan, look->event->data,
					look->event->data_size, NULL) == 0 &&
			scan_end(look->scan, NULL) == 0;
	}
	return look->is_json ? scan_find(look->scan, name) : NULL;
}

/* White space does not count in an array or object: "[ ]" is "[]". */
static bool equals_loosely(const char *text, const struct scan_member *member)
{
	size_t at = 0;

	if (!member->value)
		return false;
	if (member->kind != JSON_ARRAY && member->kind != JSON_OBJECT)
		return equals(text, member->value, member->size);
	for (size_t i = 0; i < member->size; i++) {
		if (strchr(" \t\r\n", member->value[i]))
			continue;
		if (text[at] != member->value[i])
			return false;
		at++;
	}
	return text[at] == '\0';
}

static bool holds(const struct planner *planner, const struct relay_condition *condition,
	struct look *look)
{
	const struct sse_event *event = look->event;
	const struct scan_member *member;

	if (condition->event_name)
		return equals(condition->event_name, event->name, event->name_size);
	if (condition->data)
		return equals(condition->data, event->data, event->data_size);
	member = find_member(planner, look, condition->member);
	if (!member)
		return false;
	if (condition->is)
		return equals_loosely(condition->is, member);
	if (condition->kind == JSON_NONE)
		return member->kind != JSON_NULL;
	return member->kind == condition->kind;
}

static void keep(struct planner *planner, size_t rule, const struct sse_event *event,
	bool is_first)
{
	if (event->data_size > RELAY_KEPT_MAX || (is_first && planner->kept[rule]))
		return;
	free(planner->kept[rule]);
	planner->kept[rule] = xmemdup(event->data ? event->data : "", event->data_size);
	planner->kept_size[rule] = event->data_size;
}

static void act(struct planner *planner, size_t rule, const struct sse_event *event,
	struct verdict *verdict)
{
	switch (planner->plan->rules[rule].action) {
	case RELAY_KEEP_FIRST:
		keep(planner, rule, event, true);
		break;
	case RELAY_KEEP_LAST:
		keep(planner, rule, event, false);
		break;
	case RELAY_DROP:
		verdict->is_dropped = true;
		break;
	case RELAY_END:
		verdict->is_end = true;
		break;
	case RELAY_ERROR:
		keep(planner, rule, event, true);
		verdict->is_error = true;
		break;
	}
}

struct verdict planner_judge(struct planner *planner, const struct sse_event *event)
{
	struct verdict verdict = { 0 };
	struct look look = { .event = event };

	/* Comments and blank lines are no events: they pass. */
	if (!event->data && !event->name)
		return verdict;
	for (size_t i = 0; i < planner->plan->rule_count; i++) {
		const struct relay_rule *rule = &planner->plan->rules[i];
		size_t j = 0;

		while (j < rule->condition_count &&
			holds(planner, &rule->conditions[j], &look))
			j++;
		if (j == rule->condition_count)
			act(planner, i, event, &verdict);
	}
	scan_free(look.scan);
	return verdict;
}

const char *const *planner_kept(const struct planner *planner)
{
	return (const char *const *)planner->kept;
}

const size_t *planner_kept_size(const struct planner *planner)
{
	return planner->kept_size;
}

void planner_free(struct planner *planner)
{
	for (size_t i = 0; i < planner->kept_count; i++)
		free(planner->kept[i]);
	free(planner->kept);
	free(planner->kept_size);
	free(planner->wanted);
	free(planner);
}
