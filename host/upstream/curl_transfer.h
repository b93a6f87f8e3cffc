/* curl_transfer.h - a transfer that libcurl carries, for the files that make it up.
 *
 * curl_transfer.c is its life, curl_request.c what is sent, curl_response.c what comes
 * back. Inside of upstream/ only. */
#pragma once

#include <curl/curl.h>

#include "upstream/transfer_inside.h"

struct handle;
struct shard;

struct curl_transfer {
	struct transfer transfer;
	struct handle *handle; /* NULL: curl has nothing to do with it any more */
	struct shard *shard;   /* NULL: not given to curl (yet, or any more) */
	int fd;
	bool is_lean;   /* a stream: what only its beginning needed is freed */
	char *gathered; /* a copy of small pieces in one run, or NULL */
	char curl_error[CURL_ERROR_SIZE];
};

/* transfer: carried by curl. */
static inline struct curl_transfer *curl_transfer_of(const struct transfer *transfer)
{
	return CONTAINER_OF(transfer, struct curl_transfer, transfer);
}

/* Curl is through with it. */
void curl_transfer_done(struct curl_transfer *own, CURLcode code);

/* curl_request.c: sets the options of the transfer's handle. On a failure the error is
 * noted. */
void request_prepare(struct curl_transfer *own, const struct transfer_request *request);
/* For the carrier's members of these names. */
bool request_is_free_of_pieces(const struct transfer *transfer);
void request_drop_sent(struct transfer *transfer);
/* The callbacks for curl; own is the curl_transfer. */
size_t request_read(char *room, size_t size, size_t count, void *own);
int request_seek(void *own, curl_off_t offset, int origin);
int request_ready(void *own, char *peer, char *local, int peer_port, int local_port);

/* curl_response.c: the callbacks for curl. */
size_t response_head_line(char *line, size_t size, size_t count, void *own);
size_t response_data(char *data, size_t size, size_t count, void *own);
