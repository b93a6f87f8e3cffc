/* Blocks that a thread gives back and takes again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"

#define BLOCKS 200 /* more of a size than a thread keeps */

static const size_t sizes[] = { 1, 127, 128, 129, 1000, 2047, 2048, 2049, 100000 };

static void assert_filled(const unsigned char *memory, size_t size, unsigned char byte)
{
	for (size_t i = 0; i < size; i++)
		assert_int_equal(memory[i], byte);
}

static void take_and_give(size_t size)
{
	unsigned char *blocks[BLOCKS];

	for (size_t i = 0; i < BLOCKS; i++) {
		blocks[i] = mem_take(size);
		memset(blocks[i], (int)i, size);
	}
	for (size_t i = 0; i < BLOCKS; i++) {
		assert_filled(blocks[i], size, (unsigned char)i);
		mem_give(blocks[i], size);
	}
}

static void test_blocks_are_their_owners_alone(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT_OF(sizes); i++) {
		take_and_give(sizes[i]);
		mem_keep(true);
		take_and_give(sizes[i]);
		take_and_give(sizes[i]);
	}
	mem_keep(false);
	mem_give(NULL, 100);
}

static void test_resizing_keeps_what_fits(void **state)
{
	(void)state;
	mem_keep(true);
	for (size_t i = 0; i < COUNT_OF(sizes); i++) {
		for (size_t j = 0; j < COUNT_OF(sizes); j++) {
			size_t less = sizes[i] < sizes[j] ? sizes[i] : sizes[j];
			unsigned char *memory = mem_resize(NULL, 0, sizes[i]);

			memset(memory, 7, sizes[i]);
			memory = mem_resize(memory, sizes[i], sizes[j]);
			assert_filled(memory, less, 7);
			memset(memory, 8, sizes[j]);
			mem_give(memory, sizes[j]);
		}
	}
	mem_keep(false);
}

static void test_a_block_may_be_freed(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT_OF(sizes); i++)
		free(mem_take(sizes[i]));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_blocks_are_their_owners_alone),
		cmocka_unit_test(test_resizing_keeps_what_fits),
		cmocka_unit_test(test_a_block_may_be_freed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
