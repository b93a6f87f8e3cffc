#include "storage/table.h"

#include <errno.h>
#include <stdbool.h>

#include "storage/store_inside.h"

static bool is_name(struct bytes key)
{
	return key.size > 0 && key.size <= KEY_MAX;
}

int table_get(struct txn *txn, const struct table *table, struct bytes key,
	struct bytes *value)
{
	MDB_val name = store_val(key), found = { 0 };
	int rc;

	*value = (struct bytes) { 0 };
	if (!is_name(key))
		return -ENAMETOOLONG;
	rc = txn_note(txn, mdb_get(txn->handle, txn_table(txn, table), &name, &found));
	*value = store_bytes(found);
	return rc;
}

static int put(struct txn *txn, const struct table *table, struct bytes key,
	struct bytes value, unsigned flags)
{
	MDB_val name = store_val(key), content = store_val(value);
	int rc;

	if (!is_name(key))
		return -ENAMETOOLONG;
	rc = txn_note(txn,
		mdb_put(txn->handle, txn_table(txn, table), &name, &content, flags));
	txn_wrote(txn, rc);
	return rc;
}

int table_put(struct txn *txn, const struct table *table, struct bytes key,
	struct bytes value)
{
	return put(txn, table, key, value, 0);
}

int table_insert(struct txn *txn, const struct table *table, struct bytes key,
	struct bytes value)
{
	return put(txn, table, key, value, MDB_NOOVERWRITE);
}

int table_append(struct txn *txn, const struct table *table, struct bytes key,
	struct bytes value)
{
	int rc = put(txn, table, key, value, MDB_APPEND);

	return rc == -EEXIST ? put(txn, table, key, value, 0) : rc;
}

int table_delete(struct txn *txn, const struct table *table, struct bytes key)
{
	MDB_val name = store_val(key);
	int rc;

	if (!is_name(key))
		return -ENAMETOOLONG;
	rc = txn_note(txn, mdb_del(txn->handle, txn_table(txn, table), &name, NULL));
	txn_wrote(txn, rc);
	return rc;
}

int table_empty(struct txn *txn, const struct table *table)
{
	txn->writes++;
	return txn_note(txn, mdb_drop(txn->handle, txn_table(txn, table), 0));
}

int table_count(struct txn *txn, const struct table *table, uint64_t *count)
{
	MDB_stat stat = { 0 };
	int rc = txn_note(txn, mdb_stat(txn->handle, txn_table(txn, table), &stat));

	*count = stat.ms_entries;
	return rc;
}

int table_bytes(struct txn *txn, const struct table *table, uint64_t *bytes)
{
	MDB_stat stat = { 0 };
	int rc = txn_note(txn, mdb_stat(txn->handle, txn_table(txn, table), &stat));

	*bytes = (uint64_t)stat.ms_psize *
		(stat.ms_branch_pages + stat.ms_leaf_pages + stat.ms_overflow_pages);
	return rc;
}
