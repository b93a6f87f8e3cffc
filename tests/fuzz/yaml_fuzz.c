/* yaml_fuzz.c - what becomes of YAML is JSON, however wild it is. */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>

#include "foreign/yaml.h"
#include "json/value.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int ignore_null(void *arg)
{
	(void)arg;
	return 0;
}

static int ignore_boolean(bool value, void *arg)
{
	(void)value;
	(void)arg;
	return 0;
}

static int ignore_text(const char *text, size_t size, void *arg)
{
	(void)text;
	(void)size;
	(void)arg;
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct value_handler handler = {
		.on_null = ignore_null,
		.on_boolean = ignore_boolean,
		.on_number = ignore_text,
		.on_string = ignore_text,
		.on_name = ignore_text,
		.on_array = ignore_boolean,
		.on_object = ignore_boolean,
	};
	struct buf out = { 0 }, scratch = { 0 };
	struct err err;

	if (yaml_to_json((const char *)data, size, &out, &err) == 0 &&
		value_read(buf_data(&out), buf_size(&out), &handler, NULL, &scratch,
			&err) != 0)
		abort();
	buf_clear(&out);
	buf_clear(&scratch);
	return 0;
}
