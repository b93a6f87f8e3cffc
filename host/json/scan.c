#include "json/scan_inside.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "json/text.h"

struct scan *scan_new(const char *const *wanted)
{
	struct arena arena = { 0 };
	struct scan *scan = arena_calloc(&arena, sizeof(*scan));

	scan->arena = arena;
	scan->wanted = wanted;
	scan->members = scan->few;
	scan->member_capacity = MEMBERS_FEW;
	scan->state = AT_VALUE;
	return scan;
}

void scan_free(struct scan *scan)
{
	struct arena arena;

	if (!scan)
		return;
	buf_clear(&scan->kept);
	arena = scan->arena;
	arena_clear(&arena);
}

static void fail(struct scan *scan, uint64_t offset, const char *what)
{
	scan->code = -EINVAL;
	scan->failure = arena_printf(&scan->arena, "%s at byte %llu", what,
		(unsigned long long)offset);
}

static void fail_unexpected(struct scan *scan)
{
	unsigned char byte = (unsigned char)scan->data[scan->at];
	char what[32];

	if (byte == 0xef && scan_here(scan) == 0)
		snprintf(what, sizeof(what), "a byte order mark");
	else if (byte > ' ' && byte < 0x7f)
		snprintf(what, sizeof(what), "unexpected \"%c\"", byte);
	else
		snprintf(what, sizeof(what), "unexpected byte 0x%02x", byte);
	fail(scan, scan_here(scan), what);
}

/* Whether the value that comes next is a top-level member's. */
static bool is_at_top(const struct scan *scan)
{
	return scan->depth == 1 && (scan->objects & 1);
}

static bool is_wanted(const struct scan *scan, const char *name)
{
	const char *const *wanted = scan->wanted;

	while (wanted && *wanted && (**wanted != *name || strcmp(*wanted, name) != 0))
		wanted++;
	return wanted && *wanted;
}

static void start_member(struct scan *scan, enum json_kind kind)
{
	struct scan_member *member = &scan->members[scan->member_count - 1];

	member->kind = kind;
	member->offset = scan_here(scan);
	scan->is_keeping = is_wanted(scan, member->name);
	scan->keep_at = scan->at;
	scan->is_in_list = kind == JSON_ARRAY && scan_last_begin(scan, member->name);
}

static inline void start_value(struct scan *scan, enum json_kind kind)
{
	if (scan->depth == 0)
		scan->kind = kind;
	else if (is_at_top(scan))
		start_member(scan, kind);
	else if (scan->is_in_list)
		scan_last_start(scan, kind);
}

static bool can_keep(struct scan *scan, size_t size)
{
	if (buf_size(&scan->kept) + size <= SCAN_VALUE_MAX)
		return true;
	scan->is_keeping = false;
	buf_reset(&scan->kept);
	return false;
}

/* The bytes at hand have ended inside of a value that is being kept: its rest is in those
 * that come. */
static void keep(struct scan *scan)
{
	size_t size = scan->at - scan->keep_at;

	if (can_keep(scan, size))
		buf_append(&scan->kept, scan->data + scan->keep_at, size);
}

static const char *take_kept(struct scan *scan)
{
	const char *last = scan->data + scan->keep_at;
	size_t size = scan->at - scan->keep_at;
	const char *value;

	if (!can_keep(scan, size))
		return NULL;
	scan->is_keeping = false;
	/* Most values lie in one piece. */
	if (!buf_size(&scan->kept))
		return arena_strdup(&scan->arena, last, size);
	buf_append(&scan->kept, last, size);
	value = arena_strdup(&scan->arena, buf_data(&scan->kept), buf_size(&scan->kept));
	buf_reset(&scan->kept);
	return value;
}

static void end_member(struct scan *scan)
{
	struct scan_member *member = &scan->members[scan->member_count - 1];

	member->size = scan_here(scan) - member->offset;
	if (scan->is_keeping)
		member->value = take_kept(scan);
}

/* The value ended before the current byte. */
static inline void end_value(struct scan *scan)
{
	scan->state = scan->depth == 0 ? AT_END : AT_NEXT;
	if (is_at_top(scan))
		end_member(scan);
	else if (scan->is_in_list)
		scan_last_end(scan);
}

