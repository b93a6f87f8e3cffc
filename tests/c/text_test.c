/* Searches that go by blocks of bytes: at every place of a block, and at both ends. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "json/text.h"

#define SIZE_MAX_TRIED 80

/* A copy of exactly size bytes, so that ASan sees a read behind it. */
static char *filled(size_t size, char byte)
{
	char *data = malloc(size ? size : 1);

	assert_non_null(data);
	memset(data, byte, size);
	return data;
}

static void finds_the_end_of_a_name_wherever_it_stands(void **state)
{
	static const char behind[] = { ':', ' ', '\t', '\r', '\n' };
	size_t ends[4];

	(void)state;
	for (size_t size = 2; size < SIZE_MAX_TRIED; size++) {
		for (size_t at = 0; at + 2 <= size; at++) {
			/* Quotes and colons all around, none behind the other. */
			char *data = filled(size, "\"!\xff"[at % 3]);

			data[at] = '"';
			data[at + 1] = behind[at % sizeof(behind)];
			assert_int_equal(text_name_ends(data, size, ends, 4), 1);
			assert_int_equal(ends[0], at);
			data[at] = ':';
			assert_int_equal(text_name_ends(data, size, ends, 4),
				at > 0 && data[at - 1] == '"');
			free(data);
		}
	}
}

static void finds_no_more_ends_of_names_than_there_is_room_for(void **state)
{
	size_t ends[41];

	(void)state;
	for (size_t size = 0; size < SIZE_MAX_TRIED; size++) {
		char *data = filled(size, ':');

		for (size_t at = 0; at < size; at += 2)
			data[at] = '"';
		assert_int_equal(text_name_ends(data, size, ends, 41), size / 2);
		for (size_t most = 0; most <= size / 2; most++) {
			ends[most] = SIZE_MAX;
			assert_int_equal(text_name_ends(data, size, ends, most), most);
			assert_int_equal(ends[most], SIZE_MAX);
		}
		free(data);
	}
}

static void finds_the_end_of_a_string_wherever_it_stands(void **state)
{
	(void)state;
	for (size_t size = 1; size < SIZE_MAX_TRIED; size++) {
		for (size_t at = 0; at < size; at++) {
			bool is_escaped = false;
			char *data = filled(size, 'x');

			data[at] = '"';
			assert_int_equal(text_string_end(data, size, &is_escaped), at);
			if (at > 0) {
				data[at - 1] = '\\';
				assert_int_equal(text_string_end(data, size, &is_escaped),
					size);
			}
			free(data);
		}
	}
}

/* For each number of bytes, the last place up to there that lies between two of the text's
 * characters; they are separated by bars here. */
static void cuts_between_characters(void **state)
{
	static const char barred[] =
		"a|\\n|\xc3\xbc|\\\\|\\u00e4|b|\xf0\x9f\x98\x80|\\ud83d\\ude00|"
		"\\\"|\\uD83D\\uDE00|z";
	char text[sizeof(barred)];
	size_t ends[sizeof(barred)], size = 0, count = 0;

	(void)state;
	ends[count++] = 0;
	for (const char *at = barred; *at; at++)
		if (*at == '|')
			ends[count++] = size;
		else
			text[size++] = *at;
	ends[count++] = size;
	for (size_t most = 0; most <= size + 1; most++) {
		size_t expected = 0;

		for (size_t i = 0; i < count && ends[i] <= most; i++)
			expected = ends[i];
		assert_int_equal(text_cut(text, size, most), expected);
	}
}

static void finds_what_is_special_and_nothing_behind_the_end(void **state)
{
	static const char special[] = { '"', '\\', '\n', '\0', '\x80', '\xff' };

	(void)state;
	for (size_t size = 0; size < SIZE_MAX_TRIED; size++) {
		/* All of the room is special. */
		char *data = filled(size + TEXT_ROOM, '"');

		memset(data, 'a', size);
		assert_int_equal(text_plain_in_room(data, size), size);
		for (size_t at = 0; at < size; at++) {
			data[at] = special[at % sizeof(special)];
			assert_int_equal(text_plain_in_room(data, size), at);
			assert_int_equal(text_plain(data, size), at);
			data[at] = 'a';
		}
		free(data);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(finds_the_end_of_a_name_wherever_it_stands),
		cmocka_unit_test(finds_no_more_ends_of_names_than_there_is_room_for),
		cmocka_unit_test(finds_the_end_of_a_string_wherever_it_stands),
		cmocka_unit_test(cuts_between_characters),
		cmocka_unit_test(finds_what_is_special_and_nothing_behind_the_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
