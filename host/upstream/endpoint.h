/* endpoint.h - an address that can be connected to, and several of them. */
#pragma once

#include <netinet/in.h>
#include <stddef.h>
#include <sys/socket.h>

#define ENDPOINTS_MAX 16 /* addresses of a name that are looked at */

union endpoint {
	struct sockaddr any;
	struct sockaddr_in ip4;
	struct sockaddr_in6 ip6;
};

struct endpoints {
	size_t count;
	union endpoint at[ENDPOINTS_MAX]; /* without a port */
};
