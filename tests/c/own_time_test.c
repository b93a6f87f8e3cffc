/* What a request took of neap itself: waits do not count, also beside each other. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "script/own_time.h"

static void it_runs_between_waits(void **state)
{
	struct own_time own;

	(void)state;
	own_time_start(&own, 1000);
	assert_int_equal(own_time_us(&own, 1000), 0);
	assert_int_equal(own_time_us(&own, 1030), 30);
	own_time_stop(&own, 1050);
	assert_int_equal(own_time_us(&own, 9000), 50);
	own_time_go_on(&own, 9000);
	assert_int_equal(own_time_us(&own, 9007), 57);
	own_time_stop(&own, 9010);
	own_time_go_on(&own, 9500);
	assert_int_equal(own_time_us(&own, 9501), 61);
}

/* Between the moment that an answer comes and the one at which a busy worker turns to it, the
 * request waits for neap. */
static void what_came_waits_for_neap(void **state)
{
	struct own_time own;

	(void)state;
	own_time_start(&own, 0);
	own_time_stop(&own, 10);
	own_time_go_on(&own, 400); /* called at 450 */
	assert_int_equal(own_time_us(&own, 450), 60);
}

static void what_was_here_before_the_wait(void **state)
{
	struct own_time own;

	(void)state;
	own_time_start(&own, 0);
	own_time_stop(&own, 100);
	own_time_go_on(&own, 20);
	assert_int_equal(own_time_us(&own, 130), 130);
}

static void legs_wait_beside_each_other(void **state)
{
	struct own_time own;

	(void)state;
	own_time_start(&own, 0);
	own_time_stop(&own, 10);
	own_time_stop(&own, 15);
	own_time_go_on(&own, 40);
	assert_int_equal(own_time_us(&own, 50), 10);
	own_time_go_on(&own, 60);
	assert_int_equal(own_time_us(&own, 65), 15);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_runs_between_waits),
		cmocka_unit_test(what_came_waits_for_neap),
		cmocka_unit_test(what_was_here_before_the_wait),
		cmocka_unit_test(legs_wait_beside_each_other),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
