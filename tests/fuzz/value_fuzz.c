/* value_fuzz.c - what the reader accepts, the writer writes so that the reader sees the
 * same again; and the scanner takes what the writer wrote. */
#include <stdint.h>

#include "../c/json_digest.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A comma goes before each value but the first one behind a bracket or a name. */
static void separate(struct buf *out)
{
	char last = buf_size(out) ? buf_data(out)[buf_size(out) - 1] : '[';

	if (last != '[' && last != '{' && last != ':')
		buf_append_text(out, ",");
}

static int write_null(void *arg)
{
	separate(arg);
	buf_append_text(arg, "null");
	return 0;
}

static int write_boolean(bool value, void *arg)
{
	separate(arg);
	buf_append_text(arg, value ? "true" : "false");
	return 0;
}

static int write_number(const char *text, size_t size, void *arg)
{
	double number = value_number(text, size);
	struct buf other = { 0 };

	value_write_number(&other, number);
	if (number - number == 0 &&
		value_number(buf_data(&other), buf_size(&other)) != number)
		__builtin_trap();
	buf_clear(&other);
	separate(arg);
	buf_append(arg, text, size);
	return 0;
}

static int write_string(const char *text, size_t size, void *arg)
{
	separate(arg);
	value_write_string(arg, text, size);
	return 0;
}

static int write_name(const char *text, size_t size, void *arg)
{
	write_string(text, size, arg);
	buf_append_text(arg, ":");
	return 0;
}

static int write_array(bool is_end, void *arg)
{
	if (!is_end)
		separate(arg);
	buf_append_text(arg, is_end ? "]" : "[");
	return 0;
}

static int write_object(bool is_end, void *arg)
{
	if (!is_end)
		separate(arg);
	buf_append_text(arg, is_end ? "}" : "{");
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct value_handler handler = {
		.on_null = write_null,
		.on_boolean = write_boolean,
		.on_number = write_number,
		.on_string = write_string,
		.on_name = write_name,
		.on_array = write_array,
		.on_object = write_object,
	};
	static struct digest before, after;
	struct buf out = { 0 }, scratch = { 0 };

	if (value_read((const char *)data, size, &handler, &out, &scratch, NULL) == 0) {
		if (digest_read(&before, (const char *)data, size) != 0 ||
			digest_read(&after, buf_data(&out), buf_size(&out)) != 0 ||
			before.whole != after.whole)
			__builtin_trap();
		digest_clear(&before);
		digest_clear(&after);
	}
	buf_clear(&out);
	buf_clear(&scratch);
	/* The writer makes good JSON of any bytes. */
	value_write_string(&out, (const char *)data, size);
	if (digest_read(&after, buf_data(&out), buf_size(&out)) != 0)
		__builtin_trap();
	buf_clear(&out);
	return 0;
}
