/* A process that crashes leaves no core, unless somebody wants it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/privacy.h"

/* In a child, whose end is a crash; returns how it ended. */
static int crash(const char *wish)
{
	struct rlimit limit;
	int status;
	pid_t child = fork();

	if (child == 0) {
		signal(SIGABRT, SIG_DFL);
		getrlimit(RLIMIT_CORE, &limit);
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_CORE, &limit);
		if (wish)
			setenv("NEAP_DUMPABLE", wish, 1);
		else
			unsetenv("NEAP_DUMPABLE");
		bool is_private = privacy_begin();

		getrlimit(RLIMIT_CORE, &limit);
		if (is_private != (prctl(PR_GET_DUMPABLE) == 0 && limit.rlim_max == 0))
			_exit(1);
		if (!is_private)
			_exit(2);
		abort();
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	return status;
}

static void a_crash_leaves_no_core(void **state)
{
	int status = crash(NULL);

	(void)state;
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGABRT);
	assert_false(WCOREDUMP(status));
	assert_true(WIFSIGNALED(crash("0")));
}

static void a_core_is_left_to_who_wants_it(void **state)
{
	int status = crash("1");

	(void)state;
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_crash_leaves_no_core),
		cmocka_unit_test(a_core_is_left_to_who_wants_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
