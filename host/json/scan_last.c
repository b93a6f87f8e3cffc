/* scan_last.c - the last wanted elements of a list, noted while the scan passes over them: a
 * list can be most of a document, and is not walked over a second time. */
#include <string.h>

#include "json/scan_inside.h"

#define AT_ELEMENT 2 /* the depth at which a list's elements stand */
#define AT_MEMBER 3  /* and their members */

static bool is_text(const char *text, const char *piece, size_t size)
{
	return strlen(text) == size && memcmp(text, piece, size) == 0;
}

void scan_want_last(struct scan *scan, const struct scan_wanted *wanted, size_t count)
{
	scan->lists = wanted;
	scan->list_count = count;
}

size_t scan_last(const struct scan *scan, const struct scan_place **last,
	const struct scan_wanted **wanted)
{
	*last = scan->last;
	*wanted = scan->last_wanted;
	return scan->last_count;
}

bool scan_last_begin(struct scan *scan, const char *name)
{
	for (size_t i = 0; i < scan->list_count; i++) {
		if (strcmp(name, scan->lists[i].list) != 0)
			continue;
		scan->last_wanted = &scan->lists[i];
		scan->last_count = 0;
		return true;
	}
	return false;
}

void scan_last_start(struct scan *scan, enum json_kind kind)
{
	if (scan->depth == AT_ELEMENT) {
		scan->is_it = false;
		scan->coming = NULL;
		scan->part = (struct scan_place) { 0 };
	} else if (scan->depth == AT_MEMBER && scan->coming) {
		scan->name_size = 0;
		if (scan->coming == scan->last_wanted->part)
			scan->part = (struct scan_place) { scan_here(scan), 0, kind };
	}
}

static void add_last(struct scan *scan)
{
	memmove(scan->last + 1, scan->last, (SCAN_LAST - 1) * sizeof(*scan->last));
	scan->last[0] = scan->part;
	if (scan->last_count < SCAN_LAST)
		scan->last_count++;
}

void scan_last_end(struct scan *scan)
{
	if (scan->depth == AT_MEMBER) {
		if (scan->coming == scan->last_wanted->part)
			scan->part.size = scan_here(scan) - scan->part.offset;
		scan->coming = NULL;
	} else if (scan->depth == AT_ELEMENT && scan->is_it) {
		add_last(scan);
	}
}

/* The whole of a text that may have come in pieces. Of too long a one only the beginning is
 * gathered: it is no wanted one either. */
static const char *gather(struct scan *scan, const char *piece, size_t *size)
{
	size_t room = SCAN_NAME_MAX + 1 - scan->name_size;
	size_t more = *size < room ? *size : room;

	memcpy(scan->name + scan->name_size, piece, more);
	scan->name_size += more;
	*size = scan->name_size;
	return scan->name;
}

void scan_last_text(struct scan *scan, const char *piece, size_t size, bool is_ended)
{
	const struct scan_wanted *wanted = scan->last_wanted;
	bool is_name = scan->state == IN_NAME;

	if (scan->depth != AT_MEMBER || (!is_name && scan->coming != wanted->name))
		return;
	/* Nearly all come in one piece. */
	if (!is_ended || scan->name_size)
		piece = gather(scan, piece, &size);
	if (!is_ended)
		return;
	if (!is_name)
		scan->is_it = is_text(wanted->text, piece, size);
	else if (is_text(wanted->name, piece, size))
		scan->coming = wanted->name;
	else
		scan->coming = is_text(wanted->part, piece, size) ? wanted->part : NULL;
}
