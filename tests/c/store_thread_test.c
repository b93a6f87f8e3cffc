/* Threads that read and write a store: common transactions, refusals, the end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "base/clock.h"
#include "base/mem.h"
#include "storage/storage.h"
#include "storage_place.h"

static char place[128];
static struct store *store;

/* -- a loop as a worker has one --------------------------------------------------- */

struct loop {
	pthread_mutex_t lock;
	pthread_cond_t has_job;
	struct list jobs;
	pthread_t thread; /* whose dones run here */
};

static void loop_init(struct loop *loop)
{
	pthread_mutex_init(&loop->lock, NULL);
	pthread_cond_init(&loop->has_job, NULL);
	list_init(&loop->jobs);
	loop->thread = pthread_self();
}

static void post(void *arg, struct job *job)
{
	struct loop *loop = arg;

	assert_false(pthread_equal(pthread_self(), loop->thread));
	pthread_mutex_lock(&loop->lock);
	list_append(&loop->jobs, &job->link);
	pthread_cond_signal(&loop->has_job);
	pthread_mutex_unlock(&loop->lock);
}

static void loop_run(struct loop *loop, int count)
{
	while (count--) {
		struct list *link;
		struct timespec until;

		clock_gettime(CLOCK_REALTIME, &until);
		until.tv_sec += 20;
		pthread_mutex_lock(&loop->lock);
		while (list_is_empty(&loop->jobs))
			assert_int_equal(pthread_cond_timedwait(&loop->has_job,
						 &loop->lock, &until),
				0);
		link = loop->jobs.next;
		list_remove(link);
		pthread_mutex_unlock(&loop->lock);
		job_finish(CONTAINER_OF(link, struct job, link));
	}
}

static void loop_clear(struct loop *loop)
{
	assert_true(list_is_empty(&loop->jobs));
	pthread_cond_destroy(&loop->has_job);
	pthread_mutex_destroy(&loop->lock);
}

/* -- jobs ------------------------------------------------------------------------- */

#define JOBS 200

struct test_job {
	struct store_job store_job;
	uint64_t number;
	int rc; /* what it returns after it wrote */
	bool is_checked_first;
	atomic_bool *may_run;
	int runs;
	int dones;
	bool is_found;
};

static struct test_job jobs[JOBS];

static int run_write(struct txn *txn, void *arg, struct err *err)
{
	struct test_job *job = arg;
	struct key key = number_key(job->number);
	int rc;

	job->runs++;
	while (job->may_run && !atomic_load(job->may_run))
		sched_yield();
	if (job->rc && job->is_checked_first)
		return err_set(err, job->rc, "checked");
	rc = table_insert(txn, &first_table, key_bytes(&key), bytes_of("row"));
	return rc ? rc : job->rc ? err_set(err, job->rc, "of its own") : 0;
}

static int run_read(struct txn *txn, void *arg, struct err *err)
{
	struct test_job *job = arg;
	struct key key = number_key(job->number);
	struct bytes value;
	int rc = table_get(txn, &first_table, key_bytes(&key), &value);

	(void)err;
	job->runs++;
	job->is_found = rc == 0;
	return rc == -ENOENT ? 0 : rc;
}

static void note_done(struct job *job)
{
	CONTAINER_OF(job, struct test_job, store_job.job)->dones++;
}

static void prepare(struct loop *loop, store_fn *run)
{
	memset(jobs, 0, sizeof(jobs));
	for (int i = 0; i < JOBS; i++) {
		jobs[i].number = (uint64_t)i;
		jobs[i].store_job.run = run;
		jobs[i].store_job.job.done = note_done;
		jobs[i].store_job.job.post = loop ? post : NULL;
		jobs[i].store_job.job.loop = loop;
	}
}

static void submit(struct store_thread *thread, int from, int count)
{
	for (int i = from; i < from + count; i++)
		assert_int_equal(store_thread_submit(thread, &jobs[i].store_job, NULL),
			0);
}

static struct store_thread *start(bool is_reader, size_t queue_max, int gather_ms)
{
	struct store_thread_options options = { "test", is_reader, queue_max, gather_ms,
		false };
	struct store_thread *thread;

	assert_int_equal(store_thread_start(&thread, store, &options, NULL), 0);
	return thread;
}

