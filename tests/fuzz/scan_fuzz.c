/* scan_fuzz.c - the scanner gives the same result however the document is cut, and walks and
 * looks stay inside of it. */
#include <stdint.h>

#include "../c/scan_agree.h"
#include "json/gist.h"
#include "json/look.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct look *new_look(void)
{
	static const char *const paths[] = { "a", "a/*/b", "b", "a/b", "b/*" };
	static const enum look_take takes[] = { LOOK_VALUE, LOOK_VALUE, LOOK_NUMBER,
		LOOK_GREATEST, LOOK_SOME };
	struct look *look = look_new();

	for (size_t i = 0; i < COUNT_OF(paths); i++)
		if (look_ask(look, takes[i], 1e6) < 0 ||
			look_add_path(look, paths[i]) != 0)
			abort();
	return look;
}

/* The marks are those that a walk without a look finds, and what is found in them is what
 * is found in the document. */
static void look_into(const char *text, size_t size)
{
	static struct look *look;
	struct look_answer answers[LOOK_QUESTIONS_MAX], again[LOOK_QUESTIONS_MAX];
	struct scan_marks marks;
	struct gist gist;

	if (!look)
		look = new_look();
	look_read(look, text, size, &marks, answers);
	for (size_t i = 0; i < 2; i++) {
		struct scan_slice value = { answers[i].text, answers[i].size,
			answers[i].kind };

		if (!value.data)
			continue;
		if (value.data < text || !value.size ||
			value.data + value.size > text + size)
			abort();
		gist_of_value(&gist, &value, "b");
	}
	if (!marks.is_whole)
		return;
	look_read_marked(look, &marks, again);
	for (size_t i = 0; i < look_question_count(look); i++)
		if (answers[i].kind != again[i].kind ||
			answers[i].text != again[i].text ||
			answers[i].number != again[i].number)
			abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const path[] = { "a", "0", "b" };
	const char *text = (const char *)data + 1, *value, *marked;
	size_t value_size, marked_size;
	struct scan_marks marks;

	if (size < 2)
		return 0;
	size--;
	if (!scan_same_in_parts(text, size, 1) ||
		!scan_same_in_parts(text, size, 1 + data[0] % 80))
		abort();
	if (scan_path(text, size, path, data[0] % 4, &value, &value_size) != JSON_NONE &&
		(value < text || value_size == 0 || value + value_size > text + size))
		abort();
	look_into(text, size);
	/* A document that breaks off behind the value has no marks, and is walked. */
	scan_mark(&marks, text, size);
	if (scan_path(text, size, path, data[0] % 4, &value, &value_size) !=
		scan_marked_path(&marks, text, size, path, data[0] % 4, &marked,
			&marked_size))
		abort();
	return 0;
}
