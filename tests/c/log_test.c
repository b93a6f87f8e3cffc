/* Standard error that is not ready, or cannot take any more: lines wait or are counted. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/log.h"
#include "base/utf8.h"

#define LINES 20000 /* a megabyte; the queue has room for four, a pipe for 64 KiB */

static int kept; /* the standard error of the test */

static void put_in_place(int fd)
{
	kept = dup(STDERR_FILENO);
	assert_int_equal(dup2(fd, STDERR_FILENO), STDERR_FILENO);
	close(fd);
	log_start();
}

static void put_back(void)
{
	log_stop();
	assert_int_equal(dup2(kept, STDERR_FILENO), STDERR_FILENO);
	close(kept);
}

static void *count_lines(void *arg)
{
	int fd = *(int *)arg;
	char bytes[4096];
	ssize_t got;
	uintptr_t lines = 0;

	while ((got = read(fd, bytes, sizeof(bytes))) > 0)
		for (ssize_t i = 0; i < got; i++)
			lines += bytes[i] == '\n';
	return (void *)lines;
}

static void wait_until_full(int fd)
{
	int waiting = 0;

	while (waiting < 60 * 1024) {
		sched_yield();
		assert_int_equal(ioctl(fd, FIONREAD, &waiting), 0);
	}
}

/* As where a program that shares the terminal has made it so. */
static void a_full_pipe_that_does_not_block_is_waited_for(void **state)
{
	static const char line[] = "what happened, in about fifty bytes of text or so";
	pthread_t reader;
	void *lines;
	int ends[2];

	(void)state;
	assert_int_equal(pipe2(ends, O_NONBLOCK), 0);
	fcntl(ends[0], F_SETFL, 0);
	put_in_place(ends[1]);
	for (int i = 0; i < LINES; i++)
		log_line(line, sizeof(line) - 1);
	wait_until_full(ends[0]);
	assert_int_equal(pthread_create(&reader, NULL, count_lines, &ends[0]), 0);
	put_back();
	pthread_join(reader, &lines);
	assert_int_equal((uintptr_t)lines, LINES);
	assert_int_equal(log_dropped(), 0);
	close(ends[0]);
}

static void what_a_full_disk_does_not_take_is_counted(void **state)
{
	uint64_t before = log_dropped();

	(void)state;
	put_in_place(open("/dev/full", O_WRONLY));
	for (int i = 0; i < 3; i++)
		log_line("one", 3);
	put_back();
	assert_int_equal(log_dropped() - before, 3);
}

/* What others wrote may be of any bytes, and a long line is cut anywhere. */
static void a_json_line_is_utf_8(void **state)
{
	char line[8192], letters[6001];
	int ends[2];
	ssize_t size;

	(void)state;
	for (size_t i = 0; i < sizeof(letters) - 1; i += 2)
		memcpy(letters + i, "\xc3\xa9", 2);
	letters[sizeof(letters) - 1] = '\0';
	assert_int_equal(pipe(ends), 0);
	log_configure(LOG_JSON, LOG_INFO);
	put_in_place(ends[1]);
	log_error("policy", "caf\xe9 \xf0\x9f\xa6\x8a %s", letters);
	put_back();
	size = read(ends[0], line, sizeof(line));
	assert_true(size > 4000);
	for (ssize_t at = 0; at < size;) {
		size_t step = utf8_size(line + at, (size_t)(size - at));

		assert_int_not_equal(step, 0);
		at += (ssize_t)step;
	}
	line[size - 1] = '\0';
	assert_non_null(strstr(line, "\"caf\xef\xbf\xbd \xf0\x9f\xa6\x8a \xc3\xa9"));
	close(ends[0]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_full_pipe_that_does_not_block_is_waited_for),
		cmocka_unit_test(what_a_full_disk_does_not_take_is_counted),
		cmocka_unit_test(a_json_line_is_utf_8),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
