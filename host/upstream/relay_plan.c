#include "upstream/relay_plan.h"

#include <stdlib.h>
#include <string.h>

#include "json/scan.h"
#include "json/text.h"

#define NAMES_MAX 64 /* names in an event; one with more is scanned */

struct planner {
	const struct relay_plan *plan;
	size_t *kept_size;
	size_t kept_count; /* the plan may be gone when these are freed */
	char *kept[];      /* by rule; then their sizes */
};

/* What is known of the event that is being judged. */
struct look {
	const struct sse_event *event;
	const char **wanted; /* for the scan */
	struct scan *scan;   /* made when the first condition needs it */
	bool is_scanned;
	bool is_json;
	bool is_searched;
	uint64_t last_letters; /* of the names, a bit for each, where two can share one */
	size_t name_count;
	size_t name_ends[NAMES_MAX]; /* offsets of their closing quotes */
};

struct planner *planner_new(const struct relay_plan *plan)
{
	size_t count = plan->rule_count;
	struct planner *planner = xcalloc(1,
		sizeof(*planner) + count * (sizeof(char *) + sizeof(size_t)));

	planner->plan = plan;
	planner->kept_count = count;
	planner->kept_size = (size_t *)(void *)(planner->kept + count);
	return planner;
}

static bool equals(const char *text, const char *data, size_t size)
{
	return data && strlen(text) == size && memcmp(text, data, size) == 0;
}

/* Blanks behind the text do not count: "[DONE] " is meant to be an end, too. */
static bool is_data(const char *text, const struct sse_event *event)
{
	size_t size = event->data_size;

	while (size && event->data && event->data[size - 1] == ' ')
		size--;
	return equals(text, event->data, size);
}

/* Providers send "usage":null with every chunk: that is worth no scan. */
static bool is_null(const char *behind, const char *end)
{
	size_t size = (size_t)(end - behind);

	return (size >= 5 && memcmp(behind, ":null", 5) == 0) ||
		(size >= 6 && memcmp(behind, ": null", 6) == 0);
}

/* The bit of the two letters before a closing quote, the first of which may be a quote. */
static uint64_t letters_bit(const char *behind)
{
	return 1ull << ((behind[-1] + 3 * behind[-2]) & 63);
}

static void search_names(struct look *look)
{
	const struct sse_event *event = look->event;

	look->is_searched = true;
	look->last_letters = 0;
	look->name_count = text_name_ends(event->data, event->data_size, look->name_ends,
		NAMES_MAX);
	for (size_t i = 0; i < look->name_count; i++)
		if (look->name_ends[i] > 1)
			look->last_letters |= letters_bit(
				event->data + look->name_ends[i]);
}

/* The member's name in quotes; an escaped name is refused by the scan anyway. A member that
 * is null counts as absent. */
static bool may_have_member(struct look *look, const char *name)
{
	const char *data = look->event->data, *end = data + look->event->data_size;
	size_t size = strlen(name);

	if (!look->is_searched)
		search_names(look);
	if (look->name_count == NAMES_MAX || size < 2)
		return true;
	if (!(look->last_letters & letters_bit(name + size)))
		return false;
	for (size_t i = 0; i < look->name_count; i++) {
		size_t at = look->name_ends[i];

		if (at > size && data[at - size - 1] == '"' &&
			memcmp(data + at - size, name, size) == 0 &&
			!is_null(data + at + 1, end))
			return true;
	}
	return false;
}

/* Whether a text that is not empty may stand behind a name's closing quote. */
static bool is_text(const char *behind, const char *end)
{
	while (behind < end && strchr(": \t\r\n", *behind) && *behind)
		behind++;
	return end - behind > 2 && behind[0] == '"' && behind[1] != '"';
}

