#include "upstream/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>

#include "base/mem.h"

struct range4 {
	uint32_t first;
	int bits;
	enum address_kind kind;
};

struct range6 {
	uint8_t first[16];
	int bits;
	enum address_kind kind;
};

#define IP4(a, b, c, d) \
	((uint32_t)(a) << 24 | (uint32_t)(b) << 16 | (uint32_t)(c) << 8 | (uint32_t)(d))

/* A row stays a row. */
/* clang-format off */

/* The first range that holds an address decides. */
static const struct range4 ranges4[] = {
	{ IP4(0, 0, 0, 0), 8, ADDRESS_FORBIDDEN },
	{ IP4(169, 254, 0, 0), 16, ADDRESS_FORBIDDEN },      /* also 169.254.169.254 */
	{ IP4(100, 100, 100, 200), 32, ADDRESS_FORBIDDEN },  /* metadata, Alibaba Cloud */
	{ IP4(168, 63, 129, 16), 32, ADDRESS_FORBIDDEN },    /* the host agent of Azure */
	{ IP4(192, 0, 0, 0), 24, ADDRESS_FORBIDDEN },        /* also Oracle's */
	{ IP4(224, 0, 0, 0), 3, ADDRESS_FORBIDDEN },         /* multicast, broadcast */
	{ IP4(10, 0, 0, 0), 8, ADDRESS_PRIVATE },
	{ IP4(100, 64, 0, 0), 10, ADDRESS_PRIVATE },
	{ IP4(127, 0, 0, 0), 8, ADDRESS_PRIVATE },
	{ IP4(172, 16, 0, 0), 12, ADDRESS_PRIVATE },
	{ IP4(192, 168, 0, 0), 16, ADDRESS_PRIVATE },
	{ IP4(198, 18, 0, 0), 15, ADDRESS_PRIVATE },
};

static const struct range6 ranges6[] = {
	{ { 0xfd, 0x00, 0x0e, 0xc2 }, 32, ADDRESS_FORBIDDEN }, /* metadata, AWS */
	{ { 0xfe, 0x80 }, 10, ADDRESS_FORBIDDEN },
	{ { 0xff }, 8, ADDRESS_FORBIDDEN },
	{ { [15] = 1 }, 128, ADDRESS_PRIVATE },
	{ { 0xfc }, 7, ADDRESS_PRIVATE },
	{ { 0xfe, 0xc0 }, 10, ADDRESS_PRIVATE },
	{ { 0x00, 0x64, 0xff, 0x9b, 0x00, 0x01 }, 48, ADDRESS_PRIVATE },
	{ { 0x20, 0x01, 0x00, 0x00 }, 32, ADDRESS_FORBIDDEN }, /* Teredo */
};

/* Prefixes behind which an IPv4 address stands, and where. */
static const struct {
	uint8_t prefix[12];
	size_t prefix_size;
	size_t at;
} embedded[] = {
	{ { [10] = 0xff, [11] = 0xff }, 12, 12 },       /* mapped */
	{ { 0x00, 0x64, 0xff, 0x9b }, 12, 12 },         /* NAT64 */
	{ { 0x20, 0x02 }, 2, 2 },                       /* 6to4 */
	{ { 0 }, 12, 12 },                              /* compatible; also :: itself */
};

/* clang-format on */

static enum address_kind kind_of_ip4(uint32_t address)
{
	for (size_t i = 0; i < COUNT_OF(ranges4); i++) {
		uint32_t mask = ~(uint32_t)0 << (32 - ranges4[i].bits);

		if ((address & mask) == ranges4[i].first)
			return ranges4[i].kind;
	}
	return ADDRESS_PUBLIC;
}

static bool begins_with_bits(const uint8_t *address, const uint8_t *first, int bits)
{
	size_t whole = (size_t)bits / 8;
	unsigned mask = 0xff00u >> (bits % 8) & 0xff;

	if (memcmp(address, first, whole) != 0)
		return false;
	return !mask || (address[whole] & mask) == first[whole];
}

static enum address_kind kind_of_ip6(const uint8_t *address)
{
	uint32_t inside;

	for (size_t i = 0; i < COUNT_OF(ranges6); i++)
		if (begins_with_bits(address, ranges6[i].first, ranges6[i].bits))
			return ranges6[i].kind;
	for (size_t i = 0; i < COUNT_OF(embedded); i++) {
		if (memcmp(address, embedded[i].prefix, embedded[i].prefix_size) != 0)
			continue;
		memcpy(&inside, address + embedded[i].at, sizeof(inside));
		return kind_of_ip4(ntohl(inside));
	}
	return ADDRESS_PUBLIC;
}

enum address_kind address_kind(const struct sockaddr *address)
{
	if (address->sa_family == AF_INET) {
		struct sockaddr_in ip4;

		memcpy(&ip4, address, sizeof(ip4));
		return kind_of_ip4(ntohl(ip4.sin_addr.s_addr));
	}
	if (address->sa_family == AF_INET6) {
		struct sockaddr_in6 ip6;

		memcpy(&ip6, address, sizeof(ip6));
		return kind_of_ip6(ip6.sin6_addr.s6_addr);
	}
	return ADDRESS_FORBIDDEN;
}

enum address_kind address_kind_of_text(const char *text)
{
	struct in6_addr ip6;
	struct in_addr ip4;

	if (inet_pton(AF_INET, text, &ip4) == 1)
		return kind_of_ip4(ntohl(ip4.s_addr));
	if (inet_pton(AF_INET6, text, &ip6) == 1)
		return kind_of_ip6(ip6.s6_addr);
	return ADDRESS_FORBIDDEN;
}

bool address_is_allowed(enum address_kind kind, bool is_private_allowed)
{
	return kind == ADDRESS_PUBLIC || (kind == ADDRESS_PRIVATE && is_private_allowed);
}
