#include "script/import_run.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <lauxlib.h>

#include "foreign/database.h"
#include "foreign/yaml.h"
#include "script/api.h"
#include "script/import_journal.h"
#include "script/state.h"
#include "storage/cursor.h"
#include "storage/storage.h"

#define EXIT_CONFIG 78
#define DATABASE "neap.import.database"
#define SCRATCH "neap.import.scratch"
#define ROWS "neap.import.rows"
#define PAGE_ROWS 500 /* of a table that is read a page at a time */

static int push_failure(lua_State *L, const char *why)
{
	lua_pushnil(L);
	lua_pushstring(L, why);
	return 2;
}

/* A buffer that is freed with the state, so that what is pushed out of it may raise. */
static struct buf *new_scratch(lua_State *L)
{
	struct buf *scratch = lua_newuserdata(L, sizeof(*scratch));

	*scratch = (struct buf) { 0 };
	luaL_getmetatable(L, SCRATCH);
	lua_setmetatable(L, -2);
	return scratch;
}

static int l_scratch_gc(lua_State *L)
{
	buf_clear(luaL_checkudata(L, 1, SCRATCH));
	return 0;
}

/* -- databases ----------------------------------------------------------------------- */

/* What Lua holds. */
struct box {
	struct database *database;
};

/* open_database(path) -> database | nil, why */
static int l_open_database(lua_State *L)
{
	const char *path = luaL_checkstring(L, 1);
	struct box *box = lua_newuserdata(L, sizeof(*box));
	struct err err;

	box->database = NULL;
	luaL_getmetatable(L, DATABASE);
	lua_setmetatable(L, -2);
	if (database_open(&box->database, path, &err) != 0)
		return push_failure(L, err.text);
	return 1;
}

static int l_database_gc(lua_State *L)
{
	struct box *box = luaL_checkudata(L, 1, DATABASE);

	database_close(box->database);
	box->database = NULL;
	return 0;
}

/* What a query gave: values in a row, each with its column's name. */
struct cell {
	enum database_kind kind;
	int is_last; /* of its row */
	double number;
	size_t name_size, size;
};

static void keep_row(const char *const *names, const struct database_value *values,
	int count, void *arg)
{
	struct buf *cells = arg;

	for (int i = 0; i < count; i++) {
		struct cell cell = { values[i].kind, i == count - 1, values[i].number,
			strlen(names[i]), values[i].size };

		buf_append(cells, &cell, sizeof(cell));
		buf_append(cells, names[i], cell.name_size);
		buf_append(cells, values[i].text, cell.size);
	}
}

/* Pushes the list of rows; NULL is nil, and so absent. */
static void push_rows(lua_State *L, const struct buf *cells)
{
	const char *at = buf_data(cells), *end = at + buf_size(cells);
	bool is_new = true;

	lua_newtable(L);
	for (int place = 0; at < end;) {
		struct cell cell;

		memcpy(&cell, at, sizeof(cell));
		at += sizeof(cell);
		if (is_new)
			lua_newtable(L);
		lua_pushlstring(L, at, cell.name_size);
		at += cell.name_size;
		if (cell.kind == DATABASE_NULL)
			lua_pushnil(L);
		else if (cell.kind == DATABASE_TEXT)
			lua_pushlstring(L, at, cell.size);
		else
			lua_pushnumber(L, cell.number);
		at += cell.size;
		lua_rawset(L, -3);
		is_new = cell.is_last;
		if (is_new)
			lua_rawseti(L, -2, ++place);
	}
}

/* database:rows(sql) -> { { column = value, … }, … } | nil, why */
static int l_rows(lua_State *L)
{
	struct box *box = luaL_checkudata(L, 1, DATABASE);
	const char *sql = luaL_checkstring(L, 2);
	struct buf *cells = new_scratch(L);
	struct err err;

	if (database_query(box->database, sql, keep_row, cells, &err) != 0)
		return push_failure(L, err.text);
	push_rows(L, cells);
	buf_clear(cells);
	return 1;
}

/* -- pages of rows ------------------------------------------------------------------- */

/* What Lua holds; its environment keeps the database. */
struct rows_box {
	struct database_rows *rows;
};

