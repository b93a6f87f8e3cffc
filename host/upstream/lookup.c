#include "upstream/lookup.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <event2/event.h>
#include <event2/event_struct.h>

#include "base/clock.h"
#include "base/list.h"
#include "base/map.h"
#include "base/mem.h"

#define KEPT_MS (60 * 1000)
#define NAMES_MAX 512 /* remembered; more are forgotten before their time */
#define STACK_SIZE (size_t)(512 * 1024) /* bytes of a thread's; NSS modules want some */

/* Where threads lay down what they found. It outlives the pool as long as a thread needs
 * it. */
struct desk {
	pthread_mutex_t lock;
	struct list done; /* questions */
	size_t references;
	int fd; /* counts them; -1: nobody wants to know any more */
};

/* A name that a thread asks for. Belongs to the thread, then to the desk. */
struct question {
	struct list link;
	struct desk *desk;
	struct endpoints found; /* none: count is 0 */
	char name[];
};

struct name {
	struct list queue;   /* in the lookups' queue, until a thread is free */
	struct list waiting; /* lookups */
	struct endpoints found;
	int64_t until_ms; /* when what was found is too old; 0: not known */
	bool is_asked;
	char text[];
};

struct lookup {
	struct list link;
	lookup_fn *fn;
	void *arg;
};

struct lookups {
	struct event done;
	struct desk *desk;
	struct map *names;
	struct list queue;
	size_t asked_count;
};

/* -- the thread -------------------------------------------------------------------- */

static void unref_desk(struct desk *desk)
{
	bool is_last;

	pthread_mutex_lock(&desk->lock);
	is_last = --desk->references == 0;
	pthread_mutex_unlock(&desk->lock);
	if (!is_last)
		return;
	pthread_mutex_destroy(&desk->lock);
	free(desk);
}

/* The question is free()d where nobody waits for the answer. */
static void lay_down(struct question *question)
{
	struct desk *desk = question->desk;

	pthread_mutex_lock(&desk->lock);
	if (desk->fd >= 0) {
		list_append(&desk->done, &question->link);
		eventfd_write(desk->fd, 1);
	} else {
		free(question);
	}
	pthread_mutex_unlock(&desk->lock);
	unref_desk(desk);
}

static void add_endpoint(struct endpoints *found, const struct sockaddr *address,
	size_t size)
{
	union endpoint *endpoint = &found->at[found->count];

	if (found->count == ENDPOINTS_MAX || size > sizeof(*endpoint) ||
		(address->sa_family != AF_INET && address->sa_family != AF_INET6))
		return;
	memset(endpoint, 0, sizeof(*endpoint));
	memcpy(endpoint, address, size);
	found->count++;
}

static void *ask(void *arg)
{
	struct question *question = arg;
	struct addrinfo hints = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM };
	struct addrinfo *list = NULL;

	if (getaddrinfo(question->name, NULL, &hints, &list) == 0) {
		for (struct addrinfo *at = list; at; at = at->ai_next)
			add_endpoint(&question->found, at->ai_addr, at->ai_addrlen);
		freeaddrinfo(list);
	}
	lay_down(question);
	return NULL;
}

static int start_thread(struct question *question)
{
	pthread_attr_t attributes;
	pthread_t thread;
	sigset_t all, before;
	int rc;

	pthread_attr_init(&attributes);
	pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attributes, STACK_SIZE);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	rc = pthread_create(&thread, &attributes, ask, question);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attributes);
	return rc;
}

static void start_question(struct lookups *lookups, const char *text)
{
	struct desk *desk = lookups->desk;
	size_t size = strlen(text) + 1;
	struct question *question = xcalloc(1, sizeof(*question) + size);

	memcpy(question->name, text, size);
	list_init(&question->link);
	question->desk = desk;
	pthread_mutex_lock(&desk->lock);
	desk->references++;
	pthread_mutex_unlock(&desk->lock);
	lookups->asked_count++;
	/* Without a thread the name has no addresses, for now. */
	if (start_thread(question) != 0)
		lay_down(question);
}

/* -- the loop ---------------------------------------------------------------------- */

static void ask_next(struct lookups *lookups)
{
	while (lookups->asked_count < LOOKUP_THREADS && !list_is_empty(&lookups->queue)) {
		struct name *name = CONTAINER_OF(lookups->queue.next, struct name, queue);

		list_remove(&name->queue);
		start_question(lookups, name->text);
	}
}

static void free_name(struct lookups *lookups, struct name *name)
{
	map_remove(lookups->names, name->text, strlen(name->text));
	list_remove(&name->queue);
	free(name);
}

/* Callbacks may start and close lookups, of this name too. */
static void tell(struct lookups *lookups, struct name *name)
{
	struct endpoints found = name->found;
	struct list now;

	list_init(&now);
	while (!list_is_empty(&name->waiting)) {
		struct list *link = name->waiting.next;

		list_remove(link);
		list_append(&now, link);
	}
	if (!found.count)
		free_name(lookups, name);
	while (!list_is_empty(&now)) {
		struct lookup *lookup = CONTAINER_OF(now.next, struct lookup, link);
		lookup_fn *fn = lookup->fn;
		void *arg = lookup->arg;

		list_remove(&lookup->link);
		free(lookup);
		fn(found.count ? &found : NULL, arg);
	}
}

static struct question *take_done(struct desk *desk)
{
	struct question *question = NULL;

