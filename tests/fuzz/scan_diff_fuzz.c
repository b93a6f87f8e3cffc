/* scan_diff_fuzz.c - the scanner and the full reader see the same top-level members. */
#include <stdint.h>

#include "../c/scan_agree.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!scan_agrees((const char *)data, size))
		abort();
	return 0;
}
