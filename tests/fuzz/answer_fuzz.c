/* answer_fuzz.c - a provider's bytes against the reading of answers.
 *
 * The first byte of the input chooses how large the parts are in which they come, the second
 * whether the reader pauses. However they come, the same head and body must come out. */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "upstream/decode.h"
#include "upstream/direct_transfer.h"

struct reading {
	struct direct_transfer own;
	struct buf body;
	bool pauses;
	enum direct_taken taken;
};

static void check_head(const struct transfer *transfer)
{
	size_t count = transfer_header_count(transfer);
	const char *name, *value;

	if (!transfer_status(transfer))
		return;
	assert(transfer_status(transfer) >= 200 && count <= 256);
	for (size_t i = 0; i < count; i++) {
		transfer_header_at(transfer, i, &name, &value);
		assert(*name && !strpbrk(name, "\n") && !strpbrk(value, "\n"));
	}
}

static void on_data(struct transfer *transfer, const char *data, size_t size, void *arg)
{
	struct reading *reading = arg;

	assert(size && !transfer->is_paused && transfer_status(transfer));
	buf_append(&reading->body, data, size);
	transfer->is_paused = reading->pauses;
}

static const struct transfer_handler handler = { .on_data = on_data };

static void take(struct reading *reading, const char *data, size_t size)
{
	struct buf *held = &reading->own.held;
	size_t used;

	buf_append(held, data, size);
	do {
		reading->own.transfer.is_paused = false;
		reading->taken = direct_take(&reading->own,
			buf_size(held) ? buf_data(held) : "", buf_size(held), &used);
		assert(used <= buf_size(held));
		check_head(&reading->own.transfer);
		buf_consume(held, used);
	} while (reading->taken == DIRECT_STALLED);
}

static void read_all(struct reading *reading, const char *data, size_t size, size_t part)
{
	struct direct_transfer *own = &reading->own;
	size_t at = 0;

	own->transfer.handler = &handler;
	own->transfer.arg = reading;
	own->transfer.carrier = &direct_carrier;
	own->transfer.head.length = -1;
	own->transfer.decoded_max = 1 << 20;
	own->is_sent = true;
	while (reading->taken == DIRECT_MORE && at < size) {
		size_t now = size - at < part ? size - at : part;

		take(reading, data + at, now);
		at += now;
	}
	if (reading->taken == DIRECT_MORE && own->state == DIRECT_CLOSE) {
		own->state = DIRECT_DONE;
		take(reading, "", 0);
	}
}

static void clear(struct reading *reading)
{
	buf_clear(&reading->own.held);
	buf_clear(&reading->own.transfer.head.fields);
	free(reading->own.transfer.error);
	decoder_free(reading->own.decoder);
	buf_clear(&reading->body);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{
	struct reading whole = { .taken = DIRECT_MORE }, parts = { .taken = DIRECT_MORE };

	if (size < 3)
		return 0;
	parts.pauses = input[1] & 1;
	read_all(&whole, (const char *)input + 2, size - 2, size);
	read_all(&parts, (const char *)input + 2, size - 2, input[0] + 1u);
	assert(whole.taken == parts.taken);
	assert(whole.own.transfer.head.status == parts.own.transfer.head.status);
	assert(whole.own.transfer.head.field_count ==
		parts.own.transfer.head.field_count);
	/* What is refused may have been handed on up to another place. */
	if (whole.taken != DIRECT_FAILED) {
		assert(buf_size(&whole.body) == buf_size(&parts.body));
		assert(!buf_size(&whole.body) ||
			memcmp(buf_data(&whole.body), buf_data(&parts.body),
				buf_size(&whole.body)) == 0);
	}
	clear(&whole);
	clear(&parts);
	return 0;
}
