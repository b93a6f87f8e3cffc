/* legs.h - the legs of a race as Lua sees them: the handle "neap.legs".
 *
 * A leg is a function that runs in a fiber of its own, for the same request and beside the
 * fiber that began it. It belongs to its request: whatever ends that one's fiber (the
 * client has left, an error) ends the legs too, and what they wait for is taken back. Who
 * began them hears of each end once, in wait(); close() ends those that still run.
 *
 * Legs know nothing of answers: who wins, and which transfers end with a leg, is decided
 * in neap.race. */
#pragma once

#include <lua.h>

struct request;

/* Ends all legs of the request that still run and empties their handles. Not from within
 * the run of one of them. */
void legs_close(struct request *request);
