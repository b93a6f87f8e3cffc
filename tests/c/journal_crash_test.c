/* A journal whose process is killed at any moment: it opens, its tables agree, and only
 * the last moment is missing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <signal.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "journal_check.h"
#include "storage/stats.h"

#define RATE 20 /* records in a millisecond */
#define LOSS_US 50000
#define HISTORY \
	4096 /* milliseconds of which the parent knows how many records there were */

static char place[128];

/* What the child says: so many records were pushed by then. */
struct moment {
	uint64_t count;
	int64_t us; /* monotonic; the same in both processes */
};

static int64_t slack(void)
{
	const char *text = getenv("NEAP_SLACK");

	return text ? strtol(text, NULL, 10) : 5;
}

static struct store *open_store(void)
{
	struct store *store = NULL;
	struct err err = { "" };

	if (store_open(&store, place, &journal_layout, &err) != 0)
		fail_msg("%s", err.text);
	return store;
}

/* -- the child -------------------------------------------------------------------- */

/* Old records are removed all the while. The record's generation is its number. */
static void push_for_ever(int out, uint64_t number)
{
	struct journal_options options = { .worker_count = 1,
		.retention = { .record_bytes = 1024 * 1024 } };
	struct record_source source = { .seed = number,
		.end_us = clock_wall_us(),
		.step_us = 1000 / RATE };
	struct journal *journal;
	struct store *store;

	if (store_open(&store, place, &journal_layout, NULL) != 0 ||
		journal_start(&journal, store, &options, NULL) != 0)
		_exit(1);
	for (;;) {
		struct moment moment;

		for (int i = 0; i < RATE; i++) {
			struct record record = source_next(&source);

			record.generation = ++number;
			if (!journal_push(journal, 0, &record, NULL))
				_exit(2);
		}
		moment = (struct moment) { number, clock_us() };
		if (write(out, &moment, sizeof(moment)) != sizeof(moment))
			_exit(3);
		nanosleep(&(struct timespec) { 0, 900000 }, NULL);
	}
}

/* -- the parent ------------------------------------------------------------------- */

struct fall {
	struct moment moments[HISTORY];
	size_t count;
	int64_t us;
};

static void kill_one(struct fall *fall, uint64_t number, unsigned *seed)
{
	size_t lines = 20 + (size_t)rand_r(seed) % 200;
	useconds_t more_us = (useconds_t)rand_r(seed) % 3000;
	int ends[2], status;
	pid_t child;

	assert_int_equal(pipe(ends), 0);
	child = fork();
	if (child == 0) {
		close(ends[0]);
		push_for_ever(ends[1], number);
	}
	close(ends[1]);
	fall->count = 0;
	while (fall->count < lines &&
		read(ends[0], &fall->moments[fall->count], sizeof(struct moment)) ==
			sizeof(struct moment))
		fall->count++;
	usleep(more_us);
	fall->us = clock_us();
	kill(child, SIGKILL);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(fall->count, lines);
	while (fall->count < HISTORY &&
		read(ends[0], &fall->moments[fall->count], sizeof(struct moment)) ==
			sizeof(struct moment))
		fall->count++;
	close(ends[0]);
}

/* How long before the fall the oldest of the lost records was pushed. */
static int64_t loss_us(const struct fall *fall, uint64_t last)
{
	for (size_t i = 0; i < fall->count; i++)
		if (fall->moments[i].count > last)
			return fall->us - fall->moments[i].us;
	return 0;
}

/* How many records the statistics have counted, ever. */
static int count_sums(struct txn *txn, void *arg, struct err *err)
{
	int64_t now_s = clock_wall_us() / 1000000;
	struct stats_query query = { .now_s = now_s,
		.from_s = now_s - 7200,
		.until_s = now_s + 7200,
		.filter = ROLLUP_ALL };
	struct buf out = { 0 };
	const char *requests;
	int rc = stats_overview(txn, &query, &out, err);

	buf_append(&out, "", 1);
	requests = strstr(buf_data(&out), "\"requests\":");
	*(uint64_t *)arg = requests ? strtoull(requests + 11, NULL, 10) : 0;
	buf_clear(&out);
	return rc;
}

static void only_the_last_moment_is_lost(void **state)
{
	int rounds = getenv("NEAP_DEEP") ? 250 : 10, slow = 0;
	unsigned seed = (unsigned)clock_us();
	static struct fall fall;
	uint64_t number = 0, counted;

	(void)state;
	for (int i = 0; i < rounds; i++) {
		struct journal_tally tally;
		struct store *store;

		kill_one(&fall, number, &seed);
		store = open_store();
		assert_int_equal(store_read(store, check_journal, &tally, NULL), 0);
		assert_int_equal(store_read(store, count_sums, &counted, NULL), 0);
		store_close(store);
		/* Without a gap, up to where it ends. */
		if (tally.records)
			assert_int_equal(tally.records,
				tally.last_generation - tally.first_generation + 1);
		/* Perhaps it fell before its first transaction. */
		assert_true(!tally.records || tally.last_generation >= number);
		number = tally.records ? tally.last_generation : 0;
		/* Those that retention has removed, too. */
		assert_int_equal(counted, number);
		/* A disk, or a machine that is busy with other things, may take longer
		 * now and then. */
		assert_in_range(loss_us(&fall, number), 0, 40 * LOSS_US * slack());
		slow += loss_us(&fall, number) > LOSS_US * slack();
	}
	assert_in_range(slow, 0, rounds * 2 / 3);
}

/* -- life ------------------------------------------------------------------------- */

static int setup(void **state)
{
	(void)state;
	place_make(place);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	place_remove(place);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(only_the_last_moment_is_lost, setup,
			teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