static void open_bracket(struct scan *scan, bool is_object)
{
	if (scan->depth == SCAN_DEPTH) {
		fail(scan, scan_here(scan), "nested too deeply");
		return;
	}
	start_value(scan, is_object ? JSON_OBJECT : JSON_ARRAY);
	scan->at++;
	if (scan->depth == 0)
		scan->open_offset = scan_here(scan);
	scan->depth++;
	scan->objects = scan->objects << 1 | is_object;
	scan->state = is_object ? AT_FIRST_NAME : AT_FIRST_ELEMENT;
}

static void close_bracket(struct scan *scan)
{
	scan->at++;
	scan->depth--;
	scan->objects >>= 1;
	end_value(scan);
}

static void start_literal(struct scan *scan, enum json_kind kind, const char *rest)
{
	start_value(scan, kind);
	scan->literal = rest;
	scan->state = IN_LITERAL;
	scan->at++;
}

static void take_value(struct scan *scan, char byte)
{
	switch (byte) {
	case '"':
		start_value(scan, JSON_STRING);
		scan->state = IN_STRING;
		scan->at++;
		return;
	case '{':
	case '[':
		open_bracket(scan, byte == '{');
		return;
	case 't':
		start_literal(scan, JSON_TRUE, "rue");
		return;
	case 'f':
		start_literal(scan, JSON_FALSE, "alse");
		return;
	case 'n':
		start_literal(scan, JSON_NULL, "ull");
		return;
	default:
		scan->number = text_number(NUMBER_START, byte);
		if (scan->number == NUMBER_NONE) {
			fail_unexpected(scan);
			return;
		}
		start_value(scan, JSON_NUMBER);
		scan->state = IN_NUMBER;
		scan->at++;
	}
}

static void take_name(struct scan *scan, char byte)
{
	if (byte != '"') {
		fail_unexpected(scan);
		return;
	}
	if (is_at_top(scan) && scan->member_count == SCAN_MEMBERS) {
		fail(scan, scan_here(scan), "too many top-level members");
		return;
	}
	scan->state = is_at_top(scan) ? IN_TOP_NAME : IN_NAME;
	scan->name_offset = scan_here(scan);
	scan->name_size = 0;
	scan->name_bits = 0;
	scan->at++;
}

/* A byte that is no white space, outside of strings, numbers and literals. */
static void take_byte(struct scan *scan, char byte)
{
	bool in_object = scan->objects & 1;

	if (scan->state == AT_FIRST_ELEMENT && byte == ']') {
		close_bracket(scan);
	} else if (scan->state == AT_VALUE || scan->state == AT_FIRST_ELEMENT) {
		take_value(scan, byte);
	} else if (scan->state == AT_FIRST_NAME && byte == '}') {
		close_bracket(scan);
	} else if (scan->state == AT_FIRST_NAME || scan->state == AT_NAME) {
		take_name(scan, byte);
	} else if (scan->state == AT_COLON && byte == ':') {
		scan->state = AT_VALUE;
		scan->at++;
	} else if (scan->state == AT_NEXT && byte == ',') {
		scan->state = in_object ? AT_NAME : AT_VALUE;
		scan->at++;
	} else if (scan->state == AT_NEXT && byte == (in_object ? '}' : ']')) {
		close_bracket(scan);
	} else {
		fail_unexpected(scan);
	}
}

static void add_member(struct scan *scan)
{
	struct scan_member *members;

	scan->name[scan->name_size] = '\0';
	if (scan->name_bits & 0x80 &&
		text_clean(scan->name, scan->name_size) < scan->name_size) {
		fail(scan, scan->name_offset, "a top-level name that is no UTF-8");
		return;
	}
	if (scan_find(scan, scan->name)) {
		fail(scan, scan->name_offset, "a duplicate top-level name");
		return;
	}
	if (scan->member_count == scan->member_capacity) {
		scan->member_capacity *= 2;
		members = arena_alloc(&scan->arena,
			scan->member_capacity * sizeof(*members));
		memcpy(members, scan->members, scan->member_count * sizeof(*members));
		scan->members = members;
	}
	scan->members[scan->member_count++] = (struct scan_member) {
		.name = arena_strdup(&scan->arena, scan->name, scan->name_size),
		.name_offset = scan->name_offset,
	};
}

static bool is_plain(char byte)
{
	return byte != '"' && byte != '\\' && (unsigned char)byte >= ' ';
}

