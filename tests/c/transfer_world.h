/* transfer_world.h - an event loop with a pool of transfers, and one that notes what its
 * callbacks were told, for the tests of upstream/. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/turn.h"
#include "upstream/transfer.h"

#define WORLD_WAIT_MS 30000 /* a test that waits longer has failed */

struct world {
	struct event_base *base;
	struct turn *turn;
	struct transfers *transfers;
};

struct noted {
	struct transfer *transfer;
	struct buf body;
	int heads;
	int ends;
	enum transfer_result result;
	bool closes_at_data;
};

/* carrier: NULL, or "curl" for all that is asked from now on. */
static inline void world_choose(const char *carrier)
{
	if (carrier)
		setenv("NEAP_TRANSFER", carrier, 1);
	else
		unsetenv("NEAP_TRANSFER");
}

static inline void world_open(struct world *world)
{
	struct err err = { "" };

	world->base = event_base_new();
	world->turn = turn_new(world->base);
	if (transfers_new(&world->transfers, world->turn, &err) != 0)
		fail_msg("%s", err.text);
}

static inline void world_close(struct world *world)
{
	assert_int_equal(transfers_open_count(world->transfers), 0);
	transfers_free(world->transfers);
	turn_free(world->turn);
	event_base_free(world->base);
}

/* Runs the tests once on each carrier; returns how many failed. */
static inline int world_run_on_each(const struct CMUnitTest *tests, size_t count)
{
	int failed;

	world_choose(NULL);
	failed = _cmocka_run_group_tests("direct", tests, count, NULL, NULL);
	world_choose("curl");
	return failed + _cmocka_run_group_tests("curl", tests, count, NULL, NULL);
}

/* Runs the loop until *claim, which another thread may set atomically, is at least wanted. */
static inline void world_wait(struct world *world, const int *claim, int wanted)
{
	int64_t until = clock_ms() + WORLD_WAIT_MS;
	struct timeval slice = { .tv_usec = 20000 };

	while (__atomic_load_n(claim, __ATOMIC_ACQUIRE) < wanted) {
		if (clock_ms() > until)
			fail_msg("waited %d ms in vain", WORLD_WAIT_MS);
		event_base_loopexit(world->base, &slice);
		event_base_loop(world->base, EVLOOP_ONCE);
	}
}

static inline void noted_told(struct transfer *transfer, void *arg)
{
	struct noted *noted = arg;

	assert_int_equal(noted->ends, 0);
	if (!transfer_status(transfer))
		return;
	assert_true(transfer_status(transfer) >= 200);
	noted->heads = 1;
}

static inline void noted_data(struct transfer *transfer, const char *data, size_t size,
	void *arg)
{
	struct noted *noted = arg;

	assert_true(transfer_status(transfer) >= 200);
	buf_append(&noted->body, data, size);
	if (noted->closes_at_data) {
		transfer_close(transfer);
		noted->transfer = NULL;
		noted->ends++;
	}
}

static inline void noted_end(struct transfer *transfer, enum transfer_result result,
	void *arg)
{
	struct noted *noted = arg;

	assert_ptr_equal(transfer, noted->transfer);
	noted->ends++;
	noted->result = result;
}

static const struct transfer_handler noted_handler = {
	.on_data = noted_data,
	.on_told = noted_told,
	.on_end = noted_end,
};

static inline void noted_start(struct noted *noted, struct world *world,
	const struct transfer_request *request)
{
	memset(noted, 0, sizeof(*noted));
	noted->transfer = transfer_start(world->transfers, request, &noted_handler,
		noted);
	assert_int_equal(noted->ends, 0);
}

static inline void noted_clear(struct noted *noted)
{
	transfer_close(noted->transfer);
	noted->transfer = NULL;
	buf_clear(&noted->body);
}

static inline void assert_body(const struct noted *noted, const char *text)
{
	assert_int_equal(buf_size(&noted->body), strlen(text));
	if (*text)
		assert_memory_equal(buf_data(&noted->body), text, strlen(text));
}
