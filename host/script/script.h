/* script.h - the Lua side of one worker: its generations and the requests in them.
 *
 * All on the worker's thread, save where a function says otherwise. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/list.h"
#include "http/exchange.h"

struct errands;
struct event_base;
struct generation;
struct process;
struct record_reading;
struct request;
struct transfers;
struct turn;

struct script {
	struct event_base *base;
	struct turn *turn;
	struct transfers *transfers;
	struct process *process;
	int worker;
	bool is_admin; /* may seal, unseal and reload */
	struct errands *errands;
	struct generation *current;
	struct list requests;       /* every request that is not freed yet */
	struct list spare_attempts; /* that have ended: script/attempt.c */
	uint64_t last_attempt;      /* its number */
	struct list spawned;        /* fibers that belong to no request: script/spawn.c */
	int spawned_count;
	struct generation *dead[16]; /* nobody refers to them; freed by the reaper */
	int dead_count;
	struct event *reaper;
	struct record_reading *reading; /* of the request that ends */
	size_t copy_room;               /* see script/kept_bodies.h */
	struct buf line;                /* the log line that is being written */
};

struct script *script_new(struct turn *turn, struct transfers *transfers,
	struct process *process, int worker);
/* Takes the generation: requests from now on use it. What the relays of the old one still
 * need is packed into text, so that they let go of it now. */
void script_adopt(struct script *script, struct generation *generation);
/* Frees the generation from the event loop. */
void script_bury(struct script *script, struct generation *generation);
size_t script_request_count(const struct script *script);
/* The state of the generation in force is full, see state_is_full(). */
bool script_is_full(const struct script *script);
/* neap stops: no request is left without an answer or a record. */
void script_break_off(struct script *script);
/* Ends whatever is left and lets go of the generation. */
void script_free(struct script *script);

/* For the listener; its arg is the struct script. */
extern const struct http_handler script_http_handler;
