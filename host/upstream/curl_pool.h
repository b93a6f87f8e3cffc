/* curl_pool.h - the curl multi handles of one worker, their sockets and timers.
 *
 * libcurl walks over all transfers and connections of a multi handle for each request, so
 * the pool keeps many small ones (shards) of at most SHARD_OPEN transfers each. A new
 * transfer goes where an idle connection to its origin is, else to the least busy shard.
 * Which connections are idle is an estimate: a wrong guess costs a new connection.
 *
 * Inside of upstream/ only. Nothing here calls a transfer's handler, save shard_act() and
 * the events of the loop through transfer_end(). */
#pragma once

#include <curl/curl.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/list.h"
#include "base/map.h"

#define SHARD_OPEN 64        /* transfers at which a shard takes no more */
#define SHARD_CONNECTIONS 96 /* open and idle; more are closed, the oldest first */

struct curl_transfer;
struct transfers;

/* Scheme, host, port, proxy and trust: what connections can be shared by. Lives while
 * a handle or a connection refers to it. */
struct origin {
	struct curl_pool *pool;
	struct list idle; /* watches; the last one was used last */
	size_t ref_count;
	size_t key_size;
	char key[];
};

struct shard {
	struct curl_pool *pool;
	CURLM *multi;
	struct event timer;
	int64_t due_ms;   /* when curl wants to be called, -1: not */
	int64_t armed_ms; /* when the timer fires, -1: not */
	size_t open_count;
};

/* A socket of curl's. Its event stays registered when curl loses interest, because the
 * next request on the connection wants the same again. */
struct watch {
	struct event event;
	struct shard *shard;
	struct origin *origin; /* NULL: a socket of the resolver's */
	struct curl_transfer
		*user;    /* who used the connection last, NULL once it is gone */
	struct list idle; /* in origin->idle while nobody uses it */
	int fd;
	short registered; /* EV_READ, EV_WRITE; 0: the event is not added */
	bool is_wanted;
};

struct curl_pool {
	struct transfers *transfers;
	CURLSH *share; /* names that were looked up, TLS sessions */
	struct shard **shards;
	size_t shard_count;
	struct map *origins;
	struct watch **watches; /* by file descriptor */
	size_t watch_room;
	struct list handles; /* unused easy handles; the last one was used last */
	size_t handle_count;
};

MUST_CHECK
int curl_pool_new(struct curl_pool **out, struct transfers *transfers, struct err *err);
/* No transfer is left. */
void curl_pool_free(struct curl_pool *pool);

/* key as described at struct origin; counts one reference. */
struct origin *origin_of(struct curl_pool *pool, const char *key, size_t key_size);
void origin_unref(struct origin *origin);

/* The shard for one more transfer to the origin. */
struct shard *pool_pick(struct curl_pool *pool, const struct origin *origin);

/* Runs curl for a socket (or CURL_SOCKET_TIMEOUT) and reports what ended. */
void shard_act(struct shard *shard, curl_socket_t fd, int mask);
CURLMcode shard_add(struct shard *shard, CURL *easy);
void shard_remove(struct shard *shard, CURL *easy);
CURLcode shard_resume(struct shard *shard, CURL *easy);

/* curl_socket.c: the callbacks for curl's options. */
/* For the end: libcurl closes some sockets (of a connection that was never made)
 * without saying so. */
void socket_forget_all(struct curl_pool *pool);
int socket_changed(CURL *easy, curl_socket_t fd, int what, void *shard, void *unused);
curl_socket_t socket_open(void *transfer, curlsocktype purpose,
	struct curl_sockaddr *address);
int socket_close(void *pool, curl_socket_t fd);
/* The transfer lets go of its connection; is_reusable: it may serve again. */
void socket_release(struct curl_pool *pool, int fd, struct curl_transfer *user,
	bool is_reusable);
