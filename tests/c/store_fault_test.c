/* A store on a disk that fails: writes, syncs and maps that the system refuses. The calls
 * of the database library come here first and go wrong as a test wants. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "base/mem.h"
#include "storage/store_thread.h"
#include "storage_place.h"

static atomic_int sync_error; /* of each fdatasync */
static atomic_int meta_error; /* of the next write to the first two pages */
static atomic_int map_error;  /* of each mapping of a file */

int fdatasync(int fd)
{
	if (atomic_load(&sync_error)) {
		errno = atomic_load(&sync_error);
		return -1;
	}
	return (int)syscall(SYS_fdatasync, fd);
}

ssize_t pwrite(int fd, const void *data, size_t size, off_t offset)
{
	int error = offset < 2 * 4096 ? atomic_exchange(&meta_error, 0) : 0;

	if (error) {
		errno = error;
		return -1;
	}
	return syscall(SYS_pwrite64, fd, data, size, offset);
}

void *mmap(void *address, size_t size, int protection, int flags, int fd, off_t offset)
{
	if (fd >= 0 && atomic_load(&map_error)) {
		errno = atomic_load(&map_error);
		return MAP_FAILED;
	}
	/* NOLINTNEXTLINE(performance-no-int-to-ptr): what a system call returns */
	return (void *)syscall(SYS_mmap, address, size, protection, flags, fd, offset);
}

/* -- stores ----------------------------------------------------------------------- */

static char place[128];
static struct store *store;

static int put(const char *name, struct err *err)
{
	struct text_row row = { .table = &first_table, .name = name, .text = "text" };

	return store_write(store, put_text_row, &row, err);
}

static bool has(const char *name)
{
	return has_text(store, &first_table, name, "text");
}

static void reopen(void)
{
	struct err err;

	store_close(store);
	assert_int_equal(store_open(&store, place, &test_layout, &err), 0);
}

static void a_sync_that_fails_fails_the_write(void **state)
{
	struct err err;

	(void)state;
	assert_int_equal(put("before", &err), 0);
	atomic_store(&sync_error, EIO);
	assert_int_equal(put("lost", &err), -EIO);
	assert_non_null(strstr(err.text, place));
	assert_non_null(strstr(err.text, "the disk is failing"));
	assert_true(has("before"));
	assert_false(has("lost"));
	atomic_store(&sync_error, 0);
	assert_int_equal(put("after", &err), 0);
	reopen();
	assert_true(has("before"));
	assert_true(has("after"));
	assert_false(has("lost"));
}

/* The library gives an environment up after that; the store opens another. */
static void a_root_that_is_not_written_is_survived(void **state)
{
	struct err err;

	(void)state;
	assert_int_equal(put("before", &err), 0);
	atomic_store(&meta_error, EIO);
	assert_int_equal(put("lost", &err), -EIO);
	assert_int_equal(atomic_load(&meta_error), 0);
	assert_true(has("before"));
	assert_false(has("lost"));
	assert_int_equal(put("after", &err), 0);
	assert_true(has("after"));
	reopen();
	assert_true(has("before"));
	assert_true(has("after"));
	assert_false(has("lost"));
}

static int put_much(struct txn *txn, void *arg, struct err *err)
{
	static const char zeros[4000];
	int rc = 0;

	(void)err;
	for (uint64_t i = 0; i < 100 && !rc; i++) {
		struct key key = number_key(*(uint64_t *)arg + i);

		rc = table_append(txn, &second_table, key_bytes(&key),
			(struct bytes) { zeros, sizeof(zeros) });
	}
	return rc;
}

static void a_map_that_cannot_grow_is_an_error(void **state)
{
	uint64_t first = 0;
	struct err err;

	(void)state;
	assert_int_equal(put("before", &err), 0);
	atomic_store(&map_error, ENOMEM);
	assert_int_equal(store_write(store, put_much, &first, &err), -ENOMEM);
	assert_non_null(strstr(err.text, "address space"));
	/* There is no map at all now. */
	assert_int_equal(put("lost", &err), -ENOMEM);
	atomic_store(&map_error, 0);
	assert_true(has("before"));
	assert_false(has("lost"));
	assert_int_equal(store_write(store, put_much, &first, &err), 0);
	assert_true(has("before"));
}

/* -- a disk without room ---------------------------------------------------------- */

/* Writes until there is no more room; returns how many transactions there were. */
static uint64_t fill_up(int *rc, struct err *err)
{
	uint64_t count = 0;

	for (; count < 1000; count++) {
		uint64_t first = count * 100;

		*rc = store_write(store, put_much, &first, err);
		if (*rc)
			break;
	}
	return count;
}

static int count_second(struct txn *txn, void *arg, struct err *err)
{
	(void)err;
	return table_count(txn, &second_table, arg);
}

static void a_limit_of_file_sizes_is_an_error(void **state)
{
	struct rlimit before, limit;
	uint64_t filled, count, first;
	struct err err;
	int rc;

	(void)state;
	signal(SIGXFSZ, SIG_IGN);
	getrlimit(RLIMIT_FSIZE, &before);
	limit = before;
	limit.rlim_cur = 3 * 1024 * 1024;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
	filled = fill_up(&rc, &err);
	assert_in_range(filled, 1, 10);
	assert_true(rc == -EFBIG || rc == -EIO);
	assert_non_null(strstr(err.text, place));
	assert_int_equal(store_read(store, count_second, &count, NULL), 0);
	assert_int_equal(count, filled * 100);

	/* It goes on by itself once there is room. */
	setrlimit(RLIMIT_FSIZE, &before);
	first = filled * 100;
	assert_int_equal(store_write(store, put_much, &first, &err), 0);
	reopen();
	assert_int_equal(store_read(store, count_second, &count, NULL), 0);
	assert_int_equal(count, (filled + 1) * 100);
}

