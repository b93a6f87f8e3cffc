/* One record with all that there is of it, and its bodies. */
#include "storage/journal_lookup.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "storage/cursor.h"
#include "storage/journal_query.h"
#include "storage/posting.h"
#include "storage/record_json.h"
#include "storage/storage.h"
#include "storage/table.h"

static struct key record_key(uint64_t number)
{
	struct key key = { 0 };

	key_u64(&key, number);
	return key;
}

/* -- by id ------------------------------------------------------------------------ */

/* 1: that is the record; 0: it is another one, or gone. */
static int look_at(struct txn *txn, uint64_t number, const unsigned char id[16],
	struct record *record, struct record_attempt *room)
{
	struct key key = record_key(number);
	struct bytes row;
	int rc = table_get(txn, &records_table, key_bytes(&key), &row);

	if (rc)
		return rc == -ENOENT ? 0 : rc;
	if ((rc = record_decode(record, row, room)) != 0)
		return rc;
	return memcmp(record->id, id, sizeof(record->id)) == 0;
}

int journal_find(struct txn *txn, const unsigned char id[16], uint64_t *number,
	struct record *record, struct record_attempt *room)
{
	struct posting *posting = xcalloc(1, sizeof(*posting));
	uint64_t next = 0;
	int rc;

	posting->txn = txn;
	posting->value = (struct index_value) { INDEX_ID, index_id(id) };
	while ((rc = posting_seek(posting, next, false, number)) > 0) {
		if ((rc = look_at(txn, *number, id, record, room)) != 0)
			break;
		next = *number + 1;
	}
	free(posting);
	return rc > 0 ? 0 : rc ? rc : -ENOENT;
}

/* -- a record --------------------------------------------------------------------- */

static int add_details(struct txn *txn, uint64_t number, struct record *record,
	struct buf *out)
{
	struct key key = record_key(number);
	struct bytes row;
	int rc = table_get(txn, &traces_table, key_bytes(&key), &row);

	if (rc == 0)
		rc = record_decode_details(record, row);
	if (rc && rc != -ENOENT)
		return rc;
	record_json_details(out, record);
	return 0;
}

static int add_body(struct buf *out, struct bytes name, struct bytes row)
{
	struct body_facts facts;
	uint64_t number;
	uint8_t part;
	int rc;

	if ((rc = key_take_u64(&name, &number)) != 0 ||
		(rc = key_take_u8(&name, &part)) != 0 ||
		(rc = body_unpack(row, NULL, &facts)) != 0)
		return rc;
	buf_printf(out,
		"{\"part\":\"%s\",\"size\":%zu,\"whole_size\":%" PRIu64 ",\"cut\":%s}",
		body_part_name((enum body_part)part), facts.size, facts.whole_size,
		facts.is_cut ? "true" : "false");
	return 0;
}

static int add_bodies(struct txn *txn, uint64_t number, struct buf *out)
{
	struct key prefix = record_key(number);
	struct range range = { .prefix = key_bytes(&prefix), .limit = BODY_PART_MAX };
	const char *between = "";
	struct bytes name, row;
	struct cursor *cursor;
	int rc = cursor_open(&cursor, txn, &bodies_table, &range);

	if (rc)
		return rc;
	buf_append_text(out, ",\"bodies\":[");
	while ((rc = cursor_next(cursor, &name, &row)) > 0) {
		buf_append_text(out, between);
		between = ",";
		if ((rc = add_body(out, name, row)) != 0)
			break;
	}
	cursor_close(cursor);
	buf_append(out, "]", 1);
	return rc;
}

int journal_record(struct txn *txn, void *arg, struct err *err)
{
	struct record_attempt room[RECORD_ATTEMPTS_MAX];
	struct journal_record *wanted = arg;
	struct record record;
	uint64_t number;
	int rc;

	(void)err;
	buf_reset(wanted->out);
	if ((rc = journal_find(txn, wanted->id, &number, &record, room)) != 0)
		return rc;
	record_json_begin(wanted->out, &record);
	if ((rc = add_details(txn, number, &record, wanted->out)) != 0 ||
		(rc = add_bodies(txn, number, wanted->out)) != 0)
		return rc;
	buf_append(wanted->out, "}", 1);
	return 0;
}

int journal_body(struct txn *txn, void *arg, struct err *err)
{
	struct record_attempt room[RECORD_ATTEMPTS_MAX];
	struct journal_record *wanted = arg;
	struct key key = { 0 };
	struct record record;
	struct body_facts facts;
	struct bytes row;
	uint64_t number;
	int rc;

	(void)err;
	buf_reset(wanted->out);
	if ((rc = journal_find(txn, wanted->id, &number, &record, room)) != 0)
		return rc;
	key_u64(&key, number);
	key_u8(&key, (uint8_t)wanted->part);
	rc = table_get(txn, &bodies_table, key_bytes(&key), &row);
	return rc ? rc : body_unpack(row, wanted->out, &facts);
}
