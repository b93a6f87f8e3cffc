/* health_store_test.c - what is said of targets and keys outlives the process, and a store
 * that fails costs nothing but that. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "storage/health.h"
#include "storage/health_store.h"
#include "storage/storage.h"
#include "storage_place.h"

#define WAIT_MS 20000
#define NAME(text) text, sizeof(text) - 1

static char place[128];
static struct store *store;
static struct health_store *kept;

/* The library's own, as long as the disk is well. */
static atomic_int sync_error;

int fdatasync(int fd)
{
	if (atomic_load(&sync_error)) {
		errno = atomic_load(&sync_error);
		return -1;
	}
	return (int)syscall(SYS_fdatasync, fd);
}

static void open_all(void)
{
	struct err err = { "" };

	if (store_open(&store, place, &state_layout, &err) ||
		health_store_start(&kept, store, &err))
		fail_msg("%s", err.text);
}

static void close_all(void)
{
	health_store_close(kept);
	store_close(store);
	kept = NULL;
	store = NULL;
}

static int set_up(void **state)
{
	(void)state;
	place_make(place);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	atomic_store(&sync_error, 0);
	close_all();
	place_remove(place);
	return 0;
}

static bool has_row(const char *name)
{
	struct text_row row = { .table = &keys_table, .name = name };

	return store_read(store, get_text_row, &row, NULL) == 0;
}

static void wait_for_row(const char *name, bool is_wanted)
{
	int64_t end_ms = clock_ms() + WAIT_MS;

	while (has_row(name) != is_wanted) {
		assert_true(clock_ms() < end_ms);
		usleep(1000);
	}
}

static void put_row(const char *name, const char *text)
{
	struct err err;

	assert_int_equal(store_open(&store, place, &state_layout, &err), 0);
	assert_int_equal(put_text(store, &keys_table, name, text), 0);
	store_close(store);
}

