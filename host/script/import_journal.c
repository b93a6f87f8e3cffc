#include "script/import_journal.h"

#include <stdlib.h>
#include <string.h>

#include <lauxlib.h>

#include "base/clock.h"
#include "script/record_read.h"
#include "storage/cursor.h"
#include "storage/past_batch.h"
#include "storage/record_id.h"
#include "storage/store.h"

#define MARKS_MAX 1000              /* of one source */
#define OWNER "neap.import.journal" /* its place in the registry */

struct mark {
	size_t size;
	char name[PAST_MARK_MAX];
	unsigned char id[16]; /* of the record that it stands for */
};

struct import_journal {
	struct store *store;
	bool is_dry;
	struct past_batch *batch;
	struct record_reading *reading;
	struct mark next;   /* of the record that is being added */
	struct mark last;   /* of the batch */
	struct mark before; /* the one that is in the store */
	struct past_figures sum;
};

struct import_journal *import_journal_new(struct store *store, bool is_dry)
{
	struct import_journal *journal = xcalloc(1, sizeof(*journal));

	journal->store = store;
	journal->is_dry = is_dry;
	journal->reading = record_reading_new();
	return journal;
}

void import_journal_free(struct import_journal *journal)
{
	if (!journal)
		return;
	past_batch_free(journal->batch);
	record_reading_free(journal->reading);
	free(journal);
}

static struct import_journal *owner_of(lua_State *L)
{
	struct import_journal *journal;

	lua_getfield(L, LUA_REGISTRYINDEX, OWNER);
	journal = lua_touserdata(L, -1);
	lua_pop(L, 1);
	return journal;
}

static int push_failure(lua_State *L, const char *why)
{
	lua_pushnil(L);
	lua_pushstring(L, why);
	return 2;
}

/* -- batches ------------------------------------------------------------------------- */

static void set_mark(struct mark *mark, const char *name, size_t size)
{
	mark->size = size <= PAST_MARK_MAX ? size : 0;
	if (mark->size)
		memcpy(mark->name, name, mark->size);
}

static struct bytes name_of(const struct mark *mark)
{
	return (struct bytes) { mark->name, mark->size };
}

/* Writes the batch, or counts it in a dry run. Without a store all of it is new. */
static int flush(struct import_journal *journal, struct err *err)
{
	struct past_batch *batch = journal->batch;
	struct past_figures figures = { .carried = past_batch_count(batch) };
	int rc = 0;

	if (!figures.carried)
		return 0;
	past_batch_mark(batch, name_of(&journal->last), journal->last.id,
		name_of(&journal->before));
	if (journal->store && journal->is_dry)
		rc = store_read(journal->store, past_batch_look, batch, err);
	else if (journal->store)
		rc = store_write(journal->store, past_batch_write, batch, err);
	if (rc)
		return rc;
	if (journal->store)
		figures = past_batch_figures(batch);
	journal->sum.carried += figures.carried;
	journal->sum.summed += figures.summed;
	journal->sum.there += figures.there;
	if (journal->last.size)
		journal->before = journal->last;
	journal->last.size = 0;
	past_batch_reset(batch);
	return 0;
}

static int l_begin(lua_State *L)
{
	struct import_journal *journal = owner_of(L);
	double age_s = luaL_checknumber(L, 1);
	size_t size = 0;
	const char *mark = luaL_optlstring(L, 2, "", &size);

	past_batch_free(journal->batch);
	journal->batch = past_batch_new(clock_wall_us() / 1000000, (int64_t)age_s);
	journal->sum = (struct past_figures) { 0 };
	journal->last.size = 0;
	set_mark(&journal->before, mark, size);
	return 0;
}

static int l_record_attempt(lua_State *L)
{
	record_read_attempt(L, 1, owner_of(L)->reading);
	return 0;
}

/* mark(name | nil): of the record that is ended next */
static int l_mark(lua_State *L)
{
	size_t size = 0;
	const char *mark = luaL_optlstring(L, 1, "", &size);

	set_mark(&owner_of(L)->next, mark, size);
	return 0;
}