/* database:open_rows(sql) -> rows | nil, why */
static int l_open_rows(lua_State *L)
{
	struct box *box = luaL_checkudata(L, 1, DATABASE);
	const char *sql = luaL_checkstring(L, 2);
	struct rows_box *rows = lua_newuserdata(L, sizeof(*rows));
	struct err err;

	rows->rows = NULL;
	luaL_getmetatable(L, ROWS);
	lua_setmetatable(L, -2);
	lua_createtable(L, 1, 0);
	lua_pushvalue(L, 1);
	lua_rawseti(L, -2, 1);
	lua_setfenv(L, -2);
	if (database_rows_open(&rows->rows, box->database, sql, &err) != 0)
		return push_failure(L, err.text);
	return 1;
}

/* rows:page() -> { row, … }, is_over | nil, why */
static int l_page(lua_State *L)
{
	struct rows_box *rows = luaL_checkudata(L, 1, ROWS);
	struct buf *cells = new_scratch(L);
	bool is_over;
	struct err err;

	if (database_rows_page(rows->rows, PAGE_ROWS, keep_row, cells, &is_over, &err) !=
		0)
		return push_failure(L, err.text);
	push_rows(L, cells);
	buf_clear(cells);
	lua_pushboolean(L, is_over);
	return 2;
}

static int l_rows_gc(lua_State *L)
{
	struct rows_box *rows = luaL_checkudata(L, 1, ROWS);

	database_rows_close(rows->rows);
	rows->rows = NULL;
	return 0;
}

/* -- texts --------------------------------------------------------------------------- */

/* yaml(text) -> the text as JSON | nil, why */
static int l_yaml(lua_State *L)
{
	size_t size;
	const char *text = luaL_checklstring(L, 1, &size);
	struct buf *out = new_scratch(L);
	struct err err;

	if (yaml_to_json(text, size, out, &err) != 0)
		return push_failure(L, err.text);
	lua_pushlstring(L, buf_data(out), buf_size(out));
	return 1;
}

/* -- what is stored ------------------------------------------------------------------ */

struct look {
	struct bytes prefix;
	struct buf *rows;
};

/* The rows' sizes and bytes, in the order of their keys. */
static int read_objects(struct txn *txn, void *arg, struct err *err)
{
	struct look *look = arg;
	struct range range = { .prefix = look->prefix, .limit = CURSOR_PAGE_MAX };
	struct cursor *cursor;
	struct bytes key, value;
	int rc = cursor_open(&cursor, txn, &objects_table, &range);

	(void)err;
	if (rc)
		return rc;
	buf_reset(look->rows);
	while ((rc = cursor_next(cursor, &key, &value)) > 0) {
		size_t sizes[2] = { key.size, value.size };

		buf_append(look->rows, sizes, sizeof(sizes));
		buf_append(look->rows, key.data, key.size);
		buf_append(look->rows, value.data, value.size);
	}
	cursor_close(cursor);
	return rc;
}

/* objects(prefix) -> { [key] = value, … } of the table objects. */
static int l_objects(lua_State *L)
{
	struct store *state = lua_touserdata(L, lua_upvalueindex(1));
	struct look look = { { NULL, 0 }, NULL };
	const char *at, *end;
	struct err err;

	look.prefix.data = luaL_checklstring(L, 1, &look.prefix.size);
	look.rows = new_scratch(L);
	if (state && store_read(state, read_objects, &look, &err) != 0)
		return luaL_error(L, "%s", err.text);
	lua_newtable(L);
	at = buf_data(look.rows);
	for (end = at + buf_size(look.rows); at < end;) {
		size_t sizes[2];

		memcpy(sizes, at, sizeof(sizes));
		at += sizeof(sizes);
		lua_pushlstring(L, at, sizes[0]);
		lua_pushlstring(L, at + sizes[0], sizes[1]);
		lua_rawset(L, -3);
		at += sizes[0] + sizes[1];
	}
	return 1;
}

/* -- running ------------------------------------------------------------------------- */

static void make_types(lua_State *L)
{
	static const luaL_Reg methods[] = { { "rows", l_rows },
		{ "open_rows", l_open_rows }, { NULL, NULL } };
	static const luaL_Reg of_rows[] = { { "page", l_page }, { NULL, NULL } };

	api_new_type(L, DATABASE, methods, l_database_gc);
	api_new_type(L, ROWS, of_rows, l_rows_gc);
	api_new_type(L, SCRATCH, NULL, l_scratch_gc);
}

