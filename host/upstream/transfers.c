/* The pool of transfers of one worker. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "upstream/channel.h"
#include "upstream/curl_pool.h"
#include "upstream/outline.h"
#include "upstream/transfer_inside.h"

#define SPARE_MAX 16384 /* bytes of memory that are kept for the next answer */

const struct transfer_carrier *transfers_carrier(const struct transfers *pool,
	const struct transfer_request *request, const struct outline *outline)
{
	if (pool->is_all_curl || request->proxy || !outline->is_plain)
		return &curl_carrier;
	return &direct_carrier;
}

int transfers_new(struct transfers **out, struct turn *turn, struct err *err)
{
	const char *carrier = getenv("NEAP_TRANSFER");
	struct transfers *pool = xcalloc(1, sizeof(*pool));
	int rc = curl_pool_new(&pool->curl, pool, err);

	if (rc != 0) {
		free(pool);
		return rc;
	}
	transfers_init(pool, turn);
	pool->channels = channels_new(pool->base);
	pool->is_all_curl = carrier && strcmp(carrier, "curl") == 0;
	*out = pool;
	return 0;
}

size_t transfers_open_count(const struct transfers *pool)
{
	return pool->open_count;
}

void transfers_lend(struct transfers *pool, struct buf *buf)
{
	*buf = pool->spare;
	pool->spare = (struct buf) { 0 };
}

void transfers_take_back(struct transfers *pool, struct buf *buf)
{
	if (pool->spare.memory || buf->capacity > SPARE_MAX) {
		buf_clear(buf);
		return;
	}
	buf_reset(buf);
	pool->spare = *buf;
	*buf = (struct buf) { 0 };
}

void transfers_free(struct transfers *pool)
{
	if (!pool)
		return;
	assert(pool->depth == 0);
	while (!list_is_empty(&pool->transfers))
		transfer_close(CONTAINER_OF(pool->transfers.next, struct transfer, link));
	event_del(&pool->kick);
	event_del(&pool->look);
	channels_free(pool->channels);
	curl_pool_free(pool->curl);
	buf_clear(&pool->spare);
	free(pool);
}
