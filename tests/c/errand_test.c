/* errand_test.c - what Lua waits for on other threads: rows, passwords, reloads; and fibers
 * that belong to no request. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdbool.h>

#include "script_world.h"
#include "storage/rotation.h"

static struct world world;

static int set_up(void **state)
{
	(void)state;
	world_open(&world);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	world_close(&world);
	return 0;
}

/* -- rows --------------------------------------------------------------------------- */

static void a_row_is_written_and_read(void **state)
{
	(void)state;
	world_run(&world, "return tostring(host.store_get('config', 'setting/a'))",
		"nil");
	world_run(&world,
		"return tostring(host.store_write { { 'put', 'config', 'setting/a', '{}' } })",
		"true");
	world_run(&world, "return host.store_get('config', 'setting/a')", "{}");
	world_run(&world, "return tostring(host.store_get('keys', 'setting/a'))", "nil");
	world_run(&world,
		"host.store_write { { 'delete', 'config', 'setting/a' }, "
		"{ 'delete', 'config', 'never' } } "
		"return tostring(host.store_get('config', 'setting/a'))",
		"nil");
}

static void texts_are_bytes(void **state)
{
	(void)state;
	world_run(&world,
		"host.store_write { { 'put', 'objects', 'a\\0b', 'x\\0\\255' }, "
		"{ 'put', 'objects', 'a', '' } } "
		"local rows = host.store_scan('objects') "
		"assert(#rows == 4 and rows[1] == 'a' and rows[2] == '') "
		"assert(rows[3] == 'a\\0b' and rows[4] == 'x\\0\\255') return 'well'",
		"well");
}

#define FILL \
	"local ops = {} for i = 1, 9 do ops[i] = { 'put', 'config', 'k/' .. i, 'v' .. i } end " \
	"ops[10] = { 'put', 'config', 'l/1', 'other' } assert(host.store_write(ops)) "

static void rows_come_in_pages(void **state)
{
	(void)state;
	world_run(&world,
		FILL
		"local seen, after, pages = '', nil, 0 repeat "
		"local rows, cursor = host.store_scan('config', "
		"{ prefix = 'k/', limit = 4, after = after }) "
		"for i = 1, #rows, 2 do seen = seen .. rows[i] .. '=' .. rows[i + 1] .. ' ' end "
		"after, pages = cursor, pages + 1 until not cursor "
		"return seen .. pages",
		"k/1=v1 k/2=v2 k/3=v3 k/4=v4 k/5=v5 k/6=v6 k/7=v7 k/8=v8 k/9=v9 3");
}

static void rows_come_backwards(void **state)
{
	(void)state;
	world_run(&world,
		FILL
		"local rows, cursor = host.store_scan('config', "
		"{ prefix = 'k/', limit = 2, before = 'k/8', reverse = true }) "
		"local more, none = host.store_scan('config', "
		"{ prefix = 'k/', after = 'k/4', before = cursor, reverse = true }) "
		"return rows[1] .. rows[3] .. cursor .. more[1] .. #more .. tostring(none)",
		"k/7k/6k/6k/52nil");
}

static void an_expectation_that_fails_undoes_all(void **state)
{
	(void)state;
	world_run(&world,
		"assert(host.store_write { { 'expect', 'config', 'a', nil }, "
		"{ 'put', 'config', 'a', '1' } }) "
		"local ok, what, place = host.store_write { { 'put', 'config', 'b', '2' }, "
		"{ 'expect', 'config', 'a', '1' }, { 'expect', 'config', 'a', nil }, "
		"{ 'put', 'config', 'a', '3' } } "
		"assert(ok == nil and what == 'conflict' and place == 3) "
		"ok, what, place = host.store_write { { 'expect', 'config', 'a', '' } } "
		"assert(ok == nil and what == 'conflict' and place == 1) "
		"ok, what, place = host.store_write { { 'expect', 'config', 'b', 'x' } } "
		"assert(ok == nil and what == 'conflict' and place == 1) "
		"return host.store_get('config', 'a') .. tostring(host.store_get('config', 'b'))",
		"1nil");
}