	pthread_mutex_lock(&desk->lock);
	if (!list_is_empty(&desk->done)) {
		question = CONTAINER_OF(desk->done.next, struct question, link);
		list_remove(&question->link);
	}
	pthread_mutex_unlock(&desk->lock);
	return question;
}

static void on_done(evutil_socket_t fd, short what, void *arg)
{
	struct lookups *lookups = arg;
	struct question *question;
	eventfd_t count;

	(void)what;
	(void)eventfd_read(fd, &count);
	while ((question = take_done(lookups->desk))) {
		struct name *name = map_get(lookups->names, question->name,
			strlen(question->name));

		lookups->asked_count--;
		name->is_asked = false;
		name->found = question->found;
		name->until_ms = clock_ms() + KEPT_MS;
		free(question);
		ask_next(lookups);
		tell(lookups, name);
	}
}

struct lookups *lookups_new(struct event_base *base)
{
	struct lookups *lookups = xcalloc(1, sizeof(*lookups));
	struct desk *desk = xcalloc(1, sizeof(*desk));

	lookups->names = map_new();
	list_init(&lookups->queue);
	lookups->desk = desk;
	pthread_mutex_init(&desk->lock, NULL);
	list_init(&desk->done);
	desk->references = 1;
	desk->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	event_assign(&lookups->done, base, desk->fd, EV_READ | EV_PERSIST, on_done,
		lookups);
	event_add(&lookups->done, NULL);
	return lookups;
}

/* -- what is known without asking -------------------------------------------------- */

static bool is_local(const char *host)
{
	const char *last = strrchr(host, '.');

	return strcasecmp(last ? last + 1 : host, "localhost") == 0;
}

static bool find_literal(const char *host, struct endpoints *found)
{
	union endpoint *endpoint = &found->at[0];

	memset(endpoint, 0, sizeof(*endpoint));
	found->count = 1;
	if (inet_pton(AF_INET, host, &endpoint->ip4.sin_addr) == 1) {
		endpoint->any.sa_family = AF_INET;
		return true;
	}
	endpoint->any.sa_family = AF_INET6;
	return inet_pton(AF_INET6, host, &endpoint->ip6.sin6_addr) == 1;
}

bool lookups_find(struct lookups *lookups, const char *host, struct endpoints *found)
{
	struct name *name;

	if (find_literal(host, found))
		return true;
	if (is_local(host)) {
		struct sockaddr_in6 ip6 = { .sin6_family = AF_INET6,
			.sin6_addr = IN6ADDR_LOOPBACK_INIT };
		struct sockaddr_in ip4 = { .sin_family = AF_INET,
			.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };

		found->count = 0;
		add_endpoint(found, (struct sockaddr *)&ip6, sizeof(ip6));
		add_endpoint(found, (struct sockaddr *)&ip4, sizeof(ip4));
		return true;
	}
	name = map_get(lookups->names, host, strlen(host));
	if (!name || name->until_ms <= clock_ms())
		return false;
	*found = name->found;
	return true;
}

/* -- one lookup -------------------------------------------------------------------- */

static void forget_one(const char *key, size_t key_size, void *value, void *arg)
{
	struct name *name = value;
	struct name **idle = arg;

	(void)key;
	(void)key_size;
	if (!name->is_asked && (!*idle || name->until_ms < (*idle)->until_ms))
		*idle = name;
}

static struct name *name_of(struct lookups *lookups, const char *host)
{
	size_t size = strlen(host);
	struct name *name = map_get(lookups->names, host, size);
	struct name *oldest = NULL;

	if (name)
		return name;
	if (map_count(lookups->names) >= NAMES_MAX)
		map_each(lookups->names, forget_one, &oldest);
	if (oldest)
		free_name(lookups, oldest);
	name = xcalloc(1, sizeof(*name) + size + 1);
	memcpy(name->text, host, size);
	list_init(&name->queue);
	list_init(&name->waiting);
	map_set(lookups->names, host, size, name);
	return name;
}

struct lookup *lookup_start(struct lookups *lookups, const char *host, lookup_fn *fn,
	void *arg)
{
	struct name *name = name_of(lookups, host);
	struct lookup *lookup = xcalloc(1, sizeof(*lookup));

	lookup->fn = fn;
	lookup->arg = arg;
	list_append(&name->waiting, &lookup->link);
	if (name->is_asked)
		return lookup;
	name->is_asked = true;
	list_append(&lookups->queue, &name->queue);
	ask_next(lookups);
	return lookup;
}

void lookup_close(struct lookup *lookup)
{
	if (!lookup)
		return;
	list_remove(&lookup->link);
	free(lookup);
}

static void free_each(const char *key, size_t key_size, void *value, void *arg)
{
	(void)key;
	(void)key_size;
	(void)arg;
	free(value);
}

void lookups_free(struct lookups *lookups)
{
	struct question *question;
	struct desk *desk;
	int fd;

	if (!lookups)
		return;
	desk = lookups->desk;
	event_del(&lookups->done);
	pthread_mutex_lock(&desk->lock);
	fd = desk->fd;
	desk->fd = -1;
	pthread_mutex_unlock(&desk->lock);
	close(fd);
	while ((question = take_done(desk)))
		free(question);
	unref_desk(desk);
	map_each(lookups->names, free_each, NULL);
	map_free(lookups->names);
	free(lookups);
}
