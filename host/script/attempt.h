/* attempt.h - one transfer to a provider as Lua sees it: the handle "neap.attempt".
 *
 * An attempt belongs to its request and dies with it; its transfer ends when Lua closes
 * it, when a relay takes it, or with the request. It counts as in flight at its key and
 * target from start to end, whatever Lua does. */
#pragma once

#include <stdbool.h>

#include <lua.h>

#include "base/list.h"

struct gate;
struct health;
struct request;
struct script;

/* Ends all attempts, and their transfers. */
void attempts_close(struct request *request);
/* Frees what script keeps of attempts that have ended. After its last generation. */
void attempts_free_spare(struct script *script);
/* Whether one of them has a transfer. */
/* Bytes of answers that they hold. */
size_t attempts_held(const struct request *request);
bool attempts_are_open(const struct request *request);
/* For the relay: takes gate and health from the attempt at index, which ends; raises if it
 * is closed. */
struct gate *attempt_take(lua_State *L, int index, struct health *health[2]);
/* The same without taking. */
struct gate *attempt_gate(lua_State *L, int index);
/* Ends it; raises if it is closed. */
void attempt_end(lua_State *L, int index);