static void push_given(lua_State *L, struct store *state,
	const struct import_options *options)
{
	lua_newtable(L);
	lua_pushstring(L, options->config);
	lua_setfield(L, -2, "config");
	lua_pushstring(L, options->from);
	lua_setfield(L, -2, "from");
	lua_pushboolean(L, options->is_dry);
	lua_setfield(L, -2, "is_dry");
	lua_pushboolean(L, options->is_without_logs);
	lua_setfield(L, -2, "is_without_logs");
	lua_createtable(L, options->file_count, 0);
	for (int i = 0; i < options->file_count; i++) {
		lua_pushstring(L, options->files[i]);
		lua_rawseti(L, -2, i + 1);
	}
	lua_setfield(L, -2, "files");
	lua_pushcfunction(L, l_open_database);
	lua_setfield(L, -2, "open_database");
	lua_pushcfunction(L, l_yaml);
	lua_setfield(L, -2, "yaml");
	lua_pushlightuserdata(L, state);
	lua_pushcclosure(L, l_objects, 1);
	lua_setfield(L, -2, "objects");
}

/* (ops) -> their texts copied into the change, which the state does not own. */
static int l_take_ops(lua_State *L)
{
	struct change *change = lua_touserdata(L, lua_upvalueindex(1));
	struct master_keys *keys = lua_touserdata(L, lua_upvalueindex(2));
	size_t count, size;
	struct change_op *ops = api_check_ops(L, 1, &count, &size);

	change_init(change, ops, count, keys);
	return 0;
}

static int print_problem(int status, const char *text)
{
	/* The configuration's errors begin with their file and line. */
	fprintf(stderr, status == EXIT_CONFIG ? "%s\n" : "neap: %s\n", text);
	return status;
}

struct import_run {
	struct state *state;
	struct change change;
	bool is_dry;
};

/* The module is on the top of the stack, and stays at the bottom for import_run_finish(). */
static int start(struct import_run *run, struct store *store, struct master_keys *keys,
	const struct import_options *options)
{
	lua_State *L = state_lua(run->state);
	struct err err;
	int status;

	make_types(L);
	lua_getfield(L, -1, "run");
	push_given(L, store, options);
	if (state_call(run->state, 1, 3, 0, &err) != 0)
		return print_problem(1, err.text);
	status = (int)lua_tointeger(L, -3);
	if (status != 0)
		return print_problem(status, lua_tostring(L, -2));
	if (!lua_istable(L, -1))
		return 0;
	lua_pushlightuserdata(L, &run->change);
	lua_pushlightuserdata(L, keys);
	lua_pushcclosure(L, l_take_ops, 2);
	lua_insert(L, -2);
	if (state_call(run->state, 1, 0, 0, &err) != 0)
		return print_problem(1, err.text);
	return 0;
}

int import_run_start(struct import_run **out, struct sources *sources,
	struct store *store, struct master_keys *master_keys,
	const struct import_options *options)
{
	struct import_run *run = xcalloc(1, sizeof(*run));
	struct err err;

	*out = run;
	run->is_dry = options->is_dry;
	run->state = api_command_state(sources, "admin.import.init", &err);
	if (!run->state)
		return print_problem(1, err.text);
	return start(run, store, master_keys, options);
}

struct change *import_run_change(struct import_run *run)
{
	return &run->change;
}

int import_run_finish(struct import_run *run, struct store *store, struct buf *report)
{
	struct import_journal *journal = import_journal_new(store, run->is_dry);
	lua_State *L = state_lua(run->state);
	struct err err;
	size_t size;
	int status;

	lua_settop(L, 1);
	lua_getfield(L, 1, "finish");
	import_journal_push(L, journal);
	if (state_call(run->state, 1, 2, 0, &err) != 0) {
		status = print_problem(1, err.text);
	} else if ((status = (int)lua_tointeger(L, -2)) != 0) {
		print_problem(status, lua_tostring(L, -1));
	} else {
		const char *text = lua_tolstring(L, -1, &size);

		buf_append(report, text, size);
	}
	import_journal_free(journal);
	return status;
}

void import_run_free(struct import_run *run)
{
	if (!run)
		return;
	state_free(run->state);
	change_clear(&run->change);
	free(run);
}