/* The name in quotes, at any depth. */
static bool may_have_text(struct look *look, const char *name)
{
	const char *data = look->event->data, *end;
	size_t size = strlen(name);

	if (!data)
		return false;
	end = data + look->event->data_size;
	if (!look->is_searched)
		search_names(look);
	if (look->name_count == NAMES_MAX)
		return true;
	for (size_t i = 0; i < look->name_count; i++) {
		size_t at = look->name_ends[i];

		if (at > size && data[at - size - 1] == '"' &&
			memcmp(data + at - size, name, size) == 0 &&
			is_text(data + at + 1, end))
			return true;
	}
	return false;
}

/* The members of all conditions, NULL-terminated. */
static const char **wanted_members(const struct relay_plan *plan)
{
	size_t conditions = 0, wanted = 0;
	const char **members;

	for (size_t i = 0; i < plan->rule_count; i++)
		conditions += plan->rules[i].condition_count;
	members = xcalloc(conditions + 1, sizeof(*members));
	for (size_t i = 0; i < plan->rule_count; i++) {
		const struct relay_rule *rule = &plan->rules[i];

		for (size_t j = 0; j < rule->condition_count; j++)
			if (rule->conditions[j].member)
				members[wanted++] = rule->conditions[j].member;
	}
	return members;
}

static const struct scan_member *find_member(const struct planner *planner,
	struct look *look, const char *name)
{
	if (!look->event->data || !may_have_member(look, name))
		return NULL;
	if (!look->is_scanned) {
		look->wanted = wanted_members(planner->plan);
		look->scan = scan_new(look->wanted);
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

/* Neither null nor false nor empty. */
static bool says_something(const struct scan_member *member)
{
	switch (member->kind) {
	case JSON_NULL:
	case JSON_FALSE:
		return false;
	case JSON_STRING:
		return !equals_loosely("\"\"", member);
	case JSON_ARRAY:
		return !equals_loosely("[]", member);
	case JSON_OBJECT:
		return !equals_loosely("{}", member);
	default:
		return true;
	}
}

static bool holds(const struct planner *planner, const struct relay_condition *condition,
	struct look *look)
{
	const struct sse_event *event = look->event;
	const struct scan_member *member;

	if (condition->event_name)
		return equals(condition->event_name, event->name, event->name_size);
	if (condition->data)
		return is_data(condition->data, event);
	if (condition->text)
		return may_have_text(look, condition->text);
	member = find_member(planner, look, condition->member);
	if (condition->kind == JSON_NULL)
		return !member || member->kind == JSON_NULL;
	if (!member)
		return false;
	if (condition->is)
		return equals_loosely(condition->is, member);
	if (condition->kind == JSON_NONE)
		return says_something(member);
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
	case RELAY_FINISH:
		verdict->is_finish = true;
		break;
	}
}

struct verdict planner_judge(struct planner *planner, const struct sse_event *event)
{
	struct verdict verdict = { 0 };
	struct look look;

	/* Comments and blank lines are no events: they pass. */
	if (!event->data && !event->name)
		return verdict;
	/* Not all of it: the places of the names are many bytes. */
	look.event = event;
	look.wanted = NULL;
	look.scan = NULL;
	look.is_scanned = false;
	look.is_searched = false;
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
	free(look.wanted);
	return verdict;
}

static bool is_json(const struct sse_event *event)
{
	static const char *const nothing[] = { NULL };
	struct scan *scan = scan_new(nothing);
	bool is_good = scan_feed(scan, event->data, event->data_size, NULL) == 0 &&
		scan_end(scan, NULL) == 0;

	scan_free(scan);
	return is_good;
}

bool planner_is_whole(const struct planner *planner, const struct sse_event *event)
{
	const struct relay_plan *plan = planner->plan;

	for (size_t i = 0; i < plan->rule_count; i++)
		for (size_t j = 0; j < plan->rules[i].condition_count; j++) {
			const char *data = plan->rules[i].conditions[j].data;

			if (data && is_data(data, event))
				return true;
		}
	return !event->data || is_json(event);
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
	free(planner);
}