static void wrong_arguments_raise(void **state)
{
	static const char *const wrong[] = {
		"host.store_get('nothing', 'a')",
		"host.store_get('config', '')",
		"host.store_get('config', ('x'):rep(512))",
		"host.store_get('config', 7)",
		"host.store_scan('config', { limit = 0 })",
		"host.store_scan('config', { limit = 1001 })",
		"host.store_scan('config', { prefix = ('x'):rep(512) })",
		"host.store_write {}",
		"host.store_write { 'put' }",
		"host.store_write { { 'put', 'config', 'a' } }",
		"host.store_write { { 'put', 'config', 'a', 7 } }",
		"host.store_write { { 'lose', 'config', 'a', '' } }",
		"host.store_write { { 'put', 'config', 'a', ('x'):rep(2^20 + 1) } }",
		("local v, o = ('x'):rep(2^20), {} for i = 1, 17 do "
		 "o[i] = { 'put', 'config', 'k' .. i, v } end host.store_write(o)"),
	};
	char chunk[400];

	(void)state;
	for (size_t i = 0; i < COUNT_OF(wrong); i++) {
		snprintf(chunk, sizeof(chunk),
			"return tostring(pcall(function() %s end))", wrong[i]);
		world_run(&world, chunk, "false");
	}
	world_run(&world, "return tostring(host.store_scan('config')[1])", "nil");
}

static void outside_of_a_fiber_nothing_waits(void **state)
{
	lua_State *L = state_lua(world.state);
	struct err err;

	(void)state;
	assert_int_equal(luaL_loadstring(L, "host.store_get('config', 'a')"), 0);
	assert_int_not_equal(state_call(world.state, 0, 0, 0, &err), 0);
	assert_non_null(strstr(err.text, "cannot wait here"));
}

/* -- whoever asked is gone ------------------------------------------------------------ */

static void a_cancelled_fiber_hears_nothing(void **state)
{
	struct plug plug;

	(void)state;
	plug_in(&plug, storage_state_reader(world.process.storage));
	world_start(&world, "host.store_get('config', 'a') lost = true");
	assert_non_null(world.fiber);
	fiber_cancel(world.fiber);
	world.fiber = NULL;
	plug_out(&plug);
	/* The next one comes behind it. */
	world_run(&world, "host.store_get('config', 'a') return tostring(lost)", "nil");
}

static void an_errand_outlives_its_script(void **state)
{
	struct plug plug;

	(void)state;
	plug_in(&plug, storage_state_reader(world.process.storage));
	world_start(&world, "host.store_get('config', 'a')");
	world_close_script(&world);
	plug_out(&plug);
	/* What is left of it is freed here at the latest: the sanitizer looks. */
}

static void one_that_is_back_is_freed_with_its_script(void **state)
{
	struct plug plug;

	(void)state;
	world_start(&world, "host.store_get('config', 'a')");
	plug_in(&plug, storage_state_reader(world.process.storage));
	plug_out(&plug);
	world_close_script(&world);
}

static void a_full_queue_is_told_at_once(void **state)
{
	struct plug plug;

	(void)state;
	plug_in(&plug, storage_state_reader(world.process.storage));
	world_run(&world,
		"failed = 0 for _ = 1, 1100 do host.spawn(function() "
		"local value, what, why = host.store_get('config', 'a') "
		"if what == 'failed' and why:find('full') then failed = failed + 1 end end) end "
		"repeat host.sleep(0.001) until failed == 76 return 'told'",
		"told");
	plug_out(&plug);
}

/* -- secrets -------------------------------------------------------------------------- */

static void a_secret_is_sealed_for_its_place(void **state)
{
	(void)state;
	world.script->is_admin = true;
	world_run(&world,
		"local sealed = host.seal('keys/a/k1', 'secret', 'sk-1') "
		"assert(not sealed:find('sk%-1') and #sealed > 60) "
		"assert(host.unseal('keys/a/k1', 'secret', sealed) == 'sk-1') "
		"local none, why = host.unseal('keys/a/k2', 'secret', sealed) "
		"assert(none == nil and why:find('another place')) "
		"none, why = host.unseal('keys/a/k1', 'secret', 'no base64!') "
		"assert(none == nil and why:find('no sealed secret')) return 'well'",
		"well");
}

static void only_the_admin_opens_secrets(void **state)
{
	(void)state;
	world_run(&world,
		"assert(not pcall(host.seal, 'a', 'b', 'c')) "
		"assert(not pcall(host.unseal, 'a', 'b', 'c')) return 'well'",
		"well");
}

