#include "storage/rotation.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "base/buf.h"
#include "json/scan.h"
#include "storage/client_token.h"
#include "storage/cursor.h"
#include "storage/secret.h"
#include "storage/storage.h"
#include "storage/table.h"

#define MEMBER "sealed"
#define VARIANT sodium_base64_VARIANT_ORIGINAL
#define PAGE 1000
#define TEXT_MAX sodium_base64_ENCODED_LEN(SECRET_MAX + SECRET_OVERHEAD, VARIANT)

/* -- the secrets of a row ------------------------------------------------------------ */

/* Called for each secret; text is its base64, at its place in the row. Returns 0 to go on. */
typedef int secret_fn(const char *field, struct bytes text, void *arg);

static struct scan *scan_whole(struct bytes text, const char *const *wanted)
{
	struct scan *scan = scan_new(wanted);

	if (scan_feed(scan, text.data, text.size, NULL) == 0 &&
		scan_end(scan, NULL) == 0 && scan_kind(scan) == JSON_OBJECT)
		return scan;
	scan_free(scan);
	return NULL;
}

static int each_of_object(struct bytes object, secret_fn *fn, void *arg)
{
	struct scan *scan = scan_whole(object, NULL);
	int rc = 0;

	if (!scan)
		return 0;
	for (size_t i = 0; i < scan_member_count(scan) && !rc; i++) {
		const struct scan_member *member = scan_member_at(scan, i);
		struct bytes text = { (const char *)object.data + member->offset + 1,
			member->size - 2 };

		if (member->kind == JSON_STRING)
			rc = fn(member->name, text, arg);
	}
	scan_free(scan);
	return rc;
}

static int each_secret(struct bytes row, secret_fn *fn, void *arg)
{
	static const char *const wanted[] = { MEMBER, NULL };
	const struct scan_member *member;
	struct scan *scan;
	int rc = 0;

	/* Most rows have none. */
	if (!memmem(row.data, row.size, "\"" MEMBER "\"", sizeof(MEMBER) + 1))
		return 0;
	scan = scan_whole(row, wanted);
	if (!scan)
		return 0;
	member = scan_find(scan, MEMBER);
	if (member && member->kind == JSON_OBJECT)
		rc = each_of_object((struct bytes) { (const char *)row.data +
						    member->offset,
					    member->size },
			fn, arg);
	scan_free(scan);
	return rc;
}

/* Returns the bytes, to be freed; NULL: the text is no base64. */
static unsigned char *decode(struct bytes text, size_t *size)
{
	unsigned char *sealed = xmalloc(text.size + 1);

	if (sodium_base642bin(sealed, text.size + 1, text.data, text.size, NULL, size,
		    NULL, VARIANT) == 0)
		return sealed;
	free(sealed);
	return NULL;
}

/* -- checking ------------------------------------------------------------------------ */

static int check_secret(const char *field, struct bytes text, void *arg)
{
	struct master_keys *keys = arg;
	size_t size = 0;
	unsigned char *sealed = decode(text, &size);
	bool is_current = sealed &&
		secret_is_current(keys, (struct bytes) { sealed, size });

	(void)field;
	free(sealed);
	return is_current ? 0 : -ESTALE;
}

int rotation_check(struct master_keys *keys, struct bytes row, struct err *err)
{
	int rc = each_secret(row, check_secret, keys);

	if (rc)
		err_set(err, rc,
			"a secret was sealed before the master key was rotated: "
			"seal it again");
	return rc;
}

/* -- sealing again ------------------------------------------------------------------- */

/* A row on its way: what it was up to `from` is in out. */
struct rewrite {
	struct pass *pass;
	const char *record;
	const char *from;
	struct buf *out;
	size_t count;
};

struct pass {
	struct master_keys *keys;
	size_t count;      /* sealed again */
	size_t lost;       /* that could not be opened */
	struct err reason; /* of the first of these */
};

static void note_lost(struct pass *pass, const struct err *err)
{
	if (!pass->lost++)
		pass->reason = *err;
}

static int rewrite_secret(const char *field, struct bytes text, void *arg)
{
	struct rewrite *rewrite = arg;
	struct secret_place place = { rewrite->record, field };
	struct master_keys *keys = rewrite->pass->keys;
	size_t size = 0;
	unsigned char *sealed = decode(text, &size), *fresh = NULL;
	struct bytes old = { sealed, size };
	struct err err;

	if (sealed && secret_is_current(keys, old))
		goto out;
	fresh = xmalloc(size + 1);
	if (secret_reseal(keys, &place, old, fresh, &err) != 0) {
		note_lost(rewrite->pass, &err);
		goto out;
	}
	buf_append(rewrite->out, rewrite->from,
		(size_t)((const char *)text.data - rewrite->from));
	sodium_bin2base64(buf_reserve(rewrite->out, TEXT_MAX), TEXT_MAX, fresh, size,
		VARIANT);
	buf_grow(rewrite->out, sodium_base64_ENCODED_LEN(size, VARIANT) - 1);
	rewrite->from = (const char *)text.data + text.size;
	rewrite->count++;
out:
	free(sealed);
	free(fresh);
	return 0;
}

