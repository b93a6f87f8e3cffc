/* The SSE splitter: whatever the bytes and wherever they are cut, all of them come out
 * again, in the same events. The first byte of the input chooses the cut. */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "upstream/sse.h"

static size_t take(struct buf *events, const char *data, size_t size, bool is_end)
{
	struct buf joined = { 0 };
	struct sse_event event;
	size_t at = 0;

	while (sse_next(data + at, size - at, is_end, &joined, &event)) {
		assert(event.size > 0 && event.size <= size - at);
		if (event.data)
			buf_append(events, event.data, event.data_size);
		if (event.name)
			buf_append(events, event.name, event.name_size);
		if (event.data || event.name)
			buf_append(events, "\n", 1);
		at += event.size;
	}
	buf_clear(&joined);
	return at;
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{
	struct buf whole = { 0 }, parts = { 0 };
	char *data;
	size_t cut, at;

	if (size < 1)
		return 0;
	cut = size > 1 ? input[0] % size : 0;
	size--;
	data = malloc(size + 1);
	memcpy(data, input + 1, size);
	at = take(&whole, data, size, true);
	assert(at == size);
	at = take(&parts, data, cut, false);
	at += take(&parts, data + at, size - at, true);
	assert(at == size);
	assert(buf_size(&whole) == buf_size(&parts));
	assert(!buf_size(&whole) ||
		memcmp(buf_data(&whole), buf_data(&parts), buf_size(&whole)) == 0);
	buf_clear(&whole);
	buf_clear(&parts);
	free(data);
	return 0;
}
