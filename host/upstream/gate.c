#include "upstream/gate.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"

struct gate {
	struct transfers *transfers;
	struct transfer *transfer;
	gate_fn *on_change;
	void *arg;
	struct buf held;
	struct buf joined; /* data of an event with several lines */
	enum transfer_result result;
	bool is_ended;
	bool is_released; /* the first byte held is not the body's first any more */
};

/* on_change may close the gate: nothing is touched after it. */
static void tell(struct gate *gate)
{
	if (gate->on_change)
		gate->on_change(gate, gate->arg);
}

static void on_data(struct transfer *transfer, const char *data, size_t size, void *arg)
{
	struct gate *gate = arg;

	if (!gate->held.memory)
		transfers_lend(gate->transfers, &gate->held);
	buf_append(&gate->held, data, size);
	if (gate_is_full(gate))
		transfer_pause(transfer);
}

static void on_told(struct transfer *transfer, void *arg)
{
	(void)transfer;
	tell(arg);
}

static void on_end(struct transfer *transfer, enum transfer_result result, void *arg)
{
	struct gate *gate = arg;

	(void)transfer;
	gate->is_ended = true;
	gate->result = result;
	tell(gate);
}

static const struct transfer_handler handler = {
	.on_data = on_data,
	.on_told = on_told,
	.on_end = on_end,
};

struct gate *gate_start(struct transfers *transfers,
	const struct transfer_request *request, gate_fn *on_change, void *arg)
{
	struct gate *gate = mem_take(sizeof(*gate));

	*gate = (struct gate) {
		.on_change = on_change,
		.arg = arg,
		.transfers = transfers,
	};
	gate->transfer = transfer_start(transfers, request, &handler, gate);
	return gate;
}

void gate_watch(struct gate *gate, gate_fn *on_change, void *arg)
{
	gate->on_change = on_change;
	gate->arg = arg;
}

struct transfer *gate_transfer(const struct gate *gate)
{
	return gate->transfer;
}

bool gate_has_head(const struct gate *gate)
{
	return transfer_status(gate->transfer) != 0;
}

bool gate_is_ended(const struct gate *gate)
{
	return gate->is_ended;
}

enum transfer_result gate_result(const struct gate *gate)
{
	assert(gate->is_ended);
	return gate->result;
}

bool gate_is_full(const struct gate *gate)
{
	return buf_size(&gate->held) >= GATE_MAX;
}

const char *gate_data(const struct gate *gate)
{
	return buf_size(&gate->held) ? buf_data(&gate->held) : "";
}

size_t gate_size(const struct gate *gate)
{
	return buf_size(&gate->held);
}

/* The event behind the byte order mark, if there is one. */
static bool find_event(struct gate *gate, size_t offset, bool is_end,
	struct sse_event *event)
{
	const char *data = gate_data(gate) + offset;
	size_t size = gate_size(gate) - offset;
	size_t mark = !offset && !gate->is_released ? sse_bom(data, size) : 0;

	if (!sse_next(data + mark, size - mark, is_end, &gate->joined, event))
		return false;
	event->size += mark;
	return true;
}

int gate_event(struct gate *gate, size_t offset, struct sse_event *event)
{
	bool is_end = gate->is_ended && gate->result == TRANSFER_OK;

	assert(offset <= gate_size(gate));
	/* One that came whole with the last read is too long all the same. */
	if (find_event(gate, offset, is_end, event))
		return event->size > GATE_MAX ? -EMSGSIZE : 1;
	if (gate->is_ended)
		return -ENODATA;
	return gate_is_full(gate) ? -EMSGSIZE : 0;
}

void gate_release(struct gate *gate, size_t size)
{
	if (!size)
		return;
	gate->is_released = true;
	buf_consume(&gate->held, size);
	if (!buf_size(&gate->held)) /* a long stream holds nothing here */
		transfers_take_back(gate->transfers, &gate->held);
	if (!gate->is_ended && !gate_is_full(gate))
		transfer_resume(gate->transfer);
}

void gate_deadline(struct gate *gate, int ms)
{
	if (!gate->is_ended)
		transfer_set_deadline(gate->transfer, ms);
}

static void free_gate(struct gate *gate)
{
	transfers_take_back(gate->transfers, &gate->held);
	buf_clear(&gate->joined);
	mem_give(gate, sizeof(*gate));
}

void gate_close(struct gate *gate)
{
	if (!gate)
		return;
	transfer_close(gate->transfer);
	free_gate(gate);
}

void gate_linger(struct gate *gate, int ms)
{
	transfer_linger(gate->transfer, ms);
	free_gate(gate);
}
