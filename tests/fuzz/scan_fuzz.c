/* scan_fuzz.c - the scanner gives the same result however the document is cut. */
#include <stdint.h>

#include "../c/scan_agree.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

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
	/* A document that breaks off behind the value has no marks, and is walked. */
	scan_mark(&marks, text, size);
	if (scan_path(text, size, path, data[0] % 4, &value, &value_size) !=
		scan_marked_path(&marks, text, size, path, data[0] % 4, &marked,
			&marked_size))
		abort();
	return 0;
}
