/* hostile_test.c - runs each script of tests/policies/hostile as a
 * policy's chunk in a fiber.
 *
 * The first line of a script says what must happen:
 *	-- refused            it does not load
 *	-- stopped            the CPU limit ends it, soon
 *	-- denied: <text>     it raises an error that contains the text
 *	-- passes             it returns
 * Whatever a script did, the state must serve the next one, and its
 * library be unharmed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <lauxlib.h>

#include "base/err.h"
#include "base/mem.h"
#include "script/fiber.h"
#include "script/sandbox.h"

#define FOLDER "tests/policies/hostile"
#define SCRIPT_MAX (64 * 1024)
#define COUNT_LEAST 30

/* CPU time, since the machine may be busy. Sanitizers make memory and errors slow. What is to
 * fail or to pass shall not be stopped first, on a slow machine, and has plenty of it. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define IS_SANITIZED 1
#elif defined(__has_feature)
#define IS_SANITIZED (__has_feature(address_sanitizer) || __has_feature(thread_sanitizer))
#else
#define IS_SANITIZED 0
#endif
#define CPU_MS 50
#define STOP_MS (IS_SANITIZED ? 5000 : 500)
#define PATIENT_MS 20000

#define LIMITS(ms) \
	{ \
		.memory_max = (size_t)512 * 1024 * 1024, \
		.growth_max = (size_t)32 * 1024 * 1024, .cpu_ms = ms, \
	}
static const struct state_limits short_limits = LIMITS(CPU_MS);
static const struct state_limits patient_limits = LIMITS(PATIENT_MS);

/* The one stops what does not end, the other runs the rest. */
struct states {
	struct state *impatient, *patient;
};

static int64_t cpu_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void on_end(struct fiber *fiber, enum fiber_status status, const char *message,
	void *arg)
{
	(void)fiber;
	(void)status;
	(void)message;
	(void)arg;
	fail_msg("a script that cannot wait has waited");
}

static size_t read_script(const char *name, char *text)
{
	char path[512];

	snprintf(path, sizeof(path), "%s/%s", FOLDER, name);
	FILE *file = fopen(path, "r");
	if (!file)
		fail_msg("%s: cannot be opened", path);
	size_t size = fread(text, 1, SCRIPT_MAX - 1, file);
	fclose(file);
	text[size] = '\0';
	return size;
}

/* The text behind "-- word" in the first line if it is that word, else NULL. */
static const char *expectation(const char *text, const char *word)
{
	size_t size = strlen(word);

	if (strncmp(text, "-- ", 3) != 0 || strncmp(text + 3, word, size) != 0)
		return NULL;
	return text + 3 + size;
}

static void judge_denied(const char *name, const char *rest, const char *message)
{
	char wanted[256];

	snprintf(wanted, sizeof(wanted), "%.*s", (int)strcspn(rest, "\n"), rest);
	if (!strstr(message, wanted))
		fail_msg("%s: \"%s\" is not in \"%s\"", name, wanted, message);
}

static void run_script(struct states *states, const char *name)
{
	static char text[SCRIPT_MAX];
	size_t size = read_script(name, text);
	struct state *state = expectation(text, "stopped") ? states->impatient
							   : states->patient;
	struct fiber *fiber;
	struct err err = { "" };
	const char *rest;

	sandbox_push_environment(state_lua(state));
	if (sandbox_load(state_lua(state), text, size, name, &err) != 0) {
		if (!expectation(text, "refused"))
			fail_msg("%s: does not load: %s", name, err.text);
		return;
	}
	int64_t start_ms = cpu_ms();
	enum fiber_status status = fiber_start(&fiber, state, 0, on_end, NULL, &err);
	int64_t took_ms = cpu_ms() - start_ms;

	if (took_ms > STOP_MS)
		fail_msg("%s: took %d ms: %s", name, (int)took_ms, err.text);
	if ((rest = expectation(text, "denied: "))) {
		assert_int_equal(status, FIBER_FAILED);
		judge_denied(name, rest, err.text);
	} else if (expectation(text, "stopped")) {
		judge_denied(name, "stopped after 50 ms of CPU time", err.text);
	} else if (!expectation(text, "passes")) {
		fail_msg("%s: was loaded, or its first line says nothing", name);
	} else if (status != FIBER_DONE) {
		fail_msg("%s: %s", name, err.text);
	}
}

static void check_unharmed(struct state *state, const char *name)
{
	static const char check[] =
		"assert(('a,b'):gsub(',', '.') == 'a.b' and ('x'):rep(2) == 'xx')\n"
		"assert(string.rep and pairs and getmetatable('') == false)\n"
		"local n = 0 for k in pairs({ 1, 2 }) do n = n + k end assert(n == 3)";
	struct fiber *fiber;
	struct err err = { "" };

	sandbox_push_environment(state_lua(state));
	assert_int_equal(sandbox_load(state_lua(state), check, strlen(check), "check",
				 &err),
		0);
	if (fiber_start(&fiber, state, 0, on_end, NULL, &err) != FIBER_DONE)
		fail_msg("after %s: %s", name, err.text);
	assert_int_equal(lua_gettop(state_lua(state)), 0);
}

static void test_scripts(void **arg)
{
	struct states states = { state_new(&short_limits), state_new(&patient_limits) };
	struct dirent **entries;
	int ran = 0;

	(void)arg;
	sandbox_open(state_lua(states.impatient));
	sandbox_open(state_lua(states.patient));
	int count = scandir(FOLDER, &entries, NULL, alphasort);
	assert_true(count >= 0);
	for (int i = 0; i < count; i++) {
		const char *dot = strrchr(entries[i]->d_name, '.');

		if (dot && strcmp(dot, ".lua") == 0) {
			run_script(&states, entries[i]->d_name);
			check_unharmed(states.impatient, entries[i]->d_name);
			check_unharmed(states.patient, entries[i]->d_name);
			ran++;
		}
		free(entries[i]);
	}
	free(entries);
	state_free(states.impatient);
	state_free(states.patient);
	assert_true(ran >= COUNT_LEAST);
}

static void test_bytecode_is_refused(void **arg)
{
	struct state *state = state_new(&patient_limits);
	lua_State *L = state_lua(state);
	struct err err;

	(void)arg;
	assert_int_equal(luaL_loadstring(L,
				 "return string.dump(function() return 1 end)"),
		0);
	lua_call(L, 0, 1);
	size_t size;
	const char *code = lua_tolstring(L, 1, &size);
	sandbox_push_environment(L);
	assert_int_not_equal(sandbox_load(L, code, size, "code", &err), 0);
	assert_string_equal(err.text, "code: is bytecode, and only text is loaded");
	state_free(state);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_scripts),
		cmocka_unit_test(test_bytecode_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
