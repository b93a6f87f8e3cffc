/* The deadlines of a transfer: one timer for whichever is next. */
#include "base/clock.h"
#include "upstream/transfer_inside.h"

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

void transfer_arm(struct transfer *transfer)
{
	int64_t nearest = transfer->is_stopped ? 0 : nearest_deadline(transfer);
	int64_t wait_ms;

	/* A timer that fires too early looks again: bytes that arrive only move a
	 * number. */
	if (!nearest || (transfer->clock.armed && transfer->clock.armed <= nearest))
		return;
	wait_ms = nearest - clock_ms();
	if (wait_ms < 0)
		wait_ms = 0;
	struct timeval wait = { .tv_sec = wait_ms / 1000,
		.tv_usec = wait_ms % 1000 * 1000 };

	evtimer_add(&transfer->timer, &wait);
	transfer->clock.armed = nearest;
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
	evtimer_assign(&transfer->timer, transfer->pool->base, on_timer, transfer);
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
