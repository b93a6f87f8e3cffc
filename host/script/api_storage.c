/* Rows of the state store for Lua. All that is here waits on a storage thread. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "script/api.h"
#include "script/errand.h"
#include "script/process.h"
#include "script/script.h"
#include "script/state.h"
#include "storage/change.h"
#include "storage/cursor.h"
#include "storage/storage.h"
#include "storage/table.h"

#define VALUE_MAX (1024 * 1024)    /* bytes of a value that is written */
#define PAGE_MAX (4 * 1024 * 1024) /* bytes of a page */
#define PAGE_ROWS_MAX 1000
#define WRITE_MAX (16 * 1024 * 1024) /* bytes of the rows of one transaction */
#define OPS_MAX 10000

static const struct table *check_table(lua_State *L, int index)
{
	static const char *const names[] = { "config", "keys", "objects", NULL };
	static const struct table *const tables[] = { &config_table, &keys_table,
		&objects_table };

	return tables[luaL_checkoption(L, index, NULL, names)];
}

static struct storage *check_storage(lua_State *L)
{
	struct storage *storage = api_script(L)->process->storage;

	if (!storage)
		luaL_error(L, "this neap has no storage");
	return storage;
}

/* The text is Lua's. */
static struct bytes check_key(lua_State *L, int index)
{
	struct bytes key;

	/* No number, whose text would be nobody's. */
	luaL_checktype(L, index, LUA_TSTRING);
	key.data = lua_tolstring(L, index, &key.size);
	luaL_argcheck(L, key.size > 0 && key.size <= KEY_MAX, index,
		"a key has 1 to 511 bytes");
	return key;
}

/* -- one row ------------------------------------------------------------------------ */

struct get {
	struct store_errand at;
	const struct table *table;
	struct buf value;
	bool is_there;
	size_t key_size;
	char key[KEY_MAX];
};

static int run_get(struct txn *txn, void *job, struct err *err)
{
	struct get *get = store_errand_of(job);
	struct bytes value;
	int rc = table_get(txn, get->table, (struct bytes) { get->key, get->key_size },
		&value);

	(void)err;
	buf_reset(&get->value);
	get->is_there = rc == 0;
	if (rc == 0)
		buf_append(&get->value, value.data, value.size);
	return rc == -ENOENT ? 0 : rc;
}

static int push_get(lua_State *L, struct errand *errand)
{
	struct get *get = (struct get *)errand;

	if (errand->job->rc)
		return errand_push_failure(L, errand);
	if (get->is_there)
		lua_pushlstring(L, buf_data(&get->value), buf_size(&get->value));
	else
		lua_pushnil(L);
	return 1;
}

static void free_get(struct errand *errand)
{
	buf_clear(&((struct get *)errand)->value);
	free(errand);
}

/* store_get(table, key) -> value | nil; or nil, "failed", why. Waits. */
static int l_get(lua_State *L)
{
	const struct table *table = check_table(L, 1);
	struct bytes key = check_key(L, 2);
	struct storage *storage = check_storage(L);
	struct get *get = store_errand_new(L, sizeof(*get), run_get, push_get, free_get);

	get->table = table;
	get->key_size = key.size;
	memcpy(get->key, key.data, key.size);
	return store_errand_start(L, &get->at, storage_state_reader(storage));
}

/* -- a page of rows ----------------------------------------------------------------- */

struct bound {
	size_t size;
	char data[KEY_MAX];
};

struct scan {
	struct store_errand at;
	const struct table *table;
	struct bound prefix, after, before;
	bool is_down;
	uint32_t limit;
	struct buf rows; /* size of the key, size of the value, both */
	bool has_more;
};

struct row {
	uint32_t key_size, value_size;
};

static struct bytes bytes_of(const struct bound *bound)
{
	return (struct bytes) { bound->data, bound->size };
}

