/* usage_said.h - usage out of the numbers that a provider of OpenAI's protocol says. */
#pragma once

#include <stdbool.h>

#include "json/look.h"

struct usage;

/* The answers, in the order of the questions in lua/neap/usage.lua. */
enum usage_said {
	SAID_RAW, /* the text of them all */
	SAID_PROMPT,
	SAID_COMPLETION,
	SAID_TOTAL,
	SAID_CACHED,
	SAID_WRITTEN_5M,
	SAID_WRITTEN_1H,
	SAID_WRITTEN,
	SAID_AUDIO,
	SAID_REASONING,
	SAID_OUT_AUDIO,
	SAID_SECONDS,
	SAID_CHARGED,
	SAID_IS_BYOK,
	SAID_UPSTREAM_CHARGED,
	SAID_COUNT,
};

/* Whether there is any count in it. */
bool usage_said_holds(const struct look_answer *said);
/* Fills all but the text. Every part is at most the whole that it is of. */
void usage_said_read(const struct look_answer *said, struct usage *usage);