/* In a child, on a file system of its own. 0: well; 77: there can be none here. */
static int fill_a_disk(void)
{
	uint64_t filled, count = 0, first;
	struct err err;
	int rc;

	if ((unshare(CLONE_NEWNS) != 0 && unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0) ||
		mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
		mount("none", place, "tmpfs", 0, "size=3m") != 0)
		return 77;
	if (store_open(&store, place, &test_layout, &err) != 0)
		return 1;
	filled = fill_up(&rc, &err);
	if (!filled || rc != -ENOSPC)
		return 2;
	if (store_read(store, count_second, &count, NULL) != 0 || count != filled * 100)
		return 3;
	if (mount("none", place, "tmpfs", MS_REMOUNT, "size=30m") != 0)
		return 4;
	first = count;
	if (store_write(store, put_much, &first, &err) != 0)
		return 5;
	store_close(store);
	if (store_open(&store, place, &test_layout, &err) != 0 ||
		store_read(store, count_second, &count, NULL) != 0)
		return 6;
	store_close(store);
	return count == (filled + 1) * 100 ? 0 : 7;
}

static void a_full_disk_is_an_error(void **state)
{
	int status;
	pid_t child;

	(void)state;
	store_close(store);
	store = NULL;
	child = fork();
	if (child == 0)
		_exit(fill_a_disk());
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == 77)
		skip();
	assert_int_equal(WEXITSTATUS(status), 0);
}

/* -- jobs ------------------------------------------------------------------------- */

struct put_job {
	struct store_job store_job;
	char name[16];
	atomic_bool *may_run;
	atomic_int *done;
};

static int run_put(struct txn *txn, void *arg, struct err *err)
{
	struct put_job *job = arg;

	(void)err;
	while (job->may_run && !atomic_load(job->may_run))
		sched_yield();
	return table_put(txn, &first_table, bytes_of(job->name), bytes_of("text"));
}

static void count_done(struct job *job)
{
	atomic_fetch_add(CONTAINER_OF(job, struct put_job, store_job.job)->done, 1);
}

static void wait_for(atomic_int *counter, int wanted)
{
	int64_t give_up_ms = clock_ms() + 20000;

	while (atomic_load(counter) != wanted) {
		assert_true(clock_ms() < give_up_ms);
		sched_yield();
	}
}

static void submit_all(struct store_thread *thread, struct put_job *jobs, int count,
	atomic_bool *may_run, atomic_int *done)
{
	for (int i = 0; i < count; i++) {
		jobs[i] = (struct put_job) {
			.store_job = { .job = { .done = count_done }, .run = run_put },
			.may_run = may_run,
			.done = done,
		};
		snprintf(jobs[i].name, sizeof(jobs[i].name), "job %d", i);
		assert_int_equal(store_thread_submit(thread, &jobs[i].store_job, NULL),
			0);
	}
}

static void all_jobs_hear_of_a_transaction_that_failed(void **state)
{
	struct store_thread_options options = { .name = "writer", .queue_max = 100 };
	struct store_thread *thread;
	struct put_job jobs[20];
	atomic_bool may_run = false;
	atomic_int done = 0;

	(void)state;
	assert_int_equal(store_thread_start(&thread, store, &options, NULL), 0);
	atomic_store(&sync_error, EIO);
	submit_all(thread, jobs, 20, &may_run, &done);
	atomic_store(&may_run, true);
	wait_for(&done, 20);
	for (int i = 0; i < 20; i++) {
		assert_int_equal(jobs[i].store_job.job.rc, -EIO);
		assert_non_null(strstr(jobs[i].store_job.job.err.text, place));
		assert_false(has(jobs[i].name));
	}
	atomic_store(&sync_error, 0);
	atomic_store(&done, 0);
	submit_all(thread, jobs, 20, NULL, &done);
	wait_for(&done, 20);
	for (int i = 0; i < 20; i++) {
		assert_int_equal(jobs[i].store_job.job.rc, 0);
		assert_true(has(jobs[i].name));
	}
	store_thread_close(thread);
}

/* -- life ------------------------------------------------------------------------- */

static int setup(void **state)
{
	(void)state;
	place_make(place);
	return store_open(&store, place, &test_layout, NULL);
}

static int teardown(void **state)
{
	(void)state;
	atomic_store(&sync_error, 0);
	atomic_store(&meta_error, 0);
	atomic_store(&map_error, 0);
	store_close(store);
	place_remove(place);
	return 0;
}

#define WITH_STORE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_STORE(a_sync_that_fails_fails_the_write),
		WITH_STORE(a_root_that_is_not_written_is_survived),
		WITH_STORE(a_map_that_cannot_grow_is_an_error),
		WITH_STORE(a_limit_of_file_sizes_is_an_error),
		WITH_STORE(a_full_disk_is_an_error),
		WITH_STORE(all_jobs_hear_of_a_transaction_that_failed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
