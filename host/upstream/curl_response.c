/* What comes back to a transfer that curl carries: lines of the head, and the body. */
#include <string.h>

#include "base/clock.h"
#include "upstream/curl_handle.h"
#include "upstream/curl_tls.h"
#include "upstream/curl_transfer.h"

size_t response_head_line(char *line, size_t size, size_t count, void *arg)
{
	struct curl_transfer *own = arg;
	struct transfer *transfer = &own->transfer;
	size_t left = size * count;
	bool is_good;

	if (!transfer_count_head(transfer, left))
		return 0;
	if (transfer->head.is_complete)
		return left; /* trailers */
	while (left && (line[left - 1] == '\n' || line[left - 1] == '\r'))
		left--;
	is_good = !transfer->is_closed && transfer_take_line(transfer, line, left);
	if (is_good && transfer->head.is_complete)
		is_good = transfer_told(transfer);
	return is_good ? size * count : 0;
}

static bool is_within_limits(struct curl_transfer *own, size_t size)
{
	curl_off_t came = 0;

	curl_easy_getinfo(own->handle->easy, CURLINFO_SIZE_DOWNLOAD_T, &came);
	return transfer_count_decoded(&own->transfer, size, (uint64_t)came);
}

size_t response_data(char *data, size_t size, size_t count, void *arg)
{
	struct curl_transfer *own = arg;
	struct transfer *transfer = &own->transfer;

	size *= count;
	if (transfer->is_closed)
		return size + 1;
	if (transfer->is_paused) {
		transfer->is_stalled = true;
		return CURL_WRITEFUNC_PAUSE;
	}
	if (transfer->head.is_encoded && !is_within_limits(own, size))
		return size + 1;
	/* OpenSSL takes a buffer of 16 KiB to read the server's tickets, for an answer that it
	 * has none to give to, and frees it with the next write: a stream writes no more. */
	if (transfer->is_streamed && !own->is_lean)
		own->is_lean = tls_free_buffers(own->handle->easy);
	transfer->clock.read = clock_ms();
	if (transfer->handler->on_data)
		transfer->handler->on_data(transfer, data, size, transfer->arg);
	return !transfer->is_closed && transfer_told(transfer) ? size : size + 1;
}
