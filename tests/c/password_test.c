/* Passwords: hashed, checked, and too many of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "storage/password.h"

struct login {
	struct password_job job;
	atomic_int *done;
};

static void note_done(struct job *job)
{
	atomic_fetch_add(CONTAINER_OF(job, struct login, job.job)->done, 1);
}

static void wait_for(atomic_int *counter, int wanted)
{
	int64_t give_up_ms = clock_ms() + 60000;

	while (atomic_load(counter) < wanted) {
		assert_true(clock_ms() < give_up_ms);
		usleep(1000);
	}
}

static bool is_right(struct passwords *passwords, const char *password, const char *hash)
{
	atomic_int done = 0;
	struct login login = { .job.job.done = note_done, .done = &done };

	assert_int_equal(password_check(passwords, &login.job, password, strlen(password),
				 hash, NULL),
		0);
	wait_for(&done, 1);
	assert_int_equal(login.job.job.rc, 0);
	for (size_t i = 0; i < sizeof(login.job.password); i++)
		assert_int_equal(login.job.password[i], 0);
	assert_false(login.job.is_weak);
	return login.job.is_right;
}

static void passwords_are_checked(void **state)
{
	atomic_int done = 0;
	struct login login = { .job.job.done = note_done, .done = &done };
	struct passwords *passwords;
	char torn[PASSWORD_HASH_SIZE];
	struct err err;

	(void)state;
	assert_int_equal(passwords_start(&passwords, &err), 0);
	assert_int_equal(password_hash(passwords, &login.job, "right", 5, &err), 0);
	wait_for(&done, 1);
	assert_int_equal(login.job.job.rc, 0);
	assert_memory_equal(login.job.hash, "$argon2id$", 10);
	assert_true(is_right(passwords, "right", login.job.hash));
	assert_false(is_right(passwords, "wrong", login.job.hash));
	assert_false(is_right(passwords, "", login.job.hash));
	assert_false(is_right(passwords, "right", NULL));
	strcpy(torn, login.job.hash);
	torn[strlen(torn) - 3] = '\0';
	assert_false(is_right(passwords, "right", torn));
	passwords_close(passwords);
}

static void a_flood_of_logins_is_refused(void **state)
{
	enum { LOGINS = 40 };
	struct login *logins = xcalloc(LOGINS, sizeof(*logins));
	struct passwords *passwords;
	atomic_int done = 0;
	int accepted = 0;
	struct err err;

	(void)state;
	assert_int_equal(passwords_start(&passwords, &err), 0);
	for (int i = 0; i < LOGINS; i++) {
		int rc;

		logins[i].job.job.done = note_done;
		logins[i].done = &done;
		rc = password_check(passwords, &logins[i].job, "x", 1, NULL, &err);
		assert_true(rc == 0 || rc == -EAGAIN);
		if (rc) {
			assert_int_equal(logins[i].job.password[0], 0);
			break;
		}
		accepted++;
	}
	assert_in_range(accepted, 16, LOGINS - 1);
	assert_non_null(strstr(err.text, "the queue of passwords is full"));
	passwords_close(passwords);
	assert_int_equal(atomic_load(&done), accepted);
	free(logins);
}

static void a_password_has_bounds(void **state)
{
	char much[PASSWORD_MAX + 1];
	struct passwords *passwords;
	struct login login = { .job.job.done = note_done };
	struct err err;

	(void)state;
	memset(much, 'p', sizeof(much));
	assert_int_equal(passwords_start(&passwords, &err), 0);
	assert_int_equal(password_hash(passwords, &login.job, much, sizeof(much), &err),
		-EMSGSIZE);
	passwords_close(passwords);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(passwords_are_checked),
		cmocka_unit_test(a_flood_of_logins_is_refused),
		cmocka_unit_test(a_password_has_bounds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
