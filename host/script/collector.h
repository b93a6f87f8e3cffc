/* collector.h - when a state collects its garbage, for budget.c and state.c only.
 *
 * LuaJIT would take a small step of a collection with each KiB that a run allocates. Each
 * step brings its code and thousands of objects into the processor's caches and throws out
 * what the request needs next, and the client waits for it. So steps are taken between runs,
 * behind what a run has sent, and larger ones where many requests have run. LuaJIT still
 * collects by itself in a run that allocates much more than all others. */
#pragma once

#include <stddef.h>

struct state;

void collector_open(struct state *state);
/* At the end of a run: a step, if one is due, or the word to whoever takes it. */
void collector_look(struct state *state);
/* The whole collection, at once. */
void collector_finish(struct state *state);
