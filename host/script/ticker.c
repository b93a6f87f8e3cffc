/* ticker.c - one timer per thread on the clock of that thread's CPU time. */
#include "script/ticker.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#ifdef __has_feature
#if __has_feature(thread_sanitizer)
#define HAS_NO_TICKS
#endif
#endif

/* Of the real-time signals since libraries leave those alone. */
#define TICKER_SIGNAL (SIGRTMIN + 4)

static _Thread_local ticker_fn *on_tick_here;
static _Thread_local timer_t timer;
static _Thread_local bool is_running;

#ifdef HAS_NO_TICKS

int ticker_start(ticker_fn *on_tick, struct err *err)
{
	on_tick_here = on_tick;
	return err_set(err, -ENOTSUP, "there are no ticks under this sanitizer");
}

#else

static void on_signal(int number)
{
	int saved = errno;

	(void)number;
	on_tick_here();
	errno = saved;
}

static void let_signal_in(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, TICKER_SIGNAL);
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

int ticker_start(ticker_fn *on_tick, struct err *err)
{
	const struct itimerspec every = {
		.it_value.tv_nsec = TICKER_MS * 1000000L,
		.it_interval.tv_nsec = TICKER_MS * 1000000L,
	};
	struct sigaction action = { .sa_handler = on_signal, .sa_flags = SA_RESTART };
	struct sigevent event = { .sigev_notify = SIGEV_THREAD_ID,
		.sigev_signo = TICKER_SIGNAL };

	on_tick_here = on_tick;
	sigemptyset(&action.sa_mask);
	if (sigaction(TICKER_SIGNAL, &action, NULL) != 0)
		return err_set(err, -errno, "sigaction: %s", strerror(errno));
	/* The C library has no name of its own for this member everywhere. */
	event._sigev_un._tid = gettid();
	if (timer_create(CLOCK_THREAD_CPUTIME_ID, &event, &timer) != 0)
		return err_set(err, -errno, "timer_create: %s", strerror(errno));
	let_signal_in();
	is_running = true;
	timer_settime(timer, 0, &every, NULL);
	return 0;
}

#endif

void ticker_stop(void)
{
	if (!is_running)
		return;
	timer_delete(timer);
	is_running = false;
}
