/* address.h - which addresses a transfer may connect to.
 *
 * The connected address is judged, never a name: a name may resolve to anything, and to
 * something else the next time. An IPv4 address inside of an IPv6 one (mapped,
 * compatible, NAT64, 6to4) counts as that IPv4 address. Any thread. */
#pragma once

#include <stdbool.h>

struct sockaddr;

enum address_kind {
	ADDRESS_PUBLIC,
	ADDRESS_PRIVATE, /* loopback, private and shared ranges */
	/* Link-local, metadata services, unspecified, multicast, reserved. */
	ADDRESS_FORBIDDEN,
};

enum address_kind address_kind(const struct sockaddr *address);
/* The same for an address in text. What is no address is ADDRESS_FORBIDDEN. */
enum address_kind address_kind_of_text(const char *text);
bool address_is_allowed(enum address_kind kind, bool is_private_allowed);
