/* usage_said.c - see usage_said.h. The numbers are whole and bounded (json/look.h), so that
 * each sum is exact. */
#include "script/usage_said.h"

#include "script/usage.h"

#define RAW_READ_MAX 65536 /* bytes of text that are believed to be one usage */

static bool is_said(const struct look_answer *said, enum usage_said what)
{
	return said[what].kind != JSON_NONE;
}

static double at_least_0(double number)
{
	return number > 0 ? number : 0;
}

static double at_most(double number, double max)
{
	return number < max ? number : max;
}

bool usage_said_holds(const struct look_answer *said)
{
	return is_said(said, SAID_RAW) && said[SAID_RAW].size <= RAW_READ_MAX &&
		(is_said(said, SAID_PROMPT) || is_said(said, SAID_COMPLETION) ||
			is_said(said, SAID_TOTAL) || is_said(said, SAID_SECONDS));
}

/* Of prompt and answer one may be missing beside the total. */
static double missing(const struct look_answer *said, double other)
{
	return at_least_0(said[SAID_TOTAL].number - other);
}

/* Reasoning is part of the completion, but some providers count it beside. */
static bool is_beside(const struct look_answer *said, double completion, double prompt,
	double prompt_said)
{
	double reasoning = said[SAID_REASONING].number;
	double rest = said[SAID_TOTAL].number - completion - reasoning;

	return reasoning > 0 &&
		(reasoning > completion || rest == prompt || rest == prompt_said);
}

/* A provider that passes the bill of the user's own key on adds that. */
static double charged(const struct look_answer *said)
{
	if (!is_said(said, SAID_CHARGED))
		return -1;
	if (said[SAID_IS_BYOK].kind != JSON_TRUE)
		return said[SAID_CHARGED].number;
	return said[SAID_CHARGED].number + said[SAID_UPSTREAM_CHARGED].number;
}

void usage_said_read(const struct look_answer *said, struct usage *usage)
{
	struct record_usage *counted = &usage->counted;
	double cached = said[SAID_CACHED].number, written = said[SAID_WRITTEN].number;
	double parts = said[SAID_WRITTEN_5M].number + said[SAID_WRITTEN_1H].number;
	double reasoning = said[SAID_REASONING].number;
	double prompt = is_said(said, SAID_PROMPT)
		? said[SAID_PROMPT].number
		: missing(said, said[SAID_COMPLETION].number);
	double completion = is_said(said, SAID_COMPLETION) ? said[SAID_COMPLETION].number
							   : missing(said, prompt);
	double rest, audio;

	if (parts > written)
		written = parts;
	/* Parts that are more than the prompt were not counted in it. */
	rest = prompt - cached - written;
	if (rest < 0)
		rest = prompt;
	audio = at_most(said[SAID_AUDIO].number, rest);
	if (is_beside(said, completion, rest + cached + written, prompt))
		completion += reasoning;
	counted->is_known = true;
	counted->in_fresh = (uint64_t)(rest - audio);
	counted->cache_read = (uint64_t)cached;
	counted->cache_write_5m = (uint64_t)(written - said[SAID_WRITTEN_1H].number);
	counted->cache_write_1h = (uint64_t)said[SAID_WRITTEN_1H].number;
	counted->in_audio = (uint64_t)audio;
	counted->out_total = (uint64_t)completion;
	counted->reasoning = (uint64_t)reasoning;
	counted->requests = 1;
	counted->audio_ms = (uint64_t)(said[SAID_SECONDS].number * 1000 + 0.5);
	usage->out_audio = (uint64_t)at_least_0(
		at_most(said[SAID_OUT_AUDIO].number, completion - reasoning));
	usage->reported_cost = charged(said);
}