/* end_record(uuid, wall, usage, is_stream, …) */
static int l_end_record(lua_State *L)
{
	struct import_journal *journal = owner_of(L);
	struct record_reading *reading = journal->reading;
	struct bytes uuid;
	bool is_taken;
	struct err err;

	uuid.data = luaL_checklstring(L, 1, &uuid.size);
	if (record_id_read(uuid, reading->record.id) != 0)
		return luaL_error(L, "a record has an id");
	reading->record.start_us = (int64_t)(luaL_checknumber(L, 2) * 1e6 + 0.5);
	record_read(L, 3, reading);
	reading->record.is_import = true;
	if (past_batch_is_full(journal->batch) && flush(journal, &err) != 0)
		return push_failure(L, err.text);
	is_taken = past_batch_add(journal->batch, &reading->record);
	if (is_taken && journal->next.size) {
		journal->last = journal->next;
		memcpy(journal->last.id, reading->record.id, sizeof(journal->last.id));
	}
	lua_pushboolean(L, is_taken);
	return 1;
}

static int l_finish(lua_State *L)
{
	struct err err;

	if (flush(owner_of(L), &err) != 0)
		return push_failure(L, err.text);
	lua_pushboolean(L, true);
	return 1;
}

static int l_figures(lua_State *L)
{
	const struct import_journal *journal = owner_of(L);

	lua_pushnumber(L, (lua_Number)journal->sum.carried);
	lua_pushnumber(L, (lua_Number)journal->sum.summed);
	lua_pushnumber(L, (lua_Number)journal->sum.there);
	return 3;
}

/* -- ids and marks ------------------------------------------------------------------- */

static int l_id(lua_State *L)
{
	struct bytes seed;
	unsigned char id[16];
	char text[RECORD_ID_TEXT];
	double seconds;

	seed.data = luaL_checklstring(L, 1, &seed.size);
	seconds = luaL_checknumber(L, 2);
	record_id_make(id, seconds > 0 ? (int64_t)(seconds * 1e6 + 0.5) : 0, seed);
	record_id_write(id, text);
	lua_pushlstring(L, text, sizeof(text));
	return 1;
}

struct look {
	struct bytes prefix;
	size_t count;
	struct mark marks[MARKS_MAX];
};

static int read_marks(struct txn *txn, void *arg, struct err *err)
{
	struct look *look = arg;
	struct range range = { .prefix = look->prefix, .limit = MARKS_MAX };
	struct cursor *cursor;
	struct bytes key, value;
	int rc = cursor_open(&cursor, txn, &meta_table, &range);

	(void)err;
	look->count = 0;
	if (rc)
		return rc;
	while ((rc = cursor_next(cursor, &key, &value)) > 0) {
		struct mark *found = &look->marks[look->count];

		if (value.size != sizeof(found->id) || key.size > PAST_MARK_MAX)
			continue;
		set_mark(found, key.data, key.size);
		memcpy(found->id, value.data, sizeof(found->id));
		look->count++;
	}
	cursor_close(cursor);
	return rc;
}

static int l_marks(lua_State *L)
{
	struct import_journal *journal = owner_of(L);
	struct look *look;
	struct err err;
	size_t size;
	const char *prefix = luaL_checklstring(L, 1, &size);

	look = lua_newuserdata(L, sizeof(*look));
	look->prefix = (struct bytes) { prefix, size };
	look->count = 0;
	if (journal->store && store_read(journal->store, read_marks, look, &err) != 0)
		return push_failure(L, err.text);
	lua_createtable(L, 0, (int)look->count);
	for (size_t i = 0; i < look->count; i++) {
		const struct mark *found = &look->marks[i];
		char id[RECORD_ID_TEXT];

		record_id_write(found->id, id);
		lua_pushlstring(L, found->name, found->size);
		lua_pushlstring(L, id, sizeof(id));
		lua_rawset(L, -3);
	}
	return 1;
}

void import_journal_push(lua_State *L, struct import_journal *journal)
{
	static const luaL_Reg functions[] = {
		{ "begin", l_begin },
		{ "finish", l_finish },
		{ "figures", l_figures },
		{ "id", l_id },
		{ "marks", l_marks },
		{ "mark", l_mark },
		{ "record_attempt", l_record_attempt },
		{ "end_record", l_end_record },
	};

	lua_pushlightuserdata(L, journal);
	lua_setfield(L, LUA_REGISTRYINDEX, OWNER);
	lua_newtable(L);
	for (size_t i = 0; i < COUNT_OF(functions); i++) {
		lua_pushcfunction(L, functions[i].func);
		lua_setfield(L, -2, functions[i].name);
	}
}
