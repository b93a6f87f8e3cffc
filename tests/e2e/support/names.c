/* names.c - a name server of a story's own, for one process.
 *
 * Preloaded before libc: NEAP_TEST_NAMES is a list of NAME=ADDRESS, separated by spaces;
 * getaddrinfo() of such a name gives its address. All other names go to libc. */
#include <dlfcn.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef int getaddrinfo_fn(const char *, const char *, const struct addrinfo *,
	struct addrinfo **);

/* The address of a name, in room; or the name itself. */
static const char *look_up(const char *name, char *room, size_t size)
{
	const char *at = getenv("NEAP_TEST_NAMES");
	size_t length = name ? strlen(name) : 0;

	for (; at && length; at = strchr(at, ' ')) {
		at += strspn(at, " ");
		if (strncmp(at, name, length) != 0 || at[length] != '=')
			continue;
		snprintf(room, size, "%.*s", (int)strcspn(at + length + 1, " "),
			at + length + 1);
		return room;
	}
	return name;
}

int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints,
	struct addrinfo **result)
{
	getaddrinfo_fn *libc = NULL;
	char room[100];

	*(void **)&libc = dlsym(RTLD_NEXT, "getaddrinfo");
	return libc ? libc(look_up(node, room, sizeof(room)), service, hints, result)
		    : EAI_FAIL;
}
