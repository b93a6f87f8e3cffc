#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/token.h"
#include "http/listener.h"

static int malformed(const char *address, struct err *err)
{
	return err_set(err, -EINVAL,
		"\"%s\" is no address: host:port, [v6]:port or :port is wanted", address);
}

/* 0 to 65535, or -1. */
static int parse_port(const char *text)
{
	int port = 0;

	if (!*text || strlen(text) > 5)
		return -1;
	for (; *text; text++) {
		if (!byte_is_digit(*text))
			return -1;
		port = port * 10 + (*text - '0');
	}
	return port <= 65535 ? port : -1;
}

int address_parse(const char *address, char *host, size_t host_size, int *port,
	struct err *err)
{
	const char *colon = strrchr(address, ':');
	const char *start = address;
	bool is_bracketed = *address == '[';
	struct in6_addr v6;
	size_t size;

	if (!colon || (*port = parse_port(colon + 1)) < 0)
		return malformed(address, err);
	size = (size_t)(colon - start);
	if (is_bracketed) {
		if (size < 3 || start[size - 1] != ']')
			return malformed(address, err);
		start++;
		size -= 2;
	}
	if (size >= host_size)
		return malformed(address, err);
	memcpy(host, start, size);
	host[size] = '\0';
	if (is_bracketed && inet_pton(AF_INET6, host, &v6) != 1)
		return malformed(address, err);
	if (!is_bracketed &&
		host[strspn(host,
			"abcdefghijklmnopqrstuvwxyz"
			"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._")] != '\0')
		return malformed(address, err);
	return 0;
}

bool address_is_loopback(const char *host)
{
	struct in6_addr v6;
	struct in_addr v4;

	if (inet_pton(AF_INET, host, &v4) == 1)
		return ntohl(v4.s_addr) >> 24 == 127;
	if (inet_pton(AF_INET6, host, &v6) == 1)
		return IN6_IS_ADDR_LOOPBACK(&v6);
	return strcasecmp(host, "localhost") == 0;
}
