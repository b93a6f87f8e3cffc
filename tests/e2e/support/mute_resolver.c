/* mute_resolver.c - a name server that never answers, for one process.
 *
 * Preloaded before libc: getaddrinfo() of a name that ends in ".mute.test" blocks until
 * the process ends; all other names go to libc. */
#include <dlfcn.h>
#include <netdb.h>
#include <string.h>
#include <unistd.h>

typedef int getaddrinfo_fn(const char *, const char *, const struct addrinfo *,
	struct addrinfo **);

static int is_mute(const char *name)
{
	static const char suffix[] = ".mute.test";
	size_t size = name ? strlen(name) : 0;
	size_t suffix_size = sizeof(suffix) - 1;

	return size >= suffix_size && strcmp(name + size - suffix_size, suffix) == 0;
}

int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints,
	struct addrinfo **result)
{
	getaddrinfo_fn *libc = NULL;

	while (is_mute(node))
		pause();
	*(void **)&libc = dlsym(RTLD_NEXT, "getaddrinfo");
	return libc ? libc(node, service, hints, result) : EAI_FAIL;
}
