/* value.h - reads and writes JSON texts value by value, losing nothing.
 *
 * The reader is strict (RFC 8259, UTF-8 checked, depth up to VALUE_DEPTH; duplicate names
 * are the caller's affair) and calls back for each value; it knows no Lua and builds
 * nothing. Numbers come as their text. Strings come decoded to UTF-8, where a lone
 * surrogate (\ud83d) becomes its three bytes (WTF-8), which the writer turns back into
 * the same escape. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/err.h"

#define VALUE_DEPTH 64

/* Each returns 0 to go on; anything else stops value_read(), which returns it. Texts are
 * good during the call only and have no NUL behind them. */
struct value_handler {
	int (*on_null)(void *arg);
	int (*on_boolean)(bool value, void *arg);
	int (*on_number)(const char *text, size_t size, void *arg);
	int (*on_string)(const char *text, size_t size, void *arg);
	int (*on_name)(const char *text, size_t size,
		void *arg); /* of the value to come */
	int (*on_array)(bool is_end, void *arg);
	int (*on_object)(bool is_end, void *arg);
};

/* Reads one document. -EINVAL with a text that names the offset ("… at byte 17").
 * scratch: where strings with escapes are decoded. All memory that is used is the
 * caller's, so a handler may leave by longjmp. */
MUST_CHECK
int value_read(const char *data, size_t size, const struct value_handler *handler,
	void *arg, struct buf *scratch, struct err *err);
/* Appends what the inside of a JSON string means. false where it is no good one; a part of
 * it is appended then. */
bool value_decode(const char *text, size_t size, struct buf *out);
/* The double nearest to a JSON number; infinite where it is too large. */
double value_number(const char *text, size_t size);
/* Whether value_write_number() would write the number with this very text. */
bool value_is_canonical(const char *text, size_t size, double number);

/* A JSON string with its quotes. Bytes that are no UTF-8 (nor a lone surrogate's WTF-8)
 * become U+FFFD. */
void value_write_string(struct buf *buf, const char *text, size_t size);
/* The fewest digits that read back as the same double; integers up to 2^53 without a
 * point. Not a number or infinite: "null". */
void value_write_number(struct buf *buf, double number);
