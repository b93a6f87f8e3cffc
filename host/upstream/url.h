/* url.h - the parts of an absolute http or https URL in its plain form.
 *
 * What is not plain (credentials, escapes or other alphabets in the host, numbers that
 * stand for an address, a dot at the end) is left to a parser that knows all of them. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct url {              /* pointers into the text */
	const char *host; /* without the brackets of an IPv6 address */
	size_t host_size;
	const char *authority; /* host and port as they are written */
	size_t authority_size;
	const char *target; /* path and query; may be empty, or begin with '?' */
	size_t target_size;
	int port;
	bool is_tls;
	bool has_brackets;
	bool has_default_port;
};

/* False: the URL is malformed or not plain. */
bool url_parse(struct url *url, const char *text);
