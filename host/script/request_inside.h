/* request_inside.h - what the three files of a request share: request.c (its life and its
 * fibers), request_intake.c (the client's side) and request_relay.c (the way without Lua). */
#pragma once

#include "script/generation.h"
#include "script/request.h"

#define LEAVE_DRAIN_MS 30000   /* on_disconnect = "drain": reads on for so long */
#define LEAVE_DETACH_MS 900000 /* on_disconnect = "detach": a bound all the same */

struct request *request_new(struct script *script, struct exchange *exchange);
/* In request_intake.c: hands it to the router. */
void request_run_serve(struct turn_task *task);
/* Pushes a function of the side's module and the request's handle; more arguments may follow. */
void request_push_call(struct request *request, enum generation_call call);
/* Runs it in a fiber. argument_count: the handle and what was pushed behind it. The request
 * may be gone when this returns. */
void request_run(struct request *request, int argument_count);
/* In api_record.c: writes the record of a request whose end Lua could not tell: what the host
 * itself knows of it. why: of the failure, or NULL. */
void request_record_plainly(struct request *request, const char *why);
/* The relay's part in the counts of what is in flight ends. */
void request_end_health(struct request *request);
/* Empties the handle and lets go of generation, record and attempts. */
void request_drop_generation(struct request *request);