static void what_was_sealed_before_a_rotation_is_not_written(void **state)
{
	struct err err;
	size_t count;

	(void)state;
	world.script->is_admin = true;
	world_run(&world,
		"sealed = host.seal('keys/a/k', 'secret', 'sk') "
		"write = function() return host.store_write { { 'put', 'keys', 'a/k', "
		"'{\"sealed\":{\"secret\":\"' .. sealed .. '\"}}' } } end "
		"return tostring(write())",
		"true");
	assert_int_equal(rotation_run(storage_state(world.process.storage),
				 world.process.master_keys, &count, &err),
		0);
	assert_int_equal(count, 1);
	world_run(&world,
		"local ok, what, why = write() "
		"assert(ok == nil and what == 'failed' and why:find('seal it again')) "
		"sealed = host.seal('keys/a/k', 'secret', 'sk') return tostring(write())",
		"true");
}

static void passwords_are_hashed_and_checked(void **state)
{
	(void)state;
	world_run(&world,
		"local hash = host.password_hash('correct horse') "
		"assert(hash:find('^%$argon2id')) "
		"assert(host.password_verify(hash, 'correct horse') == true) "
		"assert(host.password_verify(hash, 'wrong') == false) "
		"assert(host.password_verify(nil, 'correct horse') == false) return 'well'",
		"well");
}

static void the_login_queue_is_short(void **state)
{
	(void)state;
	world_run(&world,
		"busy, right = 0, 0 for _ = 1, 30 do host.spawn(function() "
		"local hash, why = host.password_hash('x') "
		"if why == 'busy' then busy = busy + 1 elseif hash then right = right + 1 end "
		"end) end repeat host.sleep(0.001) until busy + right == 30 "
		"return tostring(busy >= 12 and right >= 16)",
		"true");
}

static void a_token_is_found_by_its_digest(void **state)
{
	(void)state;
	world_run(&world,
		"local token, digest = host.token_new() "
		"assert(token:find('^neap%-%w+$') and #digest == 32) "
		"assert(host.digest(token) == digest and host.token_new() ~= token) "
		"return 'well'",
		"well");
}

/* -- reloads -------------------------------------------------------------------------- */

static int wakes;

static void on_wake(void *arg)
{
	(void)arg;
	wakes++;
}

static void who_asks_for_a_reload_shares_it(void **state)
{
	struct list waiting;

	(void)state;
	wakes = 0;
	world.process.reloads = reloads_new(on_wake, NULL);
	world_start(&world,
		"told = '' for i = 1, 2 do host.spawn(function() "
		"local id = host.reload() told = told .. id .. ' ' end) end "
		"repeat host.sleep(0.001) until told == '7 7 ' return told");
	while (wakes < 2)
		event_base_loop(world.base, EVLOOP_ONCE);
	assert_true(reloads_are_asked(world.process.reloads));
	reloads_take(world.process.reloads, &waiting);
	assert_false(reloads_are_asked(world.process.reloads));
	reloads_tell(&waiting, 7, NULL);
	world_turn(&world, &world.is_done);
	assert_string_equal(world.text, "7 7 ");
}

static void a_refused_reload_says_why(void **state)
{
	struct list waiting;

	(void)state;
	world.process.reloads = reloads_new(on_wake, NULL);
	world_start(&world, "local id, why = host.reload() return tostring(id) .. why");
	reloads_take(world.process.reloads, &waiting);
	reloads_tell(&waiting, 0, "router.lua:3: wrong\nrouter.lua:4: too\n");
	world_turn(&world, &world.is_done);
	assert_string_equal(world.text, "nilrouter.lua:3: wrong\nrouter.lua:4: too\n");
	reloads_stop(world.process.reloads);
	world_run(&world, "local id, why = host.reload() return tostring(id) .. why",
		"nilneap is stopping");
}

static void the_last_loads_are_known(void **state)
{
	(void)state;
	world.process.reloads = reloads_new(on_wake, NULL);
	world.process.generation = 41;
	for (uint64_t i = 1; i <= 40; i++)
		reloads_note(world.process.reloads, "signal", i, NULL);
	reloads_note(world.process.reloads, "api", 0, "wrong");
	world_run(&world,
		"local found = host.generations() local last = found.loads[1] "
		"assert(#found.loads == 32 and last.generation == nil and last.errors == 'wrong') "
		"assert(last.cause == 'api' and math.abs(last.at - host.wall()) < 60) "
		"assert(found.loads[2].generation == 40 and found.loads[2].errors == nil) "
		"assert(found.loads[32].generation == 10) return tostring(found.current)",
		"41");
}

