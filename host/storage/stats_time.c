#include "storage/stats_time.h"

#include <errno.h>
#include <stdbool.h>

#include "storage/cursor.h"
#include "storage/rollup.h"

#define TIME_MAX_S 253402300800 /* the year 10000 */

/* -- edges ------------------------------------------------------------------------ */

/* Days from 1970-01-01 to the first of a month, which may be more than 12. Years are
 * counted from March, so that the leap day is the last of them; an era is 400 years. */
static int64_t month_days(int64_t year, int64_t month)
{
	int64_t months = year * 12 + month - 3, era, in_era, day;

	year = months / 12;
	month = months % 12;
	era = year / 400;
	in_era = year % 400;
	day = (153 * month + 2) / 5;
	return era * 146097 + in_era * 365 + in_era / 4 - in_era / 100 + day - 719468;
}

/* The first moment of the month behind the one that local_s lies in. */
static int64_t next_month(int64_t local_s)
{
	int64_t day = rollup_floor(local_s, ROLLUP_DAY_S) / ROLLUP_DAY_S;
	/* By the average month; one less, since it must not be behind the true one. */
	int64_t months = 1970 * 12 + day * 4800 / 146097 - 1;

	while (month_days(months / 12, months % 12 + 1) <= day)
		months++;
	return month_days(months / 12, months % 12 + 1) * ROLLUP_DAY_S;
}

static int64_t next_edge(enum stats_step step, int64_t local_s)
{
	static const int64_t sizes_s[] = {
		[STATS_MINUTE] = ROLLUP_MINUTE_S,
		[STATS_HOUR] = ROLLUP_HOUR_S,
		[STATS_DAY] = ROLLUP_DAY_S,
	};

	if (step == STATS_MONTH)
		return next_month(local_s);
	return rollup_floor(local_s, sizes_s[step]) + sizes_s[step];
}

int stats_edges(enum stats_step step, int32_t offset_s, int64_t from_s, int64_t until_s,
	int64_t *edges_s, size_t room, size_t *count, struct err *err)
{
	int64_t at_s = from_s;

	*count = 0;
	if (from_s < 0 || from_s >= until_s || until_s > TIME_MAX_S)
		return err_set(err, -EINVAL, "the span of time ends before it begins");
	if (offset_s < -ROLLUP_DAY_S || offset_s > ROLLUP_DAY_S)
		return err_set(err, -EINVAL, "no place is a day away from UTC");
	for (;;) {
		if (*count == room)
			return err_set(err, -E2BIG,
				"more than %zu steps: ask for a shorter time or longer "
				"steps",
				room - 1);
		edges_s[(*count)++] = at_s;
		if (at_s == until_s)
			return 0;
		at_s = next_edge(step, at_s + offset_s) - offset_s;
		if (at_s > until_s)
			at_s = until_s;
	}
}

static int64_t nearest(int64_t time_s, int64_t now_s)
{
	if (time_s < rollup_kept_from(ROLLUP_HOUR, now_s))
		return rollup_floor(time_s + ROLLUP_DAY_S / 2, ROLLUP_DAY_S);
	if (time_s < rollup_kept_from(ROLLUP_MINUTE, now_s))
		return rollup_floor(time_s + ROLLUP_HOUR_S / 2, ROLLUP_HOUR_S);
	return rollup_floor(time_s + ROLLUP_MINUTE_S / 2, ROLLUP_MINUTE_S);
}

int stats_snap_span(int64_t *from_s, int64_t *until_s, int64_t now_s, struct err *err)
{
	if (*from_s < 0 || *from_s >= *until_s)
		return err_set(err, -EINVAL, "the span of time ends before it begins");
	if (*until_s > TIME_MAX_S)
		*until_s = TIME_MAX_S;
	*from_s = nearest(*from_s, now_s);
	*until_s = nearest(*until_s, now_s);
	if (*from_s < *until_s)
		return 0;
	return err_set(err, -ERANGE,
		"minutes are kept for 48 hours and hours for 90 days: nothing so short is "
		"known of that time");
}

/* -- rows ------------------------------------------------------------------------- */

static int first_day(struct txn *txn, int64_t *day_s)
{
	struct key prefix = { 0 };
	struct range range = { .limit = 1 };
	struct cursor *cursor;
	struct bytes key, value;
	uint8_t span;
	uint64_t start_s;
	int rc;

	key_u8(&prefix, ROLLUP_DAY);
	range.prefix = key_bytes(&prefix);
	if ((rc = cursor_open(&cursor, txn, &rollup_table, &range)) != 0)
		return rc;
	rc = cursor_next(cursor, &key, &value);
	if (rc > 0 && key_take_u8(&key, &span) == 0 && key_take_u64(&key, &start_s) == 0)
		*day_s = (int64_t)start_s;
	cursor_close(cursor);
	return rc < 0 ? rc : 0;
}

int stats_span_open(struct stats_span *span, struct txn *txn, int64_t from_s,
	int64_t until_s)
{
	int64_t first_s, last_s;
	int rc;

	*span = (struct stats_span) { .open_s = INT64_MIN };
	rc = rollup_open_minute(txn, &span->open_s);
	if (rc == -ENOENT)
		return 0;
	if (rc)
		return rc;
	/* There is nothing before the first day and behind the open minute's: who asks for
	 * a thousand years waits for what there is. */
	first_s = rollup_floor(span->open_s, ROLLUP_DAY_S);
	last_s = first_s + ROLLUP_DAY_S;
	if ((rc = first_day(txn, &first_s)) != 0)
		return rc;
	span->at_s = from_s > first_s ? from_s : first_s;
	span->until_s = until_s < last_s ? until_s : last_s;
	return 0;
}

static bool is_whole(const struct stats_span *span, int64_t size_s)
{
	return span->at_s % size_s == 0 && span->until_s - span->at_s >= size_s;
}

int stats_span_next(struct stats_span *span, enum rollup_span *rows, int64_t *start_s)
{
	int64_t size_s = ROLLUP_MINUTE_S;

	*rows = ROLLUP_MINUTE;
	if (span->is_open_due) {
		span->is_open_due = false;
		*start_s = span->open_s;
		return 1;
	}
	if (span->at_s >= span->until_s)
		return 0;
	if (is_whole(span, ROLLUP_DAY_S)) {
		*rows = ROLLUP_DAY;
		size_s = ROLLUP_DAY_S;
	} else if (is_whole(span, ROLLUP_HOUR_S)) {
		*rows = ROLLUP_HOUR;
		size_s = ROLLUP_HOUR_S;
	}
	*start_s = span->at_s;
	span->at_s += size_s;
	if (*rows != ROLLUP_MINUTE && span->open_s >= *start_s &&
		span->open_s < span->at_s)
		span->is_open_due = true;
	return 1;
}