struct row {
	uint32_t key_size, value_size;
};

/* Appends the row to changed if any of its secrets is sealed anew. */
static void rewrite_row(struct pass *pass, const struct table *table, struct bytes key,
	struct bytes value, struct buf *changed)
{
	struct buf text = { 0 };
	char record[64 + KEY_MAX];
	struct rewrite rewrite = { pass, record, value.data, &text, 0 };
	struct row row;

	snprintf(record, sizeof(record), "%s/%.*s", table->name, (int)key.size,
		(const char *)key.data);
	each_secret(value, rewrite_secret, &rewrite);
	if (rewrite.count) {
		buf_append(&text, rewrite.from,
			value.size - (size_t)(rewrite.from - (const char *)value.data));
		row = (struct row) { (uint32_t)key.size, (uint32_t)buf_size(&text) };
		buf_append(changed, &row, sizeof(row));
		buf_append(changed, key.data, key.size);
		buf_append(changed, buf_data(&text), buf_size(&text));
		pass->count += rewrite.count;
	}
	buf_clear(&text);
}

static int put_rows(struct txn *txn, const struct table *table, const struct buf *changed)
{
	const char *at = buf_data(changed), *end = at + buf_size(changed);
	int rc = 0;

	while (at < end && !rc) {
		struct bytes key, value;
		struct row row;

		memcpy(&row, at, sizeof(row));
		key = (struct bytes) { at + sizeof(row), row.key_size };
		value = (struct bytes) { (const char *)key.data + key.size,
			row.value_size };
		rc = table_put(txn, table, key, value);
		at = (const char *)value.data + value.size;
	}
	return rc;
}

/* Returns 1 if there may be another page behind last. */
static int rewrite_page(struct txn *txn, struct pass *pass, const struct table *table,
	struct key *last)
{
	struct range range = {
		.from = key_bytes(last),
		.is_from_excluded = true,
		.limit = PAGE,
	};
	struct buf changed = { 0 };
	struct bytes key, value;
	struct cursor *cursor;
	int rc = cursor_open(&cursor, txn, table, &range), is_full = 0;

	if (rc)
		return rc;
	while ((rc = cursor_next(cursor, &key, &value)) > 0) {
		last->size = key.size;
		memcpy(last->data, key.data, key.size);
		rewrite_row(pass, table, key, value, &changed);
	}
	if (rc == 0)
		is_full = cursor_is_page_full(cursor);
	cursor_close(cursor);
	if (rc == 0)
		rc = put_rows(txn, table, &changed);
	buf_clear(&changed);
	return rc ? rc : is_full;
}

static int rewrite_all(struct txn *txn, void *arg, struct err *err)
{
	static const struct table *const tables[] = { &config_table, &keys_table,
		&objects_table };
	struct pass *pass = arg;
	int rc = client_token_key_reseal(txn, pass->keys, err);

	pass->count = 0;
	pass->lost = 0;
	for (size_t i = 0; i < COUNT_OF(tables) && !rc; i++) {
		struct key last = { 0 };

		do
			rc = rewrite_page(txn, pass, tables[i], &last);
		while (rc > 0);
	}
	return rc;
}

int rotation_finish(struct store *state, struct master_keys *keys, size_t *count,
	struct err *err)
{
	struct pass pass = { .keys = keys };
	int rc;

	*count = 0;
	if (master_keys_count(keys) == 1)
		return 0;
	rc = store_write(state, rewrite_all, &pass, err);
	if (rc)
		return rc;
	*count = pass.count;
	if (pass.lost)
		return err_set(err, -EBADMSG,
			"%zu secrets could not be opened, the first: %s; the old master keys stay",
			pass.lost, pass.reason.text);
	return master_keys_drop_old(keys, err);
}

int rotation_run(struct store *state, struct master_keys *keys, size_t *count,
	struct err *err)
{
	*count = 0;
	if (master_keys_count(keys) == 1) {
		int rc = master_keys_rotate(keys, err);

		if (rc)
			return rc;
	}
	return rotation_finish(state, keys, count, err);
}