/* -- fibers of no request ------------------------------------------------------------- */

static void a_job_runs_soon_with_its_arguments(void **state)
{
	(void)state;
	world_run(&world,
		"local seen host.spawn(function(a, b, c) seen = a .. tostring(b) .. c "
		"host.sleep(0.001) seen = seen .. '!' end, 'a', nil, 'c') "
		"assert(seen == nil) repeat host.sleep(0.001) until seen == 'anilc!' "
		"assert(host.is_current()) return seen",
		"anilc!");
}

static void a_job_that_fails_harms_nobody(void **state)
{
	(void)state;
	world_run(&world,
		"host.spawn(function() error('on purpose') end) "
		"host.spawn(function() host.sleep(0.001) error('later') end) "
		"host.sleep(0.01) "
		"assert(not pcall(host.spawn, 'no function')) return 'well'",
		"well");
}

static void jobs_end_with_the_worker(void **state)
{
	(void)state;
	world_run(&world,
		"host.spawn(function() host.sleep(3600) end) "
		"host.spawn(function() host.store_get('config', 'a') host.sleep(3600) end) "
		"host.sleep(0.01) host.spawn(function() end) return 'well'",
		"well");
	world_close_script(&world);
}

static void there_are_only_so_many_jobs(void **state)
{
	(void)state;
	world_run(&world,
		"local made = 0 while pcall(host.spawn, host.sleep, 3600) do made = made + 1 end "
		"return tostring(made)",
		"4096");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_row_is_written_and_read, set_up,
			tear_down),
		cmocka_unit_test_setup_teardown(texts_are_bytes, set_up, tear_down),
		cmocka_unit_test_setup_teardown(rows_come_in_pages, set_up, tear_down),
		cmocka_unit_test_setup_teardown(rows_come_backwards, set_up, tear_down),
		cmocka_unit_test_setup_teardown(an_expectation_that_fails_undoes_all,
			set_up, tear_down),
		cmocka_unit_test_setup_teardown(wrong_arguments_raise, set_up, tear_down),
		cmocka_unit_test_setup_teardown(outside_of_a_fiber_nothing_waits, set_up,
			tear_down),
		cmocka_unit_test_setup_teardown(a_cancelled_fiber_hears_nothing, set_up,
			tear_down),
		cmocka_unit_test_setup_teardown(an_errand_outlives_its_script, set_up,
			tear_down),
		cmocka_unit_test_setup_teardown(one_that_is_back_is_freed_with_its_script,
			set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_full_queue_is_told_at_once, set_up,
			tear_down),
		cmocka_unit_test_setup_teardown(a_secret_is_sealed_for_its_place, set_up,
			tear_down),
		cmocka_unit_test_setup_teardown(only_the_admin_opens_secrets, set_up,
			tear_down),
		cmocka_unit_test_setup_teardown(
			what_was_sealed_before_a_rotation_is_not_written, set_up,
			tear_down),
		cmocka_unit_test_setup_teardown(passwords_are_hashed_and_checked, set_up,
			tear_down),
		cmocka_unit_test_setup_teardown(the_login_queue_is_short, set_up,
			tear_down),
		cmocka_unit_test_setup_teardown(a_token_is_found_by_its_digest, set_up,
			tear_down),
		cmocka_unit_test_setup_teardown(who_asks_for_a_reload_shares_it, set_up,
			tear_down),
		cmocka_unit_test_setup_teardown(a_refused_reload_says_why, set_up,
			tear_down),
		cmocka_unit_test_setup_teardown(the_last_loads_are_known, set_up,
			tear_down),
		cmocka_unit_test_setup_teardown(a_job_runs_soon_with_its_arguments,
			set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_job_that_fails_harms_nobody, set_up,
			tear_down),
		cmocka_unit_test_setup_teardown(jobs_end_with_the_worker, set_up,
			tear_down),
		cmocka_unit_test_setup_teardown(there_are_only_so_many_jobs, set_up,
			tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