static void pass_top_name(struct scan *scan)
{
	const char *from = scan->data + scan->at;
	size_t left = scan->size - scan->at;
	size_t room = SCAN_NAME_MAX - scan->name_size;
	size_t most = left < room ? left : room, size = 0;
	unsigned char bits = 0;
	char byte;

	while (size < most && is_plain(from[size]))
		bits |= (unsigned char)from[size++];
	memcpy(scan->name + scan->name_size, from, size);
	scan->name_bits |= bits;
	scan->name_size += size;
	scan->at += size;
	if (scan->at == scan->size)
		return;
	byte = scan->data[scan->at];
	if (byte == '"') {
		add_member(scan);
		scan->state = AT_COLON;
	} else if (byte == '\\') {
		fail(scan, scan_here(scan), "an escape in a top-level name");
	} else if ((unsigned char)byte < ' ') {
		fail_unexpected(scan);
	} else {
		fail(scan, scan_here(scan), "too long a top-level name");
	}
	scan->at++;
}

static void pass_string(struct scan *scan)
{
	const char *piece = scan->data + scan->at;
	size_t left = scan->size - scan->at;
	size_t size = text_string_end(piece, left, &scan->is_escaped);

	if (scan->is_in_list)
		scan_last_text(scan, piece, size, size < left);
	scan->at += size;
	if (size == left)
		return;
	scan->at++;
	if (scan->state == IN_NAME)
		scan->state = AT_COLON;
	else
		end_value(scan);
}

static void pass_number(struct scan *scan)
{
	enum text_number next = NUMBER_NONE;

	while (scan->at < scan->size) {
		next = text_number(scan->number, scan->data[scan->at]);
		if (next == NUMBER_NONE)
			break;
		scan->number = next;
		scan->at++;
	}
	if (next != NUMBER_NONE)
		return;
	if (text_number_is_whole(scan->number))
		end_value(scan);
	else
		fail_unexpected(scan);
}

static void pass_literal(struct scan *scan)
{
	if (scan->data[scan->at] != *scan->literal) {
		fail_unexpected(scan);
		return;
	}
	scan->at++;
	if (*++scan->literal == '\0')
		end_value(scan);
}

static void pass(struct scan *scan)
{
	switch (scan->state) {
	case IN_STRING:
	case IN_NAME:
		pass_string(scan);
		break;
	case IN_TOP_NAME:
		pass_top_name(scan);
		break;
	case IN_NUMBER:
		pass_number(scan);
		break;
	case IN_LITERAL:
		pass_literal(scan);
		break;
	default:
		if (text_is_space(scan->data[scan->at]))
			scan->at++;
		else
			take_byte(scan, scan->data[scan->at]);
	}
}

int scan_feed(struct scan *scan, const char *data, size_t size, struct err *err)
{
	scan->data = data;
	scan->size = size;
	scan->at = 0;
	scan->keep_at = 0;
	while (scan->code == 0 && scan->at < size)
		pass(scan);
	if (scan->code != 0)
		return err_set(err, scan->code, "%s", scan->failure);
	if (scan->is_keeping)
		keep(scan);
	scan->offset += size;
	scan->at = 0;
	return 0;
}

int scan_end(struct scan *scan, struct err *err)
{
	if (scan->code == 0 && scan->state == IN_NUMBER && scan->depth == 0 &&
		text_number_is_whole(scan->number))
		end_value(scan);
	if (scan->code == 0 && scan->state != AT_END)
		fail(scan, scan->offset, "the document ends too early");
	if (scan->code != 0)
		return err_set(err, scan->code, "%s", scan->failure);
	return 0;
}

enum json_kind scan_kind(const struct scan *scan)
{
	return scan->kind;
}

size_t scan_member_count(const struct scan *scan)
{
	return scan->member_count;
}

const struct scan_member *scan_member_at(const struct scan *scan, size_t index)
{
	assert(index < scan->member_count);
	return &scan->members[index];
}

const struct scan_member *scan_find(const struct scan *scan, const char *name)
{
	size_t i;

	for (i = 0; i < scan->member_count; i++)
		if (strcmp(scan->members[i].name, name) == 0)
			return &scan->members[i];
	return NULL;
}

uint64_t scan_open_offset(const struct scan *scan)
{
	return scan->open_offset;
}
