#include "upstream/curl_pool.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "upstream/curl_handle.h"
#include "upstream/curl_transfer.h"
#include "upstream/trust.h"

#define IDLE_LOOKS 8 /* idle connections that are looked at to find a shard with room */

struct origin *origin_of(struct curl_pool *pool, const char *key, size_t key_size)
{
	struct origin *origin = map_get(pool->origins, key, key_size);

	if (!origin) {
		origin = xcalloc(1, sizeof(*origin) + key_size);
		origin->pool = pool;
		origin->key_size = key_size;
		memcpy(origin->key, key, key_size);
		list_init(&origin->idle);
		map_set(pool->origins, key, key_size, origin);
	}
	origin->ref_count++;
	return origin;
}

void origin_unref(struct origin *origin)
{
	if (--origin->ref_count)
		return;
	map_remove(origin->pool->origins, origin->key, origin->key_size);
	free(origin);
}

/* The timer is moved only to an earlier time: a late wish lets it fire once too often,
 * which is cheaper than moving it for every request. */
static void settle_timer(struct shard *shard)
{
	int64_t wait_ms;

	if (shard->due_ms < 0 ||
		(shard->armed_ms >= 0 && shard->armed_ms <= shard->due_ms))
		return;
	wait_ms = shard->due_ms - clock_ms();
	if (wait_ms < 0)
		wait_ms = 0;
	struct timeval wait = { .tv_sec = wait_ms / 1000,
		.tv_usec = wait_ms % 1000 * 1000 };

	evtimer_add(&shard->timer, &wait);
	shard->armed_ms = shard->due_ms;
}

static int timer_changed(CURLM *multi, long timeout_ms, void *arg)
{
	struct shard *shard = arg;

	(void)multi;
	shard->due_ms = timeout_ms < 0 ? -1 : clock_ms() + timeout_ms;
	return 0;
}

static void enter(struct shard *shard)
{
	shard->pool->transfers->depth++;
}

static void leave(struct shard *shard)
{
	if (--shard->pool->transfers->depth == 0)
		settle_timer(shard);
}

static void report_ends(struct shard *shard)
{
	CURLMsg *message;
	int left;

	while ((message = curl_multi_info_read(shard->multi, &left))) {
		struct curl_transfer *transfer = NULL;
		CURLcode code = message->data.result;

		if (message->msg != CURLMSG_DONE)
			continue;
		curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &transfer);
		curl_transfer_done(transfer, code);
	}
}

void shard_act(struct shard *shard, curl_socket_t fd, int mask)
{
	int running;

	if (fd == CURL_SOCKET_TIMEOUT)
		/* Curl says anew what it wants, if it wants something else. */
		shard->due_ms = -1;
	enter(shard);
	curl_multi_socket_action(shard->multi, fd, mask, &running);
	leave(shard);
	report_ends(shard);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct shard *shard = arg;

	(void)fd;
	(void)what;
	shard->armed_ms = -1;
	if (shard->due_ms >= 0 && shard->due_ms <= clock_ms())
		shard_act(shard, CURL_SOCKET_TIMEOUT, 0);
	else
		settle_timer(shard);
}

CURLMcode shard_add(struct shard *shard, CURL *easy)
{
	CURLMcode code;

	enter(shard);
	code = curl_multi_add_handle(shard->multi, easy);
	leave(shard);
	return code;
}

void shard_remove(struct shard *shard, CURL *easy)
{
	enter(shard);
	curl_multi_remove_handle(shard->multi, easy);
	leave(shard);
}

CURLcode shard_resume(struct shard *shard, CURL *easy)
{
	CURLcode code;

	enter(shard);
	code = curl_easy_pause(easy, CURLPAUSE_CONT);
	leave(shard);
	return code;
}

static struct shard *add_shard(struct curl_pool *pool)
{
	struct shard *shard = xcalloc(1, sizeof(*shard));

	shard->pool = pool;
	shard->due_ms = -1;
	shard->armed_ms = -1;
	evtimer_assign(&shard->timer, pool->transfers->base, on_timer, shard);
	shard->multi = curl_multi_init();
	assert(shard->multi);
	curl_multi_setopt(shard->multi, CURLMOPT_SOCKETFUNCTION, socket_changed);
	curl_multi_setopt(shard->multi, CURLMOPT_SOCKETDATA, shard);
	curl_multi_setopt(shard->multi, CURLMOPT_TIMERFUNCTION, timer_changed);
	curl_multi_setopt(shard->multi, CURLMOPT_TIMERDATA, shard);
	curl_multi_setopt(shard->multi, CURLMOPT_PIPELINING, CURLPIPE_NOTHING);
	curl_multi_setopt(shard->multi, CURLMOPT_MAXCONNECTS, (long)SHARD_CONNECTIONS);
	pool->shards = xrealloc(pool->shards,
		(pool->shard_count + 1) * sizeof(struct shard *));
	pool->shards[pool->shard_count++] = shard;
	return shard;
}

static void free_shard(struct shard *shard)
{
	shard->pool->transfers->depth++; /* the timer is not wanted any more */
	curl_multi_cleanup(shard->multi);
	shard->pool->transfers->depth--;
	event_del(&shard->timer);
	free(shard);
}

struct shard *pool_pick(struct curl_pool *pool, const struct origin *origin)
{
	struct shard *least = NULL;
	struct list *at = origin->idle.previous;

	for (int looks = 0; at != &origin->idle && looks < IDLE_LOOKS; looks++) {
		struct watch *watch = CONTAINER_OF(at, struct watch, idle);

		if (watch->shard->open_count < SHARD_OPEN)
			return watch->shard;
		at = at->previous;
	}
	for (size_t i = 0; i < pool->shard_count; i++)
		if (!least || pool->shards[i]->open_count < least->open_count)
			least = pool->shards[i];
	if (!least || least->open_count >= SHARD_OPEN)
		least = add_shard(pool);
	return least;
}

int curl_pool_new(struct curl_pool **out, struct transfers *transfers, struct err *err)
{
	struct curl_pool *pool;
	struct trust *trust;
	int rc;

	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		return err_set(err, -EINVAL, "libcurl could not be initialised");
	/* Read now what would hold up the first request over TLS. */
	if ((rc = trust_find(&trust, NULL, err)) != 0) {
		curl_global_cleanup();
		return rc;
	}
	pool = xcalloc(1, sizeof(*pool));
	pool->transfers = transfers;
	pool->origins = map_new();
	list_init(&pool->handles);
	pool->share = curl_share_init();
	assert(pool->share);
	curl_share_setopt(pool->share, CURLSHOPT_SHARE, CURL_LOCK_DATA_DNS);
	curl_share_setopt(pool->share, CURLSHOPT_SHARE, CURL_LOCK_DATA_SSL_SESSION);
	*out = pool;
	return 0;
}

void curl_pool_free(struct curl_pool *pool)
{
	handles_free(pool);
	/* Before the shards: a descriptor that libcurl closes in silence may be another worker's
	 * a moment later. */
	socket_forget_all(pool);
	for (size_t i = 0; i < pool->shard_count; i++)
		free_shard(pool->shards[i]);
	free(pool->shards);
	curl_share_cleanup(pool->share);
	free(pool->watches);
	map_free(pool->origins);
	free(pool);
	curl_global_cleanup();
}
