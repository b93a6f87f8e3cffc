#include "json/splice.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "json/scan.h"
#include "json/text.h"

/* The new body while it is put together, and how much of the document is used up. */
struct draft {
	struct arena *arena;
	const char *memory;
	struct source *source;
	uint64_t at;
	struct piece *pieces;
	size_t count;
};

/* The document's bytes from the last place up to offset stay. */
static void keep_until(struct draft *draft, uint64_t offset)
{
	struct piece *piece = &draft->pieces[draft->count];

	assert(offset >= draft->at);
	if (offset == draft->at)
		return;
	*piece = (struct piece) {
		.data = draft->memory ? draft->memory + draft->at : NULL,
		.source = draft->memory ? NULL : draft->source,
		.offset = draft->at,
		.size = offset - draft->at,
	};
	draft->at = offset;
	draft->count++;
}

static void skip_until(struct draft *draft, uint64_t offset)
{
	assert(offset >= draft->at);
	draft->at = offset;
}

static void insert(struct draft *draft, const char *text, size_t size)
{
	draft->pieces[draft->count++] = (struct piece) { .data = text, .size = size };
}

static const struct splice_edit *find_edit(const struct splice_edit *edits, size_t count,
	const char *name)
{
	size_t i;

	for (i = 0; i < count; i++)
		if (strcmp(edits[i].name, name) == 0)
			return &edits[i];
	return NULL;
}

static int check_edits(const struct splice_edit *edits, size_t count, struct err *err)
{
	size_t i;

	for (i = 0; i < count; i++) {
		const char *name = edits[i].name;

		if (text_plain(name, strlen(name)) != strlen(name))
			return err_set(err, -EINVAL,
				"a member's name that cannot be set");
		if (find_edit(edits, i, name))
			return err_set(err, -EINVAL, "\"%s\" is set twice", name);
		if (edits[i].value && edits[i].value_size == 0)
			return err_set(err, -EINVAL, "\"%s\" is set to nothing", name);
	}
	return 0;
}

static size_t count_staying(const struct scan *scan, const struct splice_edit *edits,
	size_t edit_count)
{
	size_t i, staying = 0;

	for (i = 0; i < scan_member_count(scan); i++) {
		const char *name = scan_member_at(scan, i)->name;
		const struct splice_edit *edit = find_edit(edits, edit_count, name);

		staying += !edit || edit->value;
	}
	return staying;
}

/* Each new member brings its comma, but for one that nothing follows. */
static void add_members(struct draft *draft, const struct scan *scan,
	const struct splice_edit *edits, size_t count)
{
	char *comma = NULL;
	size_t i;

	for (i = 0; i < count; i++) {
		size_t name_size, size;
		char *text;

		if (!edits[i].value || scan_find(scan, edits[i].name))
			continue;
		name_size = strlen(edits[i].name);
		size = name_size + edits[i].value_size + 4;
		text = arena_alloc(draft->arena, size);
		text[0] = '"';
		memcpy(text + 1, edits[i].name, name_size);
		memcpy(text + 1 + name_size, "\":", 2);
		memcpy(text + 3 + name_size, edits[i].value, edits[i].value_size);
		comma = text + size - 1;
		*comma = ',';
		insert(draft, text, size);
	}
	if (comma && count_staying(scan, edits, count) == 0)
		draft->pieces[draft->count - 1].size--;
}

/* A member goes with the comma before it; where no member before it stays, with the one
 * behind it. */
static void remove_member(struct draft *draft, const struct scan *scan, size_t index,
	bool is_first)
{
	const struct scan_member *member = scan_member_at(scan, index);
	uint64_t end = member->offset + member->size;

	if (!is_first) {
		const struct scan_member *before = scan_member_at(scan, index - 1);

		keep_until(draft, before->offset + before->size);
	} else {
		keep_until(draft, member->name_offset);
		if (index + 1 < scan_member_count(scan))
			end = scan_member_at(scan, index + 1)->name_offset;
	}
	skip_until(draft, end);
}

int splice(struct piece **pieces, size_t *piece_count, struct arena *arena,
	const struct scan *scan, const char *memory, struct source *source, uint64_t size,
	const struct splice_edit *edits, size_t edit_count, struct err *err)
{
	struct draft draft = { .arena = arena, .memory = memory, .source = source };
	bool is_first = true;
	size_t i;
	int rc = check_edits(edits, edit_count, err);

	if (rc != 0)
		return rc;
	if (scan_kind(scan) != JSON_OBJECT)
		return err_set(err, -EINVAL, "the document is no object");

	/* An edit brings at most its own piece and the document's part before it; two
	 * more are the parts around the new members. */
	draft.pieces = arena_alloc(arena, (2 * edit_count + 2) * sizeof(*draft.pieces));
	keep_until(&draft, scan_open_offset(scan));
	add_members(&draft, scan, edits, edit_count);
	for (i = 0; i < scan_member_count(scan); i++) {
		const struct scan_member *member = scan_member_at(scan, i);
		const struct splice_edit *edit = find_edit(edits, edit_count,
			member->name);

		if (edit && !edit->value) {
			remove_member(&draft, scan, i, is_first);
			continue;
		}
		is_first = false;
		if (!edit)
			continue;
		keep_until(&draft, member->offset);
		insert(&draft, arena_strdup(arena, edit->value, edit->value_size),
			edit->value_size);
		skip_until(&draft, member->offset + member->size);
	}
	keep_until(&draft, size);
	*pieces = draft.pieces;
	*piece_count = draft.count;
	return 0;
}
