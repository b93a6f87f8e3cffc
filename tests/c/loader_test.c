/* What a reload may leave out of the stored configuration: no more than the one in force does. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "loader.h"
#include "script/generation.h"

/* The lines that are new, with a NUL behind them; compares with what is wanted. */
static void check(const char *old, const char *now, const char *wanted)
{
	struct generation_settings before = { .stored_problems = old };
	struct generation_settings after = { .stored_problems = now };
	struct buf errors = { 0 };
	int rc = loader_compare_stored(&before, &after, &errors);

	buf_append(&errors, "", 1);
	assert_string_equal(buf_data(&errors), wanted);
	assert_int_equal(rc, *wanted ? -EINVAL : 0);
	buf_clear(&errors);
}

static void nothing_left_out(void **state)
{
	(void)state;
	check(NULL, NULL, "");
	check("", "", "");
	check("group/a: one", NULL, "");
}

static void what_was_left_out_before_may_be(void **state)
{
	(void)state;
	check("group/a: one\nkey/b: two", "group/a: one\nkey/b: two", "");
	check("group/a: one\nkey/b: two", "key/b: two", "");
}

static void what_is_new_is_refused(void **state)
{
	(void)state;
	check(NULL, "group/a: one", "group/a: one\n");
	check("group/a: one", "group/a: one\ngroup/b: two\ngroup/c: three",
		"group/b: two\ngroup/c: three\n");
	check("group/a: one", "group/a: other", "group/a: other\n");
	check("group/a: one more", "group/a: one", "group/a: one\n");
	check("group/a: one", "group/a: one more", "group/a: one more\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_left_out),
		cmocka_unit_test(what_was_left_out_before_may_be),
		cmocka_unit_test(what_is_new_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
