/* From a name to a socket: which address is tried when, and resolvers that never answer. */
#include "transfer_world.h"

#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "upstream/dial.h"
#include "upstream/lookup.h"
#include "upstream/url.h"

/* A resolver that knows some names, and never answers for others until it is let go. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t wake = PTHREAD_COND_INITIALIZER;
static bool is_mute = true;
static int asked, mute_asked, mute_left;

static int give(const char *addresses, struct addrinfo **result)
{
	int (*real)(const char *, const char *, const struct addrinfo *,
		struct addrinfo **);
	struct addrinfo hints = { .ai_flags = AI_NUMERICHOST,
		.ai_socktype = SOCK_STREAM };
	struct addrinfo **end = result;
	char *copy = strdup(addresses);

	*(void **)&real = dlsym(RTLD_NEXT, "getaddrinfo");
	for (char *at = copy, *one; (one = strsep(&at, " "));) {
		assert_int_equal(real(one, NULL, &hints, end), 0);
		end = &(*end)->ai_next;
	}
	free(copy);
	return 0;
}

static int stay_mute(void)
{
	pthread_mutex_lock(&lock);
	__atomic_add_fetch(&mute_asked, 1, __ATOMIC_RELEASE);
	while (is_mute)
		pthread_cond_wait(&wake, &lock);
	mute_left++;
	pthread_cond_broadcast(&wake);
	pthread_mutex_unlock(&lock);
	return EAI_AGAIN;
}

int getaddrinfo(const char *restrict name, const char *restrict service,
	const struct addrinfo *restrict hints, struct addrinfo **restrict result)
{
	(void)service;
	(void)hints;
	__atomic_add_fetch(&asked, 1, __ATOMIC_RELEASE);
	if (strncmp(name, "mute", 4) == 0)
		return stay_mute();
	if (strcmp(name, "two.test") == 0)
		return give("127.0.0.2 127.0.0.1", result);
	if (strcmp(name, "mixed.test") == 0)
		return give("127.0.0.2 127.0.0.1 ::1", result);
	if (strcmp(name, "closed.test") == 0)
		return give("127.0.0.2 127.0.0.3", result);
	if (strcmp(name, "forbidden.test") == 0)
		return give("169.254.169.254", result);
	return EAI_NONAME;
}

/* Lists of addresses are put together out of several: each is freed by itself. */
void freeaddrinfo(struct addrinfo *list)
{
	void (*real)(struct addrinfo *);

	*(void **)&real = dlsym(RTLD_NEXT, "freeaddrinfo");
	while (list) {
		struct addrinfo *next = list->ai_next;

		list->ai_next = NULL;
		real(list);
		list = next;
	}
}

static void let_go(void)
{
	pthread_mutex_lock(&lock);
	is_mute = false;
	pthread_cond_broadcast(&wake);
	while (mute_left < mute_asked)
		pthread_cond_wait(&wake, &lock);
	pthread_mutex_unlock(&lock);
}

struct outcome {
	struct event_base *base;
	struct lookups *lookups;
	char tried[256];
	char peer[INET6_ADDRSTRLEN];
	char text[256];
	bool is_refused;
	int ends;
	int64_t started;
};

static bool may_connect(enum address_kind kind, void *arg)
{
	(void)arg;
	return kind != ADDRESS_FORBIDDEN;
}

static void on_end(const struct dial_result *result, void *arg)
{
	struct outcome *outcome = arg;
	const void *address = &result->peer.ip4.sin_addr;

	outcome->ends++;
	outcome->is_refused = result->is_refused;
	if (result->fd < 0) {
		snprintf(outcome->text, sizeof(outcome->text), "%s", result->text);
		return;
	}
	if (result->peer.any.sa_family == AF_INET6)
		address = &result->peer.ip6.sin6_addr;
	inet_ntop(result->peer.any.sa_family, address, outcome->peer,
		sizeof(outcome->peer));
	assert_true(fcntl(result->fd, F_GETFL) & O_NONBLOCK);
	close(result->fd);
}

static const struct dial_handler handler = {
	.may_connect = may_connect,
	.on_end = on_end,
};

static void open_outcome(struct outcome *outcome)
{
	memset(outcome, 0, sizeof(*outcome));
	outcome->base = event_base_new();
	outcome->lookups = lookups_new(outcome->base);
}