static bool is_there(uint64_t number)
{
	struct test_job job = { .number = number };

	assert_int_equal(store_read(store, run_read, &job, NULL), 0);
	return job.is_found;
}

/* -- tests ------------------------------------------------------------------------ */

static void jobs_that_wait_share_a_transaction(void **state)
{
	struct store_thread *thread = start(false, JOBS, 0);
	atomic_bool may_run = false;
	struct loop loop;

	(void)state;
	loop_init(&loop);
	prepare(&loop, run_write);
	jobs[0].may_run = &may_run;
	submit(thread, 0, 1);
	while (store_thread_figures(thread).waiting)
		sched_yield();
	submit(thread, 1, JOBS - 1);
	atomic_store(&may_run, true);
	loop_run(&loop, JOBS);
	assert_int_equal(store_thread_figures(thread).batches, 2);
	assert_int_equal(store_thread_figures(thread).done, JOBS);
	for (int i = 0; i < JOBS; i++) {
		assert_int_equal(jobs[i].dones, 1);
		assert_int_equal(jobs[i].store_job.job.rc, 0);
		assert_true(is_there((uint64_t)i));
	}
	store_thread_close(thread);
	loop_clear(&loop);
}

static void a_writer_gathers_jobs(void **state)
{
	struct store_thread *thread = start(false, JOBS, 10 * 1000);
	struct loop loop;

	(void)state;
	loop_init(&loop);
	prepare(&loop, run_write);
	submit(thread, 0, 50);
	assert_int_equal(store_thread_figures(thread).batches, 0);
	/* Closing does not wait for more of them. */
	store_thread_close(thread);
	loop_run(&loop, 50);
	assert_true(is_there(49));
	loop_clear(&loop);

	thread = start(false, JOBS, 20);
	loop_init(&loop);
	submit(thread, 50, 50);
	loop_run(&loop, 50);
	assert_true(is_there(99));
	store_thread_close(thread);
	loop_clear(&loop);
}

/* 3 and 7 fail after they wrote, 5 before; 11 wants what 3 wrote in vain, 12 what 10
 * wrote. */
static void a_job_that_fails_is_undone_alone(void **state)
{
	struct store_thread *thread = start(false, JOBS, 0);
	atomic_bool may_run = false;
	struct loop loop;

	(void)state;
	loop_init(&loop);
	prepare(&loop, run_write);
	jobs[0].may_run = &may_run;
	jobs[3].rc = -EPERM;
	jobs[5].rc = -EINVAL;
	jobs[5].is_checked_first = true;
	jobs[7].rc = -EDOM;
	jobs[11].number = 3;
	jobs[12].number = 10;
	submit(thread, 0, 1);
	while (store_thread_figures(thread).waiting)
		sched_yield();
	submit(thread, 1, 19);
	atomic_store(&may_run, true);
	loop_run(&loop, 20);
	for (int i = 0; i < 20; i++) {
		int rc = i == 12 ? -EEXIST : jobs[i].rc;

		assert_int_equal(jobs[i].store_job.job.rc, rc);
		assert_int_equal(jobs[i].dones, 1);
	}
	assert_string_equal(jobs[3].store_job.job.err.text, "of its own");
	assert_string_equal(jobs[5].store_job.job.err.text, "checked");
	assert_true(is_there(3)); /* of job 11 */
	assert_false(is_there(5));
	assert_false(is_there(7));
	assert_true(is_there(19));
	assert_int_equal(store_thread_figures(thread).batches, 2);
	store_thread_close(thread);
	loop_clear(&loop);
}

static void a_full_queue_refuses(void **state)
{
	struct store_thread *thread = start(false, 10, 0);
	atomic_bool may_run = false;
	struct loop loop;
	struct err err;

	(void)state;
	loop_init(&loop);
	prepare(&loop, run_write);
	jobs[0].may_run = &may_run;
	submit(thread, 0, 1);
	while (store_thread_figures(thread).waiting)
		sched_yield();
	submit(thread, 1, 10);
	assert_int_equal(store_thread_submit(thread, &jobs[11].store_job, &err), -EAGAIN);
	assert_non_null(strstr(err.text, "the queue of test is full (10 jobs)"));
	assert_int_equal(store_thread_figures(thread).refused, 1);
	atomic_store(&may_run, true);
	loop_run(&loop, 11);
	submit(thread, 11, 1);
	loop_run(&loop, 1);
	assert_int_equal(jobs[11].dones, 1);
	assert_true(is_there(11));
	store_thread_close(thread);
	loop_clear(&loop);
}

