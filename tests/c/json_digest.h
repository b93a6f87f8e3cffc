/* json_digest.h - one number for what a full reader sees in a document, and for each of
 * its top-level members: what the scanner is compared with. */
#pragma once

#include <stdint.h>
#include <string.h>

#include "base/buf.h"
#include "json/scan.h"
#include "json/value.h"

#define DIGEST_MEMBERS (SCAN_MEMBERS + 1)

struct digest_member {
	struct buf name;
	enum json_kind kind;
	uint64_t digest;
};

struct digest {
	uint64_t whole;
	int depth;
	enum json_kind kind; /* of the document */
	struct digest_member members[DIGEST_MEMBERS];
	size_t count; /* of members; the last one takes all that are too many */
};

static inline uint64_t digest_mix(uint64_t digest, char kind, const char *text,
	size_t size)
{
	size_t i;

	digest = (digest ^ (uint64_t)kind) * 0x100000001b3u;
	for (i = 0; i < size; i++)
		digest = (digest ^ (unsigned char)text[i]) * 0x100000001b3u;
	return digest;
}

static inline int digest_event(struct digest *digest, enum json_kind kind, char event,
	const char *text, size_t size)
{
	bool in_member = digest->kind == JSON_OBJECT && digest->count > 0;
	struct digest_member *member = in_member ? &digest->members[digest->count - 1]
						 : NULL;

	digest->whole = digest_mix(digest->whole, event, text, size);
	if (digest->kind == JSON_NONE)
		digest->kind = kind;
	if (member && digest->depth == 1 && member->kind == JSON_NONE)
		member->kind = kind;
	/* The end of the document's own object belongs to no member. */
	if (member && (digest->depth > 1 || event != 'E'))
		member->digest = digest_mix(member->digest, event, text, size);
	return 0;
}

static int digest_on_null(void *arg)
{
	return digest_event(arg, JSON_NULL, 'n', "", 0);
}

static int digest_on_boolean(bool value, void *arg)
{
	return digest_event(arg, value ? JSON_TRUE : JSON_FALSE, value ? 't' : 'f', "",
		0);
}

static int digest_on_number(const char *text, size_t size, void *arg)
{
	return digest_event(arg, JSON_NUMBER, '0', text, size);
}

static int digest_on_string(const char *text, size_t size, void *arg)
{
	return digest_event(arg, JSON_STRING, 's', text, size);
}

static int digest_on_name(const char *text, size_t size, void *arg)
{
	struct digest *digest = arg;

	if (digest->depth != 1 || digest->kind != JSON_OBJECT)
		return digest_event(digest, JSON_NONE, ':', text, size);
	digest->whole = digest_mix(digest->whole, ':', text, size);
	if (digest->count < DIGEST_MEMBERS)
		digest->count++;
	buf_reset(&digest->members[digest->count - 1].name);
	buf_append(&digest->members[digest->count - 1].name, text, size);
	return 0;
}

static inline int digest_bracket(struct digest *digest, enum json_kind kind, bool is_end)
{
	digest_event(digest, kind, is_end ? 'E' : kind == JSON_ARRAY ? '[' : '{', "", 0);
	digest->depth += is_end ? -1 : 1;
	return 0;
}

static int digest_on_array(bool is_end, void *arg)
{
	return digest_bracket(arg, JSON_ARRAY, is_end);
}

static int digest_on_object(bool is_end, void *arg)
{
	return digest_bracket(arg, JSON_OBJECT, is_end);
}

/* Returns what value_read() does. */
static inline int digest_read(struct digest *digest, const char *data, size_t size)
{
	static const struct value_handler handler = {
		.on_null = digest_on_null,
		.on_boolean = digest_on_boolean,
		.on_number = digest_on_number,
		.on_string = digest_on_string,
		.on_name = digest_on_name,
		.on_array = digest_on_array,
		.on_object = digest_on_object,
	};
	struct buf scratch = { 0 };
	int rc;

	memset(digest, 0, sizeof(*digest));
	rc = value_read(data, size, &handler, digest, &scratch, NULL);
	buf_clear(&scratch);
	return rc;
}

static inline void digest_clear(struct digest *digest)
{
	size_t i;

	for (i = 0; i < digest->count; i++)
		buf_clear(&digest->members[i].name);
}

/* Whether two members have the same name. */
static inline bool digest_has_twins(const struct digest *digest)
{
	size_t i, k;

	for (i = 0; i < digest->count; i++)
		for (k = 0; k < i; k++) {
			const struct buf *a = &digest->members[i].name;
			const struct buf *b = &digest->members[k].name;

			if (buf_size(a) == buf_size(b) &&
				(!buf_size(a) ||
					memcmp(buf_data(a), buf_data(b), buf_size(a)) ==
						0))
				return true;
		}
	return false;
}