static int run_scan(struct txn *txn, void *job, struct err *err)
{
	struct scan *scan = store_errand_of(job);
	const struct bound *from = scan->is_down ? &scan->before : &scan->after;
	const struct bound *until = scan->is_down ? &scan->after : &scan->before;
	struct range range = {
		.prefix = bytes_of(&scan->prefix),
		.from = bytes_of(from),
		.until = bytes_of(until),
		.is_down = scan->is_down,
		.is_from_excluded = true,
		.limit = scan->limit,
	};
	struct cursor *cursor;
	struct bytes key, value;
	int rc = cursor_open(&cursor, txn, scan->table, &range);

	(void)err;
	if (rc)
		return rc;
	buf_reset(&scan->rows);
	scan->has_more = false;
	while ((rc = cursor_next(cursor, &key, &value)) > 0) {
		struct row row = { (uint32_t)key.size, (uint32_t)value.size };

		buf_append(&scan->rows, &row, sizeof(row));
		buf_append(&scan->rows, key.data, key.size);
		buf_append(&scan->rows, value.data, value.size);
		scan->has_more = buf_size(&scan->rows) >= PAGE_MAX;
		if (scan->has_more)
			break;
	}
	if (rc == 0)
		scan->has_more = cursor_is_page_full(cursor);
	cursor_close(cursor);
	return rc < 0 ? rc : 0;
}

static int push_scan(lua_State *L, struct errand *errand)
{
	struct scan *scan = (struct scan *)errand;
	const char *at = buf_data(&scan->rows), *end = at + buf_size(&scan->rows);
	struct row row = { 0 };
	const char *key = at;

	if (errand->job->rc)
		return errand_push_failure(L, errand);
	lua_newtable(L);
	for (int place = 1; at < end; place += 2) {
		memcpy(&row, at, sizeof(row));
		key = at + sizeof(row);
		lua_pushlstring(L, key, row.key_size);
		lua_rawseti(L, -2, place);
		lua_pushlstring(L, key + row.key_size, row.value_size);
		lua_rawseti(L, -2, place + 1);
		at = key + row.key_size + row.value_size;
	}
	if (!scan->has_more)
		return 1;
	lua_pushlstring(L, key, row.key_size);
	return 2;
}

static void free_scan(struct errand *errand)
{
	buf_clear(&((struct scan *)errand)->rows);
	free(errand);
}

static void get_bound(lua_State *L, int index, const char *name, struct bound *out)
{
	const char *text;

	out->size = 0;
	lua_getfield(L, index, name);
	if (!lua_isnil(L, -1)) {
		text = luaL_checklstring(L, -1, &out->size);
		luaL_argcheck(L, out->size <= KEY_MAX, index,
			"a bound has 511 bytes at most");
		memcpy(out->data, text, out->size);
	}
	lua_pop(L, 1);
}

/* store_scan(table, { prefix, after, before, limit, reverse })
 * -> { key, value, … }, cursor | nil; or nil, "failed", why. Waits. */
static int l_scan(lua_State *L)
{
	const struct table *table = check_table(L, 1);
	struct storage *storage = check_storage(L);
	struct bound prefix, after, before;
	lua_Number limit;
	struct scan *scan;
	bool is_down;

	lua_settop(L, 2);
	if (lua_isnil(L, 2)) {
		lua_newtable(L);
		lua_replace(L, 2);
	}
	luaL_checktype(L, 2, LUA_TTABLE);
	get_bound(L, 2, "prefix", &prefix);
	get_bound(L, 2, "after", &after);
	get_bound(L, 2, "before", &before);
	lua_getfield(L, 2, "limit");
	limit = luaL_optnumber(L, -1, 100);
	luaL_argcheck(L, limit >= 1 && limit <= PAGE_ROWS_MAX, 2, "limit is 1 to 1000");
	lua_getfield(L, 2, "reverse");
	is_down = lua_toboolean(L, -1);

	scan = store_errand_new(L, sizeof(*scan), run_scan, push_scan, free_scan);
	scan->table = table;
	scan->prefix = prefix;
	scan->after = after;
	scan->before = before;
	scan->is_down = is_down;
	scan->limit = (uint32_t)limit;
	return store_errand_start(L, &scan->at, storage_state_reader(storage));
}