static void close_outcome(struct outcome *outcome)
{
	lookups_free(outcome->lookups);
	event_base_free(outcome->base);
}

static void wait_ends(struct outcome *outcome, int wanted)
{
	struct world world = { .base = outcome->base };

	world_wait(&world, &outcome->ends, wanted);
}

static void dial(struct outcome *outcome, const char *host, int port)
{
	int before = outcome->ends;

	outcome->peer[0] = outcome->text[0] = '\0';
	outcome->started = clock_ms();
	dial_start(outcome->lookups, outcome->base, host, port, &handler, outcome);
	assert_int_equal(outcome->ends, before);
	wait_ends(outcome, before + 1);
}

/* Listens on the address, on a free port or the given one. Returns the socket. */
static int listen_at(const char *address, int *port, int queue)
{
	struct sockaddr_in at = { .sin_family = AF_INET,
		.sin_port = htons((uint16_t)*port) };
	socklen_t size = sizeof(at);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	inet_pton(AF_INET, address, &at.sin_addr);
	assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	assert_int_equal(listen(fd, queue), 0);
	getsockname(fd, (struct sockaddr *)&at, &size);
	*port = ntohs(at.sin_port);
	return fd;
}

static void the_first_that_answers_wins(void **state)
{
	struct outcome outcome;
	int port = 0, fd = listen_at("127.0.0.1", &port, 64);

	(void)state;
	open_outcome(&outcome);
	dial(&outcome, "127.0.0.1", port);
	assert_string_equal(outcome.peer, "127.0.0.1");
	dial(&outcome, "LOCALHOST", port);
	assert_string_equal(outcome.peer, "127.0.0.1");
	assert_int_equal(asked, 0);
	/* An address that refuses costs no wait, and a name is asked for once. */
	for (int i = 0; i < 3; i++) {
		dial(&outcome, "two.test", port);
		assert_string_equal(outcome.peer, "127.0.0.1");
		dial(&outcome, "mixed.test", port);
		assert_string_equal(outcome.peer, "127.0.0.1");
	}
	assert_int_equal(asked, 2);
	close_outcome(&outcome);
	close(fd);
}

/* Fills the queue of a listener that accepts nothing, so that the next one waits. */
static void fill(int port, const char *address, int *fds, int count)
{
	struct sockaddr_in at = { .sin_family = AF_INET,
		.sin_port = htons((uint16_t)port) };

	inet_pton(AF_INET, address, &at.sin_addr);
	for (int i = 0; i < count; i++) {
		fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
		(void)connect(fds[i], (struct sockaddr *)&at, sizeof(at));
	}
}

static void an_address_that_is_silent_holds_up_nobody(void **state)
{
	struct outcome outcome;
	int port = 0, fds[4];
	int silent = listen_at("127.0.0.2", &port, 0);
	int fd = listen_at("127.0.0.1", &port, 64);

	(void)state;
	fill(port, "127.0.0.2", fds, 4);
	open_outcome(&outcome);
	dial(&outcome, "two.test", port);
	assert_string_equal(outcome.peer, "127.0.0.1");
	/* The address itself would be silent for minutes. */
	assert_in_range(clock_ms() - outcome.started, 150, 5000);
	close_outcome(&outcome);
	for (int i = 0; i < 4; i++)
		close(fds[i]);
	close(silent);
	close(fd);
}

static void failures_are_told(void **state)
{
	struct outcome outcome;
	int port = 0, fd = listen_at("127.0.0.1", &port, 64);

	(void)state;
	close(fd);
	open_outcome(&outcome);
	dial(&outcome, "closed.test", port);
	assert_non_null(strstr(outcome.text, "Failed to connect to closed.test port"));
	assert_non_null(strstr(outcome.text, "Connection refused"));
	dial(&outcome, "unknown.test", port);
	assert_string_equal(outcome.text, "Could not resolve host: unknown.test");
	assert_false(outcome.is_refused);
	dial(&outcome, "forbidden.test", port);
	assert_true(outcome.is_refused);
	/* What was not found is asked for again. */
	asked = 0;
	dial(&outcome, "unknown.test", port);
	dial(&outcome, "unknown.test", port);
	assert_int_equal(asked, 2);
	close_outcome(&outcome);
}

