/* Who had how much: first the values are put in order by one number, then the sums are
 * made of those that come first. The rest is what is left of all records, each of which
 * has one value: thousands of rows need not be read whole. What no rows have comes from
 * the records in the same two steps. */
#include "storage/stats.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/map.h"
#include "json/value.h"
#include "storage/rollup.h"
#include "storage/stats_cross.h"
#include "storage/stats_json.h"
#include "storage/stats_sum.h"
#include "storage/stats_time.h"

struct group {
	int64_t rank;
	struct bytes name;        /* as it stands in keys; in the breakdown's texts */
	struct rollup_sums *sums; /* NULL: it is one of the rest */
};

struct breakdown {
	struct txn *txn;
	struct stats_query query; /* its span as it is kept */
	enum rollup_dimension by;
	enum stats_order order;
	struct bytes only; /* the key's form of the filter's value, or empty */
	bool is_cross;     /* the filter is another dimension: there are no rows */
	struct stats_work work;
	struct map *by_name;
	struct group **groups;
	size_t count;
	size_t room;
	struct rollup_sums part; /* of one row */
	struct rollup_sums total;
	struct rollup_sums rest;
};

static int each_row(struct breakdown *breakdown, rollup_row_fn *fn)
{
	struct stats_span span;
	enum rollup_span rows;
	int64_t start_s;
	struct key prefix;
	int rc = stats_span_open(&span, breakdown->txn, breakdown->query.from_s,
		breakdown->query.until_s);

	while (rc == 0 && stats_span_next(&span, &rows, &start_s)) {
		rollup_key_dimension(&prefix, rows, start_s, breakdown->by);
		key_raw(&prefix, breakdown->only.data, breakdown->only.size);
		rc = rollup_each(breakdown->txn, key_bytes(&prefix), fn, breakdown);
	}
	return rc;
}

/* -- the order -------------------------------------------------------------------- */

static struct group *group_of(struct breakdown *breakdown, const char *name, size_t size)
{
	struct group *group = map_get(breakdown->by_name, name, size);

	if (group)
		return group;
	group = xcalloc(1, sizeof(*group));
	group->name = (struct bytes) { xmemdup(name, size), size };
	map_set(breakdown->by_name, name, size, group);
	if (breakdown->count == breakdown->room) {
		breakdown->room = breakdown->room ? 2 * breakdown->room : 64;
		breakdown->groups = xrealloc(breakdown->groups,
			breakdown->room * sizeof(struct group *));
	}
	breakdown->groups[breakdown->count++] = group;
	return group;
}

static int64_t rank_of(const struct rollup_sums *sums, enum stats_order order)
{
	if (order == STATS_BY_COST)
		return sums->cost_micros;
	return (int64_t)(order == STATS_BY_TOKENS ? rollup_tokens(sums)
						  : rollup_requests(sums));
}

static int rank_row(struct bytes key, struct bytes value, void *arg)
{
	struct breakdown *breakdown = arg;
	const char *name = (const char *)key.data + ROLLUP_VALUE_AT;
	struct group *group;
	int rc;

	if ((rc = stats_work_add(&breakdown->work)) != 0)
		return rc;
	rollup_sums_clear(&breakdown->part);
	rc = rollup_unpack(&breakdown->part, value, ROLLUP_NUMBERS);
	if (rc)
		return rc;
	group = group_of(breakdown, name, key.size - ROLLUP_VALUE_AT);
	group->rank += rank_of(&breakdown->part, breakdown->order);
	return 0;
}

/* The key of a cell's row, whose end is the name of a group. */
static void name_cell(const struct rollup_batch *batch, const struct rollup_cell *cell,
	struct key *key)
{
	rollup_key(key, ROLLUP_DAY, 0, cell->dimension, rollup_cell_value(batch, cell));
}

static int rank_cell(const struct rollup_batch *batch, const struct rollup_cell *cell,
	void *arg)
{
	struct breakdown *breakdown = arg;
	struct group *group;
	struct key key;

	if (cell->dimension == ROLLUP_ALL)
		return 0;
	name_cell(batch, cell, &key);
	rollup_sums_clear(&breakdown->part);
	rollup_cell_add_to(batch, cell, &breakdown->part);
	group = group_of(breakdown, (const char *)key.data + ROLLUP_VALUE_AT,
		key.size - ROLLUP_VALUE_AT);
	group->rank += rank_of(&breakdown->part, breakdown->order);
	return 0;
}

/* The most first; the same in the order of their names. */
static int compare_groups(const void *a, const void *b)
{
	const struct group *one = *(struct group *const *)a;
	const struct group *other = *(struct group *const *)b;
	size_t size = one->name.size < other->name.size ? one->name.size
							: other->name.size;
	int order = (one->rank < other->rank) - (one->rank > other->rank);

	if (!order && size)
		order = memcmp(one->name.data, other->name.data, size);
	return order ? order : (one->name.size > other->name.size) - 1;
}

/* -- the sums --------------------------------------------------------------------- */

static int sum_row(struct bytes key, struct bytes value, void *arg)
{
	struct breakdown *breakdown = arg;
	struct group *group = map_get(breakdown->by_name,
		(const char *)key.data + ROLLUP_VALUE_AT, key.size - ROLLUP_VALUE_AT);

	return group->sums ? rollup_unpack(group->sums, value, ROLLUP_WHOLE) : 0;
}

