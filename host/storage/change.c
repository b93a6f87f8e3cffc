#include "storage/change.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "storage/rotation.h"
#include "storage/table.h"

static struct bytes copy(struct bytes bytes, char **at)
{
	struct bytes copied = { *at, bytes.size };

	if (!bytes.data)
		return bytes;
	memcpy(*at, bytes.data, bytes.size);
	*at += bytes.size;
	return copied;
}

void change_init(struct change *change, const struct change_op *ops, size_t count,
	struct master_keys *master_keys)
{
	size_t size = 1;
	char *at;

	for (size_t i = 0; i < count; i++)
		size += ops[i].key.size + ops[i].value.size;
	change->texts = at = xmalloc(size);
	change->ops = xcalloc(count + 1, sizeof(*change->ops));
	change->count = count;
	change->master_keys = master_keys;
	change->conflict = 0;
	for (size_t i = 0; i < count; i++) {
		change->ops[i] = ops[i];
		change->ops[i].key = copy(ops[i].key, &at);
		change->ops[i].value = copy(ops[i].value, &at);
	}
}

static int run_op(struct txn *txn, const struct change_op *op,
	struct master_keys *master_keys, struct err *err)
{
	struct bytes found;
	int rc;

	if (op->kind == CHANGE_PUT) {
		rc = rotation_check(master_keys, op->value, err);
		return rc ? rc : table_put(txn, op->table, op->key, op->value);
	}
	if (op->kind == CHANGE_DELETE) {
		rc = table_delete(txn, op->table, op->key);
		return rc == -ENOENT ? 0 : rc;
	}
	rc = table_get(txn, op->table, op->key, &found);
	if (rc == -ENOENT)
		return op->value.data ? -ECANCELED : 0;
	if (rc)
		return rc;
	return op->value.data && found.size == op->value.size &&
			memcmp(found.data, op->value.data, found.size) == 0
		? 0
		: -ECANCELED;
}

int change_run(struct txn *txn, void *arg, struct err *err)
{
	struct change *change = arg;

	change->conflict = 0;
	for (size_t i = 0; i < change->count; i++) {
		int rc = run_op(txn, &change->ops[i], change->master_keys, err);

		if (rc == -ECANCELED) {
			change->conflict = i + 1;
			return err_set(err, rc, "a row is not as expected");
		}
		if (rc)
			return rc;
	}
	return 0;
}

void change_clear(struct change *change)
{
	free(change->ops);
	free(change->texts);
	change->ops = NULL;
	change->texts = NULL;
	change->count = 0;
}
