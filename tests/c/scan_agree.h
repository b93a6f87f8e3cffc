/* scan_agree.h - whether the scanner and the full reader see the same top-level members,
 * and whether the scanner sees the same however the document is cut. */
#pragma once

#include <stdlib.h>

#include "json_digest.h"

/* Feeds the document in parts of step bytes. */
static inline int scan_in_parts(struct scan *scan, const char *data, size_t size,
	size_t step, struct err *err)
{
	size_t at;

	for (at = 0; at < size; at += step) {
		size_t part = size - at < step ? size - at : step;
		/* A copy of its own lets the sanitizer see what is read beyond it. */
		char *copy = xmalloc(part);
		int rc;

		memcpy(copy, data + at, part);
		rc = scan_feed(scan, copy, part, err);
		free(copy);
		if (rc != 0)
			return rc;
	}
	return scan_end(scan, err);
}

static inline bool scan_same_member(const struct scan_member *a,
	const struct scan_member *b)
{
	return strcmp(a->name, b->name) == 0 && a->kind == b->kind &&
		a->offset == b->offset && a->name_offset == b->name_offset &&
		a->size == b->size && !a->value == !b->value &&
		(!a->value || strcmp(a->value, b->value) == 0);
}

static inline bool scan_same_last(const struct scan *a, const struct scan *b)
{
	const struct scan_wanted *wanted[2];
	const struct scan_place *last[2];
	size_t count = scan_last(a, &last[0], &wanted[0]);
	bool is_same = scan_last(b, &last[1], &wanted[1]) == count &&
		wanted[0] == wanted[1];

	for (size_t i = 0; is_same && i < count; i++)
		is_same = last[0][i].offset == last[1][i].offset &&
			last[0][i].size == last[1][i].size &&
			last[0][i].kind == last[1][i].kind;
	return is_same;
}

static inline bool scan_same_in_parts(const char *data, size_t size, size_t step)
{
	static const char *const wanted[] = { "model", "a", "stream", "", NULL };
	static const struct scan_wanted lists[] = { { "a", "b", "c", "d" },
		{ "b", "a", "d", "c" } };
	struct scan *whole = scan_new(wanted), *parts = scan_new(wanted);
	struct err whole_err = { "" }, parts_err = { "" };
	int whole_rc, parts_rc;
	size_t i, count;
	bool is_same;

	scan_want_last(whole, lists, 2);
	scan_want_last(parts, lists, 2);
	whole_rc = scan_in_parts(whole, data, size, size ? size : 1, &whole_err);
	parts_rc = scan_in_parts(parts, data, size, step, &parts_err);
	count = scan_member_count(whole);
	is_same = whole_rc == parts_rc && strcmp(whole_err.text, parts_err.text) == 0 &&
		count == scan_member_count(parts) && scan_kind(whole) == scan_kind(parts);
	is_same = is_same && scan_same_last(whole, parts);
	for (i = 0; is_same && i < count; i++)
		is_same = scan_same_member(scan_member_at(whole, i),
			scan_member_at(parts, i));
	scan_free(whole);
	scan_free(parts);
	return is_same;
}

/* Replaces what the scanner leaves to others (all that a string may not hold) by bytes
 * that every parser accepts, in a way of its own. */
static inline void plain_strings(char *data, size_t size)
{
	bool in_string = false;
	size_t i;

	for (i = 0; i < size; i++) {
		if (data[i] == '"') {
			in_string = !in_string;
		} else if (in_string && data[i] == '\\' && i + 1 < size) {
			data[i++] = 'x';
			data[i] = 'x';
		} else if (in_string &&
			((unsigned char)data[i] < ' ' || data[i] & 0x80)) {
			data[i] = 'x';
		}
	}
}

static inline bool scan_agrees_on_members(const struct scan *scan,
	const struct digest *digest, const char *data)
{
	struct digest value;
	size_t i;

	if (scan_kind(scan) != digest->kind || scan_member_count(scan) != digest->count)
		return false;
	for (i = 0; i < digest->count; i++) {
		const struct scan_member *member = scan_member_at(scan, i);
		const struct digest_member *other = &digest->members[i];
		bool is_same = member->kind == other->kind &&
			strlen(member->name) == buf_size(&other->name) &&
			(!buf_size(&other->name) ||
				memcmp(member->name, buf_data(&other->name),
					buf_size(&other->name)) == 0);

		is_same = digest_read(&value, data + member->offset, member->size) == 0 &&
			is_same && value.whole == other->digest;
		digest_clear(&value);
		if (!is_same)
			return false;
	}
	return true;
}

/* Whether a refusal of what the full reader accepts is one of those that are meant. */
static inline bool scan_may_refuse(const char *why, const struct digest *digest)
{
	if (strstr(why, "duplicate top-level"))
		return digest_has_twins(digest);
	return strstr(why, "escape in a top-level") ||
		strstr(why, "too long a top-level") || strstr(why, "too many top-level");
}

static inline bool scan_agrees(const char *data, size_t size)
{
	struct scan *scan = scan_new(NULL);
	struct digest *digest = xmalloc(sizeof(*digest));
	struct err err = { "" };
	bool is_accepted = scan_in_parts(scan, data, size, size ? size : 1, &err) == 0;
	bool agrees = true;

	if (digest_read(digest, data, size) == 0) {
		agrees = is_accepted ? scan_agrees_on_members(scan, digest, data)
				     : scan_may_refuse(err.text, digest);
	} else if (is_accepted) {
		char *plain = xmemdup(data, size);

		plain_strings(plain, size);
		digest_clear(digest);
		agrees = digest_read(digest, plain, size) == 0;
		free(plain);
	}
	digest_clear(digest);
	free(digest);
	scan_free(scan);
	return agrees;
}
