#include "base/number.h"

#include <string.h>

static size_t take_digits(char room[NUMBER_ROOM], const char digits[NUMBER_ROOM],
	size_t at)
{
	memcpy(room, digits + at, NUMBER_ROOM - at);
	return NUMBER_ROOM - at;
}

size_t number_write(char room[NUMBER_ROOM], uint64_t number)
{
	char digits[NUMBER_ROOM];
	size_t at = sizeof(digits);

	if (number < 10) { /* as many of those in a record */
		room[0] = (char)('0' + number);
		return 1;
	}
	/* Each base has a loop of its own: the compiler divides by a constant without a division. */
	do {
		digits[--at] = (char)('0' + number % 10);
		number /= 10;
	} while (number);
	return take_digits(room, digits, at);
}

size_t number_write_hex(char room[NUMBER_ROOM], uint64_t number)
{
	char digits[NUMBER_ROOM];
	size_t at = sizeof(digits);

	do {
		digits[--at] = "0123456789abcdef"[number % 16];
		number /= 16;
	} while (number);
	return take_digits(room, digits, at);
}
