#include "base/number.h"

#include <string.h>

size_t number_write(char room[NUMBER_ROOM], uint64_t number, unsigned base)
{
	char digits[NUMBER_ROOM];
	size_t at = sizeof(digits);

	do {
		digits[--at] = "0123456789abcdef"[number % base];
		number /= base;
	} while (number);
	memcpy(room, digits + at, sizeof(digits) - at);
	return sizeof(digits) - at;
}
