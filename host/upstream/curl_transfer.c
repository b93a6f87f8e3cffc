#include "upstream/curl_transfer.h"

#include <stdlib.h>
#include <string.h>

#include "upstream/curl_handle.h"
#include "upstream/curl_pool.h"

static enum transfer_result result_of(const struct transfer *transfer, CURLcode code)
{
	switch (code) {
	case CURLE_OK:
		return TRANSFER_OK;
	case CURLE_COULDNT_RESOLVE_HOST:
	case CURLE_COULDNT_RESOLVE_PROXY:
	case CURLE_COULDNT_CONNECT:
	case CURLE_PROXY:
		return TRANSFER_CONNECT;
	case CURLE_OPERATION_TIMEDOUT:
		return transfer->is_connected ? TRANSFER_TIMEOUT : TRANSFER_CONNECT;
	case CURLE_SEND_ERROR:
	case CURLE_RECV_ERROR:
	case CURLE_GOT_NOTHING:
	case CURLE_PARTIAL_FILE:
	case CURLE_SEND_FAIL_REWIND:
		return transfer->is_connected ? TRANSFER_RESET : TRANSFER_CONNECT;
	case CURLE_SSL_CONNECT_ERROR:
	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_SSL_CERTPROBLEM:
	case CURLE_SSL_CIPHER:
	case CURLE_SSL_CACERT_BADFILE:
	case CURLE_SSL_ISSUER_ERROR:
	case CURLE_SSL_INVALIDCERTSTATUS:
	case CURLE_SSL_SHUTDOWN_FAILED:
		return TRANSFER_TLS;
	default:
		return TRANSFER_PROTOCOL;
	}
}

void curl_transfer_done(struct curl_transfer *own, CURLcode code)
{
	struct transfer *transfer = &own->transfer;
	enum transfer_result result = result_of(transfer, code);
	const char *text = own->curl_error;

	if (code != CURLE_OK && transfer->is_refused && !transfer->is_connected)
		transfer_fail_refused(transfer);
	/* A text that quotes a URL may hold a key or a password. */
	if (!*text || strstr(text, "://"))
		text = curl_easy_strerror(code);
	if (code != CURLE_OK)
		transfer_fail(transfer, result, "%s", text);
	if (transfer->failure)
		result = transfer->failure;
	transfer_end(transfer, result);
}

/* -- the carrier ------------------------------------------------------------------- */

static void prepare(struct transfer *transfer, const struct transfer_request *request,
	struct outline *outline)
{
	struct curl_transfer *own = curl_transfer_of(transfer);

	(void)outline;
	own->fd = -1;
	own->handle = handle_take(transfer->pool->curl, request);
	request_prepare(own, request);
	transfer_push_pending(transfer);
}

static void begin(struct transfer *transfer)
{
	struct curl_transfer *own = curl_transfer_of(transfer);
	struct shard *shard = pool_pick(transfer->pool->curl, own->handle->origin);

	own->shard = shard;
	shard->open_count++;
	if (shard_add(shard, own->handle->easy) != CURLM_OK) {
		shard->open_count--;
		own->shard = NULL;
		transfer_end(transfer, TRANSFER_PROTOCOL);
		return;
	}
	/* Spares the wait for a timer of 0 ms. */
	shard_act(shard, CURL_SOCKET_TIMEOUT, 0);
}

static void resume(struct transfer *transfer)
{
	struct curl_transfer *own = curl_transfer_of(transfer);
	struct shard *shard = own->shard;
	CURLcode code = shard_resume(shard, own->handle->easy);

	/* What the handler did meanwhile counts; a failure here makes no
	 * message of curl's. */
	if (code != CURLE_OK)
		curl_transfer_done(own, code);
	else
		shard_act(shard, CURL_SOCKET_TIMEOUT, 0);
}

static void stop(struct transfer *transfer, bool is_reusable)
{
	struct curl_transfer *own = curl_transfer_of(transfer);

	if (own->shard) {
		shard_remove(own->shard, own->handle->easy);
		own->shard->open_count--;
	}
	socket_release(transfer->pool->curl, own->fd, own, is_reusable);
	handle_give(own->handle);
	free(own->gathered);
	own->gathered = NULL;
	own->handle = NULL;
	own->shard = NULL;
}

const struct transfer_carrier curl_carrier = {
	.size = sizeof(struct curl_transfer),
	.prepare = prepare,
	.begin = begin,
	.resume = resume,
	.stop = stop,
	.is_free_of_pieces = request_is_free_of_pieces,
	.drop_sent = request_drop_sent,
};
