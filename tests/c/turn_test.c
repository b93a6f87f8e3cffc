/* Turns of the loop: stages, their order, and what happens at once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include <event2/event.h>

#include "base/turn.h"

#define TASKS (TURN_TASKS_MAX + 4)

struct named {
	struct turn_task task;
	char name;
};

struct world {
	struct event_base *base;
	struct turn *turn;
	struct event *first, *second; /* what sockets would be */
	struct event *sender;         /* made active by 's' */
	struct named tasks[TASKS];
	char seen[256];
};

static struct world *world;

static void note(char name)
{
	size_t size = strlen(world->seen);

	assert_true(size + 1 < sizeof(world->seen));
	world->seen[size] = name;
}

static void on_task(struct turn_task *task)
{
	struct named *named = CONTAINER_OF(task, struct named, task);

	note(named->name);
	if (named->name == 's')
		event_active(world->sender, EV_TIMEOUT, 0);
	if (named->name == 'n') /* asks for another one meanwhile */
		turn_run(world->turn, TURN_ANSWERS, &world->tasks[1].task);
}

static void on_sender(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what, (void)arg;
	note('>');
}

static void name_tasks(const char *names)
{
	for (size_t i = 0; names[i]; i++) {
		turn_task_init(&world->tasks[i].task, on_task);
		world->tasks[i].name = names[i];
	}
}

static void run_task(size_t index, enum turn_stage stage)
{
	turn_run(world->turn, stage, &world->tasks[index].task);
}

static void set_up(void (*on_first)(evutil_socket_t, short, void *),
	void (*on_second)(evutil_socket_t, short, void *))
{
	world = calloc(1, sizeof(*world));
	world->base = event_base_new();
	world->turn = turn_new(world->base);
	world->first = event_new(world->base, -1, 0, on_first, NULL);
	world->second = event_new(world->base, -1, 0, on_second, NULL);
	world->sender = event_new(world->base, -1, 0, on_sender, NULL);
}

static void run_loop(void)
{
	event_active(world->first, EV_READ, 0);
	event_active(world->second, EV_READ, 0);
	event_base_loop(world->base, EVLOOP_NONBLOCK);
}

static void tear_down(void)
{
	event_free(world->first);
	event_free(world->second);
	event_free(world->sender);
	turn_free(world->turn);
	event_base_free(world->base);
	free(world);
}

/* -- stages ----------------------------------------------------------------------- */

static void first_of_two(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what, (void)arg;
	note('1');
	run_task(0, TURN_REQUESTS);
	run_task(1, TURN_ANSWERS);
	run_task(0, TURN_ANSWERS); /* it waits already */
	assert_true(turn_is_crowded(world->turn));
}

static void second_of_two(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what, (void)arg;
	note('2');
	run_task(2, TURN_REQUESTS);
	run_task(3, TURN_ANSWERS);
}

static void sockets_come_before_stages(void **state)
{
	(void)state;
	set_up(first_of_two, second_of_two);
	name_tasks("abcd");
	run_loop();
	assert_string_equal(world->seen, "12bdac");
	assert_false(turn_is_crowded(world->turn));
	tear_down();
}

static void cancel_one(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what, (void)arg;
	turn_cancel(&world->tasks[0].task);
	turn_cancel(&world->tasks[2].task); /* it does not wait */
}

static void what_is_cancelled_does_not_run(void **state)
{
	(void)state;
	set_up(first_of_two, cancel_one);
	name_tasks("abc");
	run_loop();
	assert_string_equal(world->seen, "1b");
	tear_down();
}

/* -- at once ---------------------------------------------------------------------- */

static void run_alone(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what, (void)arg;
	run_task(0, TURN_REQUESTS);
	note('2');
}

static void nothing(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what, (void)arg;
}

static void who_is_alone_does_not_wait(void **state)
{
	(void)state;
	set_up(nothing, run_alone);
	name_tasks("a");
	run_loop();
	assert_string_equal(world->seen, "a2");
	tear_down();
}

/* A task never runs inside of another one. */
static void tasks_are_not_nested(void **state)
{
	(void)state;
	set_up(nothing, run_alone);
	name_tasks("nb");
	run_loop();
	assert_string_equal(world->seen, "n2b");
	tear_down();
}

/* -- sending ---------------------------------------------------------------------- */

static void run_all(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what, (void)arg;
	for (size_t i = 0; i < TASKS; i++)
		run_task(i, TURN_REQUESTS);
}

static void many_tasks_let_others_send(void **state)
{
	(void)state;
	set_up(run_all, nothing);
	name_tasks("sssssssssssssssstttt");
	run_loop();
	assert_string_equal(world->seen, "ssssssssssssssss>tttt");
	tear_down();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sockets_come_before_stages),
		cmocka_unit_test(what_is_cancelled_does_not_run),
		cmocka_unit_test(who_is_alone_does_not_wait),
		cmocka_unit_test(tasks_are_not_nested),
		cmocka_unit_test(many_tasks_let_others_send),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
