/* gate.h - holds a response back until somebody has decided that it is good.
 *
 * A gate owns a transfer and keeps the first bytes of its body (GATE_MAX; then it pauses
 * the transfer). Nothing is lost: what was looked at here is later relayed from the first
 * byte, or taken event by event. The gate knows no protocol: whoever asks (the dialect,
 * in Lua) reads events at offsets and decides.
 *
 * All on the worker's thread. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "upstream/sse.h"
#include "upstream/transfer.h"

#define GATE_MAX (256 * 1024)

struct gate;

/* Something changed: the head came, bytes came, the transfer ended, the deadline passed.
 * From the event loop only. */
typedef void gate_fn(struct gate *gate, void *arg);

struct gate *gate_start(struct transfers *transfers,
	const struct transfer_request *request, gate_fn *on_change, void *arg);
/* on_change NULL: nobody waits at the moment. */
void gate_watch(struct gate *gate, gate_fn *on_change, void *arg);
struct transfer *gate_transfer(const struct gate *gate);
bool gate_has_head(const struct gate *gate);
/* The transfer has ended, well or not. */
bool gate_is_ended(const struct gate *gate);
enum transfer_result gate_result(const struct gate *gate); /* once it has ended */
bool gate_is_full(const struct gate *gate);
/* What is held, from the first byte that was not released on. */
const char *gate_data(const struct gate *gate);
size_t gate_size(const struct gate *gate);
/* The event at offset (in what is held). 1: there is one; 0: not yet; -ENODATA: the body
 * has ended there; -EMSGSIZE: it does not fit into the gate. A byte order mark at the
 * start of the body counts to the first event's size. Good until the next call. */
int gate_event(struct gate *gate, size_t offset, struct sse_event *event);
/* Drops size bytes from the front: they are dealt with. */
void gate_release(struct gate *gate, size_t size);
/* If the transfer has not ended by then it is cut and counts as TRANSFER_TIMEOUT. ms from
 * now; 0 takes it back. For the first-event timer. */
void gate_deadline(struct gate *gate, int ms);
/* Ends the transfer if it runs. NULL is fine. Must not be called for a gate that a relay
 * took. */
void gate_close(struct gate *gate);
/* As gate_close(), but with transfer_linger(). */
void gate_linger(struct gate *gate, int ms);
