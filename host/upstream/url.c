#include "upstream/url.h"

#include <arpa/inet.h>
#include <string.h>
#include <strings.h>

#include "base/token.h"

#define HOST_MAX 253 /* bytes of a name */
#define PORT_MAX 65535

static bool is_letter(char byte)
{
	byte |= 0x20;
	return byte >= 'a' && byte <= 'z';
}

static bool is_address(int family, const char *text, size_t size)
{
	char copy[INET6_ADDRSTRLEN];
	struct in6_addr address;

	if (size >= sizeof(copy))
		return false;
	memcpy(copy, text, size);
	copy[size] = '\0';
	return inet_pton(family, copy, &address) == 1;
}

/* A name whose last label begins with a digit could be read as a number. */
static bool is_plain_host(const char *host, size_t size)
{
	const char *label = host;

	if (!size || size > HOST_MAX || *host == '.' || host[size - 1] == '.')
		return false;
	for (size_t i = 0; i < size; i++) {
		if (host[i] == '.')
			label = host + i + 1;
		else if (!is_letter(host[i]) && !byte_is_digit(host[i]) &&
			host[i] != '-' && host[i] != '_')
			return false;
	}
	return !byte_is_digit(*label) || is_address(AF_INET, host, size);
}

/* Sets the host, and the port's text behind it. */
static bool split_authority(struct url *url, const char **port)
{
	const char *end = url->authority + url->authority_size;

	if (url->authority_size && *url->authority == '[') {
		const char *close = memchr(url->authority, ']', url->authority_size);

		if (!close)
			return false;
		url->has_brackets = true;
		url->host = url->authority + 1;
		url->host_size = (size_t)(close - url->host);
		*port = close + 1;
		return is_address(AF_INET6, url->host, url->host_size);
	}
	*port = memchr(url->authority, ':', url->authority_size);
	if (!*port)
		*port = end;
	url->host = url->authority;
	url->host_size = (size_t)(*port - url->host);
	return is_plain_host(url->host, url->host_size);
}

static bool parse_port(struct url *url, const char *text)
{
	const char *end = url->authority + url->authority_size;
	int usual = url->is_tls ? 443 : 80;
	int port = 0;

	url->port = usual;
	url->has_default_port = true;
	if (text == end)
		return true;
	if (*text++ != ':' || text == end || *text == '0')
		return false;
	for (; text < end; text++) {
		if (!byte_is_digit(*text) || port > PORT_MAX)
			return false;
		port = port * 10 + (*text - '0');
	}
	url->port = port;
	url->has_default_port = port == usual;
	return port > 0 && port <= PORT_MAX;
}

/* Sets the target. False: a byte in it is none that a request line may have. */
static bool split_target(struct url *url)
{
	const char *at = url->target;

	while (*at > ' ' && *at < 0x7f && *at != '#')
		at++;
	url->target_size = (size_t)(at - url->target);
	return !*at || *at == '#';
}

bool url_parse(struct url *url, const char *text)
{
	const char *port, *end;

	*url = (struct url) { .is_tls = strncasecmp(text, "https://", 8) == 0 };
	if (!url->is_tls && strncasecmp(text, "http://", 7) != 0)
		return false;
	url->authority = text + (url->is_tls ? 8 : 7);
	for (end = url->authority; *end && *end != '/' && *end != '?' && *end != '#';)
		end++;
	url->authority_size = (size_t)(end - url->authority);
	url->target = end;
	return split_authority(url, &port) && parse_port(url, port) && split_target(url);
}
