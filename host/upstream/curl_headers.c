#include "upstream/curl_headers.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static bool has_name(const char *header, const char *name)
{
	size_t size = strlen(name);

	return strncasecmp(header, name, size) == 0 && header[size] == ':';
}

static bool is_framing(const char *header)
{
	return has_name(header, "content-length") ||
		has_name(header, "transfer-encoding") || has_name(header, "connection") ||
		has_name(header, "expect");
}

static bool is_without_value(const char *colon)
{
	return colon[1 + strspn(colon + 1, " \t")] == '\0';
}

static void add(struct headers *headers, const char *text)
{
	headers->list = curl_slist_append(headers->list, text);
}

static int add_given(struct headers *headers, const char *header)
{
	const char *colon = strchr(header, ':');
	char *bare;

	if (!colon || colon == header || strpbrk(header, "\r\n"))
		return -EINVAL;
	if (is_framing(header))
		return 0;
	if (!is_without_value(colon)) {
		add(headers, header);
		return 0;
	}
	/* "Name:" would mean to curl: leave it out. "Name;" is a field without a
	 * value. */
	bare = xmemdup(header, (size_t)(colon - header) + 1);
	bare[colon - header] = ';';
	add(headers, bare);
	free(bare);
	return 0;
}

static size_t header_count(const struct transfer_request *request)
{
	return request->header_count + request->own_header_count;
}

static const char *header_at(const struct transfer_request *request, size_t i)
{
	return i < request->header_count
		? request->headers[i]
		: request->own_headers[i - request->header_count];
}

bool headers_are_for(const struct headers *headers,
	const struct transfer_request *request)
{
	size_t at = 0, size = buf_size(&headers->given);

	if (!headers->list)
		return false;
	for (size_t i = 0; i < header_count(request); i++) {
		const char *header = header_at(request, i);

		if (at == size || strcmp(buf_data(&headers->given) + at, header) != 0)
			return false;
		at += strlen(header) + 1;
	}
	return at == size;
}

int headers_make(struct headers *headers, const struct transfer_request *request)
{
	bool has_type = false, has_accept = false, has_encoding = false;

	headers_clear(headers);
	for (size_t i = 0; i < header_count(request); i++) {
		const char *header = header_at(request, i);

		has_type |= has_name(header, "content-type");
		has_accept |= has_name(header, "accept");
		has_encoding |= has_name(header, "accept-encoding");
		buf_append(&headers->given, header, strlen(header) + 1);
		if (add_given(headers, header) != 0) {
			headers_clear(headers);
			return -EINVAL;
		}
	}
	add(headers, "Expect:");
	if (!has_type)
		add(headers, "Content-Type:");
	if (!has_accept)
		add(headers, "Accept:");
	/* Curl's own would be printed twice. */
	if (!has_encoding)
		add(headers, "Accept-Encoding: identity");
	return 0;
}

void headers_clear(struct headers *headers)
{
	curl_slist_free_all(headers->list);
	headers->list = NULL;
	buf_clear(&headers->given);
}