/* -- writing ------------------------------------------------------------------------ */

struct write {
	struct store_errand at;
	struct change change;
};

static int run_write(struct txn *txn, void *job, struct err *err)
{
	struct write *write = store_errand_of(job);

	return change_run(txn, &write->change, err);
}

static int push_write(lua_State *L, struct errand *errand)
{
	struct write *write = (struct write *)errand;

	if (errand->job->rc == 0) {
		lua_pushboolean(L, 1);
		return 1;
	}
	if (!write->change.conflict)
		return errand_push_failure(L, errand);
	lua_pushnil(L);
	lua_pushliteral(L, "conflict");
	lua_pushinteger(L, (lua_Integer)write->change.conflict);
	return 3;
}

static void free_write(struct errand *errand)
{
	struct write *write = (struct write *)errand;

	change_clear(&write->change);
	free(write);
}

/* Reads the op on the top of the stack, whose texts stay Lua's. */
static struct change_op check_op(lua_State *L)
{
	static const char *const kinds[] = { "put", "delete", "expect", NULL };
	int at = lua_gettop(L);
	struct change_op op = { 0 };

	luaL_argcheck(L, lua_istable(L, at), 1, "each op is a table");
	for (int i = 1; i <= 4; i++)
		lua_rawgeti(L, at, i);
	op.kind = (enum change_kind)luaL_checkoption(L, at + 1, NULL, kinds);
	op.table = check_table(L, at + 2);
	op.key = check_key(L, at + 3);
	if (op.kind == CHANGE_PUT ||
		(op.kind == CHANGE_EXPECT && !lua_isnil(L, at + 4))) {
		luaL_checktype(L, at + 4, LUA_TSTRING);
		op.value.data = lua_tolstring(L, at + 4, &op.value.size);
	}
	luaL_argcheck(L, op.value.size <= VALUE_MAX, 1, "a value has 1 MiB at most");
	lua_settop(L, at);
	return op;
}

struct change_op *api_check_ops(lua_State *L, int index, size_t *count, size_t *size)
{
	struct change_op *ops;

	luaL_checktype(L, index, LUA_TTABLE);
	*count = lua_objlen(L, index);
	*size = 0;
	ops = lua_newuserdata(L, (*count + 1) * sizeof(*ops));
	for (size_t i = 0; i < *count; i++) {
		lua_rawgeti(L, index, (int)i + 1);
		ops[i] = check_op(L);
		lua_pop(L, 1);
		*size += ops[i].key.size + ops[i].value.size;
	}
	return ops;
}

/* store_write(ops) -> true | nil, "conflict", place | nil, "full" or "failed", why. All of
 * them or none. Waits until it is on disk. */
static int l_write(lua_State *L)
{
	struct storage *storage = check_storage(L);
	struct change_op *ops;
	size_t count, size;
	struct write *write;

	lua_settop(L, 1);
	luaL_checktype(L, 1, LUA_TTABLE);
	count = lua_objlen(L, 1);
	luaL_argcheck(L, count > 0 && count <= OPS_MAX, 1, "1 to 10000 ops");
	ops = api_check_ops(L, 1, &count, &size);
	luaL_argcheck(L, size <= WRITE_MAX, 1, "16 MiB at once at most");
	state_charge(L, size + count * 1000);

	write = store_errand_new(L, sizeof(*write), run_write, push_write, free_write);
	change_init(&write->change, ops, count, api_script(L)->process->master_keys);
	return store_errand_start(L, &write->at, storage_state_writer(storage));
}

static const luaL_Reg functions[] = {
	{ "store_get", l_get },
	{ "store_scan", l_scan },
	{ "store_write", l_write },
	{ NULL, NULL },
};

void api_storage_register(lua_State *L)
{
	luaL_register(L, NULL, functions);
}
