/* key.h - how rows are named: parts put together so that bytes sort as the values do.
 *
 *	struct key key = { 0 };            // all zero is an empty key
 *	key_u16(&key, dimension);
 *	key_text(&key, name, name_size);
 *	key_u64(&key, time_us);
 *	table_get(txn, &index_table, key_bytes(&key), &value);
 *
 * Numbers are big-endian. A text may hold any bytes and ends with a mark, so that "a"
 * comes before "ab" and before "a\0" whatever part follows. A key of more than KEY_MAX
 * bytes names no row: tables refuse it with -ENAMETOOLONG. Plain memory, any thread. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/mem.h"

#define KEY_MAX 511 /* bytes; what the database takes */

struct buf;

/* Borrowed bytes: a key, a value. */
struct bytes {
	const void *data;
	size_t size;
};

struct key {
	size_t size; /* more than KEY_MAX: it did not fit */
	unsigned char data[KEY_MAX];
};

void key_u8(struct key *key, uint8_t value);
void key_u16(struct key *key, uint16_t value);
void key_u32(struct key *key, uint32_t value);
void key_u64(struct key *key, uint64_t value);
void key_text(struct key *key, const char *text, size_t size);
/* A text without its end: the prefix of all keys whose text begins so. */
void key_text_prefix(struct key *key, const char *text, size_t size);
/* Bytes as they are: of a fixed size, or the last part. */
void key_raw(struct key *key, const void *data, size_t size);
/* Borrows from key. */
struct bytes key_bytes(const struct key *key);

/* Takes the parts of a key off its start, in the order in which they were put there.
 * -EBADMSG: there is no such part; rest and the result are then undefined. */
MUST_CHECK int key_take_u8(struct bytes *rest, uint8_t *value);
MUST_CHECK int key_take_u16(struct bytes *rest, uint16_t *value);
MUST_CHECK int key_take_u32(struct bytes *rest, uint32_t *value);
MUST_CHECK int key_take_u64(struct bytes *rest, uint64_t *value);
/* Appends the text to out. */
MUST_CHECK int key_take_text(struct bytes *rest, struct buf *out);
/* Borrows from rest. */
MUST_CHECK int key_take_raw(struct bytes *rest, size_t size, struct bytes *value);