/* Mute names take threads up to a limit, share one if they are the same, and nobody waits for
 * them at the end. */
static void mute_names_hold_up_nobody(void **state)
{
	struct outcome outcome;
	struct dial *dials[LOOKUP_THREADS + 8];
	struct world world;
	char name[32];
	int port = 0, fd = listen_at("127.0.0.1", &port, 64);
	int64_t start;

	(void)state;
	open_outcome(&outcome);
	world.base = outcome.base;
	for (int i = 0; i < 8; i++)
		dials[i] = dial_start(outcome.lookups, outcome.base, "mute.test", port,
			&handler, &outcome);
	world_wait(&world, &mute_asked, 1);
	dial(&outcome, "two.test", port);
	assert_string_equal(outcome.peer, "127.0.0.1");
	assert_int_equal(mute_asked, 1);
	for (size_t i = 8; i < COUNT_OF(dials); i++) {
		snprintf(name, sizeof(name), "mute%zu.test", i);
		dials[i] = dial_start(outcome.lookups, outcome.base, name, port, &handler,
			&outcome);
	}
	world_wait(&world, &mute_asked, LOOKUP_THREADS);
	start = clock_ms();
	for (size_t i = 0; i < COUNT_OF(dials); i++)
		dial_close(dials[i]);
	close_outcome(&outcome);
	assert_in_range(clock_ms() - start, 0, 5000);
	assert_int_equal(outcome.ends, 1);
	assert_int_equal(mute_asked, LOOKUP_THREADS);
	let_go();
	close(fd);
}

static void urls_are_plain_or_left_alone(void **state)
{
	static const struct {
		const char *text, *host, *target;
		int port;
	} cases[] = {
		{ "http://host/path?a=b#c", "host", "/path?a=b", 80 },
		{ "HTTPS://a-b.example.:1/", NULL, NULL, 0 },
		{ "https://a-b.example:1", "a-b.example", "", 1 },
		{ "https://h?x", "h", "?x", 443 },
		{ "http://127.0.0.1:8080/%2F/../x", "127.0.0.1", "/%2F/../x", 8080 },
		{ "http://[::1]:65535/", "::1", "/", 65535 },
		{ "http://[::1%25lo]/", NULL, NULL, 0 },
		{ "http://[::1/", NULL, NULL, 0 },
		{ "http://user@host/", NULL, NULL, 0 },
		{ "http://host:pass@other/", NULL, NULL, 0 },
		{ "http://host:/", NULL, NULL, 0 },
		{ "http://host:0/", NULL, NULL, 0 },
		{ "http://host:080/", NULL, NULL, 0 },
		{ "http://host:65536/", NULL, NULL, 0 },
		{ "http://host:99999999999999999999/", NULL, NULL, 0 },
		{ "http://2852039166/", NULL, NULL, 0 },
		{ "http://0x7f.1/", NULL, NULL, 0 },
		{ "http://127.1/", NULL, NULL, 0 },
		{ "http://h\xc3\xb6st/", NULL, NULL, 0 },
		{ "http://ho%73t/", NULL, NULL, 0 },
		{ "http://host/a b", NULL, NULL, 0 },
		{ "http://host/a\r\nb", NULL, NULL, 0 },
		{ "http:///path", NULL, NULL, 0 },
		{ "http://", NULL, NULL, 0 },
		{ "ftp://host/", NULL, NULL, 0 },
		{ "", NULL, NULL, 0 },
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct url url;

		if (url_parse(&url, cases[i].text) != (cases[i].host != NULL))
			fail_msg("%s", cases[i].text);
		if (!cases[i].host)
			continue;
		assert_int_equal(url.host_size, strlen(cases[i].host));
		assert_memory_equal(url.host, cases[i].host, url.host_size);
		assert_int_equal(url.target_size, strlen(cases[i].target));
		assert_memory_equal(url.target, cases[i].target, url.target_size);
		assert_int_equal(url.port, cases[i].port);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_first_that_answers_wins),
		cmocka_unit_test(an_address_that_is_silent_holds_up_nobody),
		cmocka_unit_test(failures_are_told),
		cmocka_unit_test(mute_names_hold_up_nobody),
		cmocka_unit_test(urls_are_plain_or_left_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