static void closing_does_what_was_accepted(void **state)
{
	struct store_thread *thread = start(false, JOBS, 0);

	(void)state;
	prepare(NULL, run_write);
	submit(thread, 0, JOBS);
	store_thread_close(thread);
	for (int i = 0; i < JOBS; i++) {
		assert_int_equal(jobs[i].dones, 1);
		assert_true(is_there((uint64_t)i));
	}
}

static int fill_up(struct txn *txn, void *arg, struct err *err)
{
	static const char zeros[40000];
	struct test_job *job = arg;
	struct key key = number_key(job->number);

	(void)err;
	job->runs++;
	return table_insert(txn, &first_table, key_bytes(&key),
		(struct bytes) { zeros, sizeof(zeros) });
}

static void a_batch_is_run_again_when_the_store_grew(void **state)
{
	struct store_thread *thread = start(false, JOBS, 1000);
	int runs = 0;

	(void)state;
	prepare(NULL, fill_up);
	submit(thread, 0, JOBS);
	store_thread_close(thread);
	for (int i = 0; i < JOBS; i++) {
		assert_int_equal(jobs[i].store_job.job.rc, 0);
		assert_int_equal(jobs[i].dones, 1);
		assert_true(is_there((uint64_t)i));
		runs += jobs[i].runs;
	}
	assert_true(runs > JOBS);
	assert_true(store_figures(store).room > JOBS * 40000);
}

/* -- ticks ------------------------------------------------------------------------ */

struct ticker {
	struct job job;
	struct job_thread *thread;
	atomic_int ticks;
	atomic_bool has_ended;
};

static void do_nothing(struct list *list, void *arg)
{
	(void)list;
	(void)arg;
}

static void count_tick(void *arg)
{
	struct ticker *ticker = arg;

	atomic_fetch_add(&ticker->ticks, 1);
}

/* So that there is always a job. */
static void ask_again(struct job *job)
{
	struct ticker *ticker = CONTAINER_OF(job, struct ticker, job);

	if (job_thread_submit(ticker->thread, job, NULL) != 0)
		atomic_store(&ticker->has_ended, true);
}

static void wait_for_ticks(struct ticker *ticker)
{
	int64_t give_up_ms = clock_ms() + 20000;
	int wanted = atomic_load(&ticker->ticks) + 3;

	while (atomic_load(&ticker->ticks) < wanted) {
		assert_true(clock_ms() < give_up_ms);
		sched_yield();
	}
}

static void a_thread_ticks_idle_or_not(void **state)
{
	struct ticker ticker = { .job.done = ask_again };
	struct job_thread_options options = {
		.name = "ticker",
		.queue_max = 2,
		.batch_max = 1,
		.tick_ms = 5,
		.tick = count_tick,
		.work = do_nothing,
		.arg = &ticker,
	};

	(void)state;
	assert_int_equal(job_thread_start(&ticker.thread, &options, NULL), 0);
	wait_for_ticks(&ticker);
	assert_int_equal(job_thread_figures(ticker.thread).batches, 0);
	assert_int_equal(job_thread_submit(ticker.thread, &ticker.job, NULL), 0);
	wait_for_ticks(&ticker);
	job_thread_close(ticker.thread);
	assert_true(atomic_load(&ticker.has_ended));
}

/* -- several threads at once ------------------------------------------------------ */

struct asker {
	struct store_thread *writer;
	struct store_thread *reader;
	uint64_t first;
	int found;
};

/* Writes and then reads each row, as a worker would. */
static void *ask(void *arg)
{
	struct asker *asker = arg;
	struct loop loop;

	loop_init(&loop);
	for (uint64_t i = 0; i < 50; i++) {
		struct test_job job = { .number = asker->first + i };

		job.store_job.run = run_write;
		job.store_job.job = (struct job) { .done = note_done,
			.post = post,
			.loop = &loop };
		assert_int_equal(store_thread_submit(asker->writer, &job.store_job, NULL),
			0);
		loop_run(&loop, 1);
		assert_int_equal(job.store_job.job.rc, 0);
		job.store_job.run = run_read;
		assert_int_equal(store_thread_submit(asker->reader, &job.store_job, NULL),
			0);
		loop_run(&loop, 1);
		asker->found += job.is_found;
	}
	loop_clear(&loop);
	return NULL;
}