/* In a process of its own, whose health is empty. Its last row ends it: kill -9. */
static void in_a_process_that_is_killed(void (*fn)(void), const char *last_row)
{
	pid_t child = fork();
	int status;

	if (child == 0) {
		open_all();
		fn();
		wait_for_row(last_row, true);
		kill(getpid(), SIGKILL);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

static void say_much(void)
{
	health_rest(health_of(NAME("key\0a\0one")), 3600 * 1000, "429 \"slow\" down");
	health_rest(health_of(NAME("key\0a\0one\0m")), 1800 * 1000, "this model");
	health_disable(health_of(NAME("key\0a\0two")), 600 * 1000, "401");
	health_disable(health_of(NAME("key\0a\0three")), 0, "by hand");
	health_set_balance(health_of(NAME("key\0a\0one")), 12.5);
	health_set_balance(health_of(NAME("key\0a\0four")), -0.25);
	health_rest(health_of(NAME("target\0a\0m")), 3600 * 1000, "twice");
	health_set_balance(health_of("last", 4), 1);
}

static void what_was_said_survives_kill_9(void **state)
{
	struct health_view view;
	int64_t now = clock_ms();

	(void)state;
	in_a_process_that_is_killed(say_much, "state/last");
	open_all();
	view = health_look(health_of(NAME("key\0a\0one")));
	assert_int_equal(view.state, HEALTH_RESTING);
	assert_in_range(view.until_ms, now + 3500 * 1000, now + 3601 * 1000);
	assert_string_equal(view.why, "429 \"slow\" down");
	assert_int_equal(view.rests, 1);
	assert_true(view.balance == 12.5);
	assert_true(llabs(view.balance_wall_us - clock_wall_us()) < 60 * 1000000LL);
	assert_true(llabs(view.since_wall_us - clock_wall_us()) < 60 * 1000000LL);
	view = health_look(health_of(NAME("key\0a\0one\0m")));
	assert_string_equal(view.why, "this model");
	assert_in_range(view.until_ms, now + 1700 * 1000, now + 1801 * 1000);
	view = health_look(health_of(NAME("key\0a\0two")));
	assert_int_equal(view.state, HEALTH_DISABLED);
	assert_int_equal(view.probe_ms, 600 * 1000);
	assert_in_range(view.until_ms, now + 500 * 1000, now + 601 * 1000);
	view = health_look(health_of(NAME("key\0a\0three")));
	assert_int_equal(view.state, HEALTH_DISABLED);
	assert_int_equal(view.until_ms, 0);
	assert_true(isnan(view.balance));
	assert_true(health_balance(health_of(NAME("key\0a\0four"))) == -0.25);
	assert_true(health_is_ready(health_of(NAME("key\0a\0four")), clock_ms()));
	assert_int_equal(health_look(health_of(NAME("target\0a\0m"))).state,
		HEALTH_RESTING);
}

static void the_end_of_the_process_writes_what_is_left(void **state)
{
	struct health *health = health_of("at the end", 10);

	(void)state;
	open_all();
	health_rest(health, 3600 * 1000, "just now");
	close_all();
	open_all();
	assert_true(has_row("state/at the end"));
}

static void who_is_well_has_no_row(void **state)
{
	struct health *health = health_of("well", 4);

	(void)state;
	open_all();
	health_rest(health, 3600 * 1000, "tired");
	wait_for_row("state/well", true);
	health_well(health, clock_us());
	wait_for_row("state/well", false);
	health_set_balance(health, 1);
	wait_for_row("state/well", true);
	health_set_balance(health, (double)NAN);
	wait_for_row("state/well", false);
}

static void a_rest_that_is_over_is_dropped(void **state)
{
	struct health_view view;

	(void)state;
	put_row("state/over",
		"{\"state\":\"resting\",\"until\":1000,\"since\":900,\"why\":\"x\",\"rests\":3,"
		"\"balance\":5,\"balance_at\":950}");
	open_all();
	view = health_look(health_of("over", 4));
	assert_int_equal(view.state, HEALTH_READY);
	assert_int_equal(view.rests, 0);
	assert_true(view.balance == 5);
}

/* The clock was set back by a year: a rest of a minute stays one of a minute. */
static void a_clock_that_was_set_back_rests_nobody_for_long(void **state)
{
	double now = (double)clock_wall_us() / 1e6, later = now + 365 * 86400.0;
	char text[200];

	(void)state;
	snprintf(text, sizeof(text),
		"{\"state\":\"resting\",\"until\":%.3f,\"since\":%.3f,\"why\":\"\",\"rests\":1}",
		later + 60, later);
	put_row("state/clock", text);
	open_all();
	assert_in_range(health_look(health_of("clock", 5)).until_ms, clock_ms(),
		clock_ms() + 61 * 1000);
}

static void a_probe_that_was_due_meanwhile_is_due(void **state)
{
	(void)state;
	put_row("state/due",
		"{\"state\":\"disabled\",\"until\":1000,\"since\":900,\"why\":\"x\",\"probe\":60}");
	open_all();
	assert_true(health_probe(health_of("due", 3)));
	assert_false(health_is_ready(health_of("due", 3), clock_ms()));
}

static void a_row_that_is_none_is_passed_over(void **state)
{
	(void)state;
	put_row("state/torn", "{\"state\":\"disabled\"");
	put_row("state/odd", "[1,{\"a\":null},true]");
	put_row("state/sound",
		"{\"state\":\"disabled\",\"why\":\"x\",\"later\":{\"n\":[1]}}");
	open_all();
	assert_true(health_is_ready(health_of("torn", 4), clock_ms()));
	assert_true(health_is_ready(health_of("odd", 3), clock_ms()));
	assert_false(health_is_ready(health_of("sound", 5), clock_ms()));
}

static void a_name_without_room_in_a_key_stays_in_memory(void **state)
{
	char name[KEY_MAX];

	(void)state;
	memset(name, 'x', sizeof(name));
	open_all();
	health_disable(health_of(name, sizeof(name)), 0, "long");
	health_disable(health_of("short", 5), 0, "short");
	wait_for_row("state/short", true);
	assert_int_equal(health_store_failures(kept), 0);
}

static void a_disk_that_fails_costs_durability_alone(void **state)
{
	struct health *health = health_of("failing", 7);
	int64_t end_ms = clock_ms() + WAIT_MS;

	(void)state;
	open_all();
	atomic_store(&sync_error, EIO);
	health_rest(health, 3600 * 1000, "in memory");
	assert_int_equal(health_look(health).state, HEALTH_RESTING);
	while (!health_store_failures(kept)) {
		assert_true(clock_ms() < end_ms);
		usleep(1000);
	}
	assert_false(has_row("state/failing"));
	atomic_store(&sync_error, 0);
	/* It is tried again by itself. */
	wait_for_row("state/failing", true);
}

static void none_of_many_changes_is_lost(void **state)
{
	struct health *health = health_of("busy", 4);
	char name[32];

	(void)state;
	open_all();
	for (int i = 0; i < 3000; i++) {
		snprintf(name, sizeof(name), "many %d", i);
		health_set_balance(health_of(name, strlen(name)), i);
		health_set_balance(health, i);
	}
	wait_for_row("state/many 2999", true);
	wait_for_row("state/busy", true);
	close_all();
	open_all();
	for (int i = 0; i < 3000; i++) {
		snprintf(name, sizeof(name), "state/many %d", i);
		assert_true(has_row(name));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(what_was_said_survives_kill_9, set_up,
			tear_down),
		cmocka_unit_test_setup_teardown(
			the_end_of_the_process_writes_what_is_left, set_up, tear_down),
		cmocka_unit_test_setup_teardown(who_is_well_has_no_row, set_up,
			tear_down),
		cmocka_unit_test_setup_teardown(a_rest_that_is_over_is_dropped, set_up,
			tear_down),
		cmocka_unit_test_setup_teardown(
			a_clock_that_was_set_back_rests_nobody_for_long, set_up,
			tear_down),
		cmocka_unit_test_setup_teardown(a_probe_that_was_due_meanwhile_is_due,
			set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_row_that_is_none_is_passed_over, set_up,
			tear_down),
		cmocka_unit_test_setup_teardown(
			a_name_without_room_in_a_key_stays_in_memory, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_disk_that_fails_costs_durability_alone,
			set_up, tear_down),
		cmocka_unit_test_setup_teardown(none_of_many_changes_is_lost, set_up,
			tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
