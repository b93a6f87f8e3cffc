/* The deadlines of a transfer. Most transfers end long before any of them: the pool looks at
 * all of its transfers now and then, and only one with a deadline before the next look has a
 * timer of its own, for whichever is next. */
#include "base/clock.h"
#include "upstream/transfer_inside.h"

#define LOOK_MS 1000 /* between two looks of the pool */

static int64_t earlier(int64_t one, int64_t other)
{
	return !one || (other && other < one) ? other : one;
}

static int64_t deadline_in(int64_t now, int ms)
{
	return ms > 0 ? now + ms : 0;
}

static int64_t idle_deadline(const struct transfer *transfer)
{
	if (!transfer->head.is_complete || transfer->is_paused ||
		!transfer->timeouts.idle)
		return 0;
	return transfer->clock.read + transfer->timeouts.idle;
}

static int64_t nearest_deadline(const struct transfer *transfer)
{
	const struct transfer_clock *clock = &transfer->clock;
	int64_t nearest = earlier(clock->total, clock->extra);

	if (!transfer->is_connected)
		nearest = earlier(nearest, clock->connect);
	nearest = earlier(nearest, clock->first_byte);
	return earlier(nearest, idle_deadline(transfer));
}

static void add_timer(struct event *timer, int64_t wait_ms)
{
	struct timeval wait = { 0 };

	if (wait_ms > 0) {
		wait.tv_sec = wait_ms / 1000;
		wait.tv_usec = wait_ms % 1000 * 1000;
	}
	evtimer_add(timer, &wait);
}

static void arm_look(struct transfers *pool)
{
	pool->look_at = clock_ms() + LOOK_MS;
	add_timer(&pool->look, LOOK_MS);
}

static void on_timer(evutil_socket_t fd, short what, void *arg);

void transfer_arm(struct transfer *transfer)
{
	struct transfer_clock *clock = &transfer->clock;
	struct transfers *pool = transfer->pool;
	int64_t nearest = transfer->is_stopped ? 0 : nearest_deadline(transfer);

	/* A timer that fires too early looks again: bytes that arrive only move a
	 * number. */
	if (!nearest || (clock->armed && clock->armed <= nearest))
		return;
	if (!pool->look_at)
		arm_look(pool);
	if (nearest > pool->look_at)
		return;
	if (!clock->armed)
		evtimer_assign(&transfer->timer, pool->base, on_timer, transfer);
	add_timer(&transfer->timer, nearest - clock_ms());
	clock->armed = nearest;
}

static void on_look(evutil_socket_t fd, short what, void *arg)
{
	struct transfers *pool = arg;

	(void)fd;
	(void)what;
	pool->look_at = 0;
	if (!pool->open_count)
		return;
	arm_look(pool);
	for (struct list *at = pool->transfers.next; at != &pool->transfers;
		at = at->next)
		transfer_arm(CONTAINER_OF(at, struct transfer, link));
}

void transfers_clock_init(struct transfers *pool)
{
	evtimer_assign(&pool->look, pool->base, on_look, pool);
}

void transfer_disarm(struct transfer *transfer)
{
	if (transfer->clock.armed)
		event_del(&transfer->timer);
	transfer->clock.armed = 0;
}

static bool is_over(int64_t deadline, int64_t now)
{
	return deadline && deadline <= now;
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct transfer *transfer = arg;
	struct transfer_clock *clock = &transfer->clock;
	int64_t now = clock_ms();

	(void)fd;
	(void)what;
	clock->armed = 0;
	if (!transfer->is_connected && is_over(clock->connect, now))
		transfer_fail(transfer, TRANSFER_CONNECT, "no connection within %d ms",
			transfer->timeouts.connect);
	else if (is_over(clock->first_byte, now))
		transfer_fail(transfer, TRANSFER_TIMEOUT, "no answer within %d ms",
			transfer->timeouts.first_byte);
	else if (is_over(idle_deadline(transfer), now))
		transfer_fail(transfer, TRANSFER_TIMEOUT, "nothing came for %d ms",
			transfer->timeouts.idle);
	else if (is_over(clock->total, now))
		transfer_fail(transfer, TRANSFER_TIMEOUT, "not finished within %d ms",
			transfer->timeouts.total);
	else if (is_over(clock->extra, now))
		transfer_fail(transfer, TRANSFER_TIMEOUT, "the deadline has passed");
	if (transfer->failure)
		transfer_end(transfer, transfer->failure);
	else
		transfer_arm(transfer);
}

void transfer_clock_start(struct transfer *transfer)
{
	struct transfer_clock *clock = &transfer->clock;
	int64_t now = clock_ms();

	clock->connect = deadline_in(now, transfer->timeouts.connect);
	clock->first_byte = deadline_in(now, transfer->timeouts.first_byte);
	clock->total = deadline_in(now, transfer->timeouts.total);
	transfer_arm(transfer);
}

void transfer_restart_idle(struct transfer *transfer)
{
	transfer->clock.read = clock_ms();
	transfer_arm(transfer);
}

void transfer_restart_connect(struct transfer *transfer)
{
	transfer->is_connected = false;
	transfer->clock.connect = deadline_in(clock_ms(), transfer->timeouts.connect);
	transfer_arm(transfer);
}

void transfer_set_deadline(struct transfer *transfer, int ms)
{
	transfer->clock.extra = deadline_in(clock_ms(), ms);
	transfer_arm(transfer);
}