static int sum_cell(const struct rollup_batch *batch, const struct rollup_cell *cell,
	void *arg)
{
	struct breakdown *breakdown = arg;
	struct group *group;
	struct key key;

	if (cell->dimension == ROLLUP_ALL) {
		rollup_cell_add_to(batch, cell, &breakdown->total);
		return 0;
	}
	name_cell(batch, cell, &key);
	group = map_get(breakdown->by_name, (const char *)key.data + ROLLUP_VALUE_AT,
		key.size - ROLLUP_VALUE_AT);
	if (group->sums)
		rollup_cell_add_to(batch, cell, group->sums);
	return 0;
}

static void write_value(const struct group *group, int64_t seconds, struct buf *out)
{
	struct bytes rest = group->name;
	struct buf text = { 0 };

	buf_append_text(out, "{\"value\":");
	if (key_take_text(&rest, &text) == 0)
		value_write_string(out, buf_size(&text) ? buf_data(&text) : "",
			buf_size(&text));
	else
		buf_append_text(out, "null");
	buf_append(out, ",", 1);
	stats_json_sums(out, group->sums, seconds);
	buf_append(out, "}", 1);
	buf_clear(&text);
}

static void write_all(struct breakdown *breakdown, size_t top, struct buf *out)
{
	int64_t seconds = stats_elapsed(&breakdown->query);

	buf_append(out, "{", 1);
	stats_json_number(out, "from", (uint64_t)breakdown->query.from_s);
	stats_json_number(out, "until", (uint64_t)breakdown->query.until_s);
	stats_json_number(out, "count", breakdown->count);
	buf_printf(out, "\"by\":\"%s\",\"values\":[",
		rollup_dimension_name(breakdown->by));
	for (size_t i = 0; i < top; i++) {
		if (i)
			buf_append(out, ",", 1);
		write_value(breakdown->groups[i], seconds, out);
	}
	buf_append_text(out, "],\"other\":");
	if (top < breakdown->count) {
		buf_append(out, "{", 1);
		stats_json_sums(out, &breakdown->rest, seconds);
		buf_append(out, "}", 1);
	} else {
		buf_append_text(out, "null");
	}
	buf_append_text(out, ",\"total\":{");
	stats_json_sums(out, &breakdown->total, seconds);
	buf_append_text(out, "}}");
}

static int rank_all(struct breakdown *breakdown)
{
	if (!breakdown->is_cross)
		return each_row(breakdown, rank_row);
	return stats_cross(breakdown->txn, &breakdown->query, breakdown->by, rank_cell,
		breakdown, breakdown->work.err);
}

/* Of the groups that are named, and of all. */
static int sum_all(struct breakdown *breakdown)
{
	int rc;

	if (breakdown->is_cross)
		return stats_cross(breakdown->txn, &breakdown->query, breakdown->by,
			sum_cell, breakdown, breakdown->work.err);
	if ((rc = each_row(breakdown, sum_row)) != 0)
		return rc;
	return stats_sum(breakdown->txn, &breakdown->query, &breakdown->work,
		&breakdown->total);
}

static int break_down(struct breakdown *breakdown, uint32_t top, struct buf *out)
{
	int rc = rank_all(breakdown);

	if (rc)
		return rc;
	if (top > breakdown->count)
		top = (uint32_t)breakdown->count;
	if (breakdown->count)
		qsort(breakdown->groups, breakdown->count, sizeof(struct group *),
			compare_groups);
	for (size_t i = 0; i < top; i++)
		breakdown->groups[i]->sums = xcalloc(1, sizeof(struct rollup_sums));
	if ((rc = sum_all(breakdown)) != 0)
		return rc;
	breakdown->rest = breakdown->total;
	for (size_t i = 0; i < top; i++)
		rollup_sums_subtract(&breakdown->rest, breakdown->groups[i]->sums);
	write_all(breakdown, top, out);
	return 0;
}

static void clear(struct breakdown *breakdown)
{
	for (size_t i = 0; i < breakdown->count; i++) {
		free((void *)breakdown->groups[i]->name.data);
		free(breakdown->groups[i]->sums);
		free(breakdown->groups[i]);
	}
	free(breakdown->groups);
	map_free(breakdown->by_name);
	free(breakdown);
}

static int check_span(const struct stats_query *query, struct err *err)
{
	if (query->from_s >= 0 && query->from_s < query->until_s)
		return 0;
	return err_set(err, -EINVAL, "the span of time ends before it begins");
}

int stats_breakdown(struct txn *txn, const struct stats_query *query,
	enum rollup_dimension by, enum stats_order order, uint32_t top, struct buf *out,
	struct err *err)
{
	struct breakdown *breakdown;
	struct key only = { 0 };
	int rc;

	if (top > STATS_TOP_MAX)
		return err_set(err, -E2BIG, "a breakdown names %d values at the most",
			STATS_TOP_MAX);
	breakdown = xcalloc(1, sizeof(*breakdown));
	breakdown->txn = txn;
	breakdown->query = *query;
	breakdown->by = by;
	breakdown->order = order;
	breakdown->work.err = err;
	breakdown->by_name = map_new();
	breakdown->is_cross = query->filter != ROLLUP_ALL && query->filter != by;
	if (query->filter == by) {
		rollup_key(&only, ROLLUP_DAY, 0, by, query->value);
		breakdown->only = (struct bytes) { only.data + ROLLUP_VALUE_AT,
			only.size - ROLLUP_VALUE_AT };
	}
	if (breakdown->is_cross)
		rc = check_span(query, err);
	else
		rc = stats_snap_span(&breakdown->query.from_s, &breakdown->query.until_s,
			query->now_s, err);
	if (rc == 0)
		rc = break_down(breakdown, top, out);
	clear(breakdown);
	return rc;
}
