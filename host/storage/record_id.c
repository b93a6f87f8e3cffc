#include "storage/record_id.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include <sodium.h>

void record_id_make(unsigned char id[16], int64_t time_us, struct bytes seed)
{
	uint64_t ms = (uint64_t)(time_us / 1000);

	crypto_generichash(id, 16, seed.data, seed.size, NULL, 0);
	for (int i = 0; i < 6; i++)
		id[i] = (unsigned char)(ms >> (40 - 8 * i));
	id[6] = (unsigned char)(0x70 | (id[6] & 0x0f));
	id[8] = (unsigned char)(0x80 | (id[8] & 0x3f));
}

/* Whether a dash stands before the byte. */
static bool is_dashed(int byte)
{
	return byte == 4 || byte == 6 || byte == 8 || byte == 10;
}

void record_id_write(const unsigned char id[16], char text[RECORD_ID_TEXT])
{
	static const char digits[] = "0123456789abcdef";

	for (int i = 0; i < 16; i++) {
		if (is_dashed(i))
			*text++ = '-';
		*text++ = digits[id[i] >> 4];
		*text++ = digits[id[i] & 15];
	}
}

static int digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)(c | 0x20);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int record_id_read(struct bytes text, unsigned char id[16])
{
	const char *at = text.data;
	int high, low;

	if (text.size != RECORD_ID_TEXT)
		return -EINVAL;
	for (int i = 0; i < 16; i++, at += 2) {
		if (is_dashed(i) && *at++ != '-')
			return -EINVAL;
		high = digit(at[0]);
		low = digit(at[1]);
		if (high < 0 || low < 0)
			return -EINVAL;
		id[i] = (unsigned char)(high << 4 | low);
	}
	return 0;
}
