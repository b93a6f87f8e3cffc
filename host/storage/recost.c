#include "storage/recost.h"

#include <errno.h>
#include <stdlib.h>

#include "storage/journal_lookup.h"
#include "storage/record.h"
#include "storage/rollup.h"
#include "storage/rollup_rebuild.h"
#include "storage/storage.h"
#include "storage/table.h"

static int write_sums(struct txn *txn, struct rollup_batch *sums)
{
	int rc = rollup_write(txn, sums);

	rollup_batch_reset(sums);
	return rc;
}

static int put(struct txn *txn, uint64_t number, const struct record *record)
{
	unsigned char *packed = xmalloc(record_size_max(record));
	struct bytes row = { packed, record_encode(record, packed) };
	struct key key = { 0 };
	int rc;

	key_u64(&key, number);
	rc = table_put(txn, &records_table, key_bytes(&key), row);
	free(packed);
	return rc;
}

static bool is_same(const struct record *record, const struct recost_change *change)
{
	return record->has_cost == change->has_cost &&
		record->cost_micros == change->cost_micros &&
		record->price_version == change->price_version;
}

static int apply(struct txn *txn, const struct recost_change *change,
	struct rollup_batch *sums, struct recost *recost)
{
	struct record_attempt room[RECORD_ATTEMPTS_MAX];
	struct record record;
	uint64_t number;
	int rc = journal_find(txn, change->id, &number, &record, room);

	if (rc == -ENOENT)
		recost->missing++;
	if (rc)
		return rc == -ENOENT ? 0 : rc;
	if (is_same(&record, change))
		return 0;
	if (rollup_batch_is_full(sums) && (rc = write_sums(txn, sums)) != 0)
		return rc;
	rollup_recost(sums, &record, (int64_t)number, change->has_cost,
		change->cost_micros);
	record.has_cost = change->has_cost;
	record.cost_micros = change->cost_micros;
	record.price_version = change->price_version;
	recost->changed++;
	return put(txn, number, &record);
}

int recost(struct txn *txn, void *arg, struct err *err)
{
	struct recost *recost = arg;
	struct rollup_rebuild rebuild;
	struct rollup_batch *sums;
	int rc = rollup_rebuild_read(txn, &rebuild);

	recost->changed = recost->missing = 0;
	if (rc == 0)
		return err_set(err, -EBUSY, "sums are being made anew");
	if (rc != -ENOENT)
		return rc;
	sums = rollup_batch_new();
	rc = 0;
	for (size_t i = 0; i < recost->count && !rc; i++)
		rc = apply(txn, &recost->changes[i], sums, recost);
	if (!rc)
		rc = write_sums(txn, sums);
	rollup_batch_free(sums);
	return rc;
}
