#include "http/answer_copy.h"

void answer_copy_init(struct answer_copy *copy, size_t size_max, size_t *room)
{
	*copy = (struct answer_copy) { .size_max = size_max, .room = room };
}

void answer_copy_add(struct answer_copy *copy, const void *data, size_t size)
{
	size_t left = copy->size_max - buf_size(&copy->bytes);
	/* A gap would pass for text that belongs together. */
	size_t taken = buf_size(&copy->bytes) < copy->whole_size ? 0 : size;

	copy->whole_size += size;
	if (taken > left)
		taken = left;
	if (taken > *copy->room)
		taken = *copy->room;
	if (!taken)
		return;
	*copy->room -= taken;
	buf_append(&copy->bytes, data, taken);
}

void answer_copy_clear(struct answer_copy *copy)
{
	*copy->room += buf_size(&copy->bytes);
	buf_clear(&copy->bytes);
}