static void many_ask_at_once(void **state)
{
	struct store_thread *writer = start(false, JOBS, 0);
	struct store_thread *reader = start(true, JOBS, 0);
	struct asker askers[4];
	pthread_t threads[4];

	(void)state;
	for (size_t i = 0; i < COUNT_OF(askers); i++) {
		askers[i] = (struct asker) { writer, reader, i * 1000, 0 };
		assert_int_equal(pthread_create(&threads[i], NULL, ask, &askers[i]), 0);
	}
	for (size_t i = 0; i < COUNT_OF(askers); i++) {
		assert_int_equal(pthread_join(threads[i], NULL), 0);
		assert_int_equal(askers[i].found, 50);
	}
	store_thread_close(reader);
	store_thread_close(writer);
}

/* -- the whole -------------------------------------------------------------------- */

static int put_everywhere(struct txn *txn, void *arg, struct err *err)
{
	const struct store_layout *layout = arg;
	int rc = 0;

	(void)err;
	for (size_t i = 0; i < layout->table_count && !rc; i++)
		rc = table_put(txn, layout->tables[i], bytes_of("name"),
			bytes_of(layout->tables[i]->name));
	return rc;
}

static int look_everywhere(struct txn *txn, void *arg, struct err *err)
{
	const struct store_layout *layout = arg;
	struct bytes value;

	(void)err;
	for (size_t i = 0; i < layout->table_count; i++) {
		int rc = table_get(txn, layout->tables[i], bytes_of("name"), &value);

		if (rc)
			return rc;
		assert_int_equal(value.size, strlen(layout->tables[i]->name));
		assert_memory_equal(value.data, layout->tables[i]->name, value.size);
	}
	return 0;
}

static int count_meta(struct txn *txn, void *arg, struct err *err)
{
	struct test_job *job = arg;

	(void)err;
	return table_count(txn, &meta_table, &job->number);
}

static void the_storage_has_all_tables(void **state)
{
	struct storage *storage, *other;
	struct loop loop;
	char folder[160];
	struct err err;

	(void)state;
	snprintf(folder, sizeof(folder), "%s/storage", place);
	assert_int_equal(storage_open(&storage, folder, &err), 0);
	assert_int_equal(storage_open(&other, folder, &err), -EBUSY);
	assert_int_equal(store_write(storage_state(storage), put_everywhere,
				 (void *)&state_layout, &err),
		0);
	assert_int_equal(store_write(storage_journal(storage), put_everywhere,
				 (void *)&journal_layout, &err),
		0);
	storage_close(storage);
	assert_int_equal(storage_open(&storage, folder, &err), 0);
	loop_init(&loop);
	prepare(&loop, NULL);
	for (int i = 0; i < 4; i++) {
		struct store_thread *threads[] = {
			storage_state_reader(storage),
			storage_state_writer(storage),
			storage_journal_reader(storage),
			storage_journal_writer(storage),
		};

		jobs[i].store_job.run = count_meta;
		submit(threads[i], i, 1);
	}
	loop_run(&loop, 4);
	for (int i = 0; i < 4; i++)
		assert_int_equal(jobs[i].number, 1);
	assert_int_equal(store_read(storage_state(storage), look_everywhere,
				 (void *)&state_layout, &err),
		0);
	assert_int_equal(store_read(storage_journal(storage), look_everywhere,
				 (void *)&journal_layout, &err),
		0);
	storage_close(storage);
	loop_clear(&loop);
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
	store_close(store);
	place_remove(place);
	return 0;
}

#define WITH_STORE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_STORE(jobs_that_wait_share_a_transaction),
		WITH_STORE(a_writer_gathers_jobs),
		WITH_STORE(a_job_that_fails_is_undone_alone),
		WITH_STORE(a_full_queue_refuses),
		WITH_STORE(closing_does_what_was_accepted),
		WITH_STORE(a_batch_is_run_again_when_the_store_grew),
		cmocka_unit_test(a_thread_ticks_idle_or_not),
		WITH_STORE(many_ask_at_once),
		WITH_STORE(the_storage_has_all_tables),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
