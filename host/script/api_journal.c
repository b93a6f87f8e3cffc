/* Records and statistics for Lua, as JSON text. What is here waits on the journal's reader, but
 * for its figures. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "script/api.h"
#include "script/errand.h"
#include "script/process.h"
#include "script/script.h"
#include "script/state.h"
#include "storage/journal.h"
#include "storage/journal_query.h"
#include "storage/record_id.h"
#include "storage/stats.h"
#include "storage/storage.h"

#define TEXTS 8       /* of one question */
#define TEXT_MAX 1024 /* bytes of each */
#define YEAR_9999 253402300800.0

/* A question on its way: what it asks with lies in texts, and its answer in out. */
struct question {
	struct store_errand at;
	struct buf out;
	char texts[TEXTS * TEXT_MAX];
	size_t texts_size;
	union {
		struct journal_page page;
		struct journal_record record;
		struct {
			struct stats_query query;
			enum rollup_dimension by;
			enum stats_order order;
			uint32_t top;
			int64_t *edges_s; /* its own; NULL: no series */
			size_t edge_count;
		} stats;
	};
};

static struct storage *check_storage(lua_State *L)
{
	struct storage *storage = api_script(L)->process->storage;

	if (!storage)
		luaL_error(L, "this neap has no storage");
	return storage;
}

static int ask(lua_State *L, struct question *question)
{
	return store_errand_start(L, &question->at,
		storage_journal_reader(check_storage(L)));
}

/* nil and why: "missing", "invalid" (the question), "large" (more than one call reads), or as
 * errand_push_failure() says. */
static int push_failure(lua_State *L, const struct errand *errand)
{
	static const struct {
		int rc;
		const char *name;
	} known[] = { { -ENOENT, "missing" }, { -EINVAL, "invalid" },
		{ -ERANGE, "invalid" }, { -E2BIG, "large" } };

	for (size_t i = 0; i < COUNT_OF(known); i++) {
		if (errand->job->rc != known[i].rc)
			continue;
		lua_pushnil(L);
		lua_pushstring(L, known[i].name);
		lua_pushstring(L, errand->job->err.text);
		return 3;
	}
	return errand_push_failure(L, errand);
}

static void push_out(lua_State *L, struct question *question)
{
	lua_pushlstring(L, buf_data(&question->out), buf_size(&question->out));
}

static int push_answer(lua_State *L, struct errand *errand)
{
	if (errand->job->rc)
		return push_failure(L, errand);
	push_out(L, (struct question *)errand);
	return 1;
}

static void free_question(struct errand *errand)
{
	struct question *question = (struct question *)errand;

	buf_clear(&question->out);
	free(question);
}

/* -- members of a table at index 1 --------------------------------------------------- */

static double get_number(lua_State *L, const char *name, double least, double most)
{
	double number;

	lua_getfield(L, 1, name);
	number = luaL_optnumber(L, -1, 0);
	if (!lua_isnil(L, -1) && !(number >= least && number <= most))
		luaL_error(L, "%s is no number that it can be", name);
	lua_pop(L, 1);
	return number;
}

static bool get_boolean(lua_State *L, const char *name)
{
	bool is_true;

	lua_getfield(L, 1, name);
	is_true = lua_toboolean(L, -1);
	lua_pop(L, 1);
	return is_true;
}

/* Seconds since 1970, to the microsecond. */
static int64_t get_us(lua_State *L, const char *name)
{
	return (int64_t)(get_number(L, name, 0, YEAR_9999) * 1e6 + 0.5);
}

/* A text of at most TEXT_MAX bytes, borrowed from Lua. */
static struct bytes get_text(lua_State *L, const char *name)
{
	struct bytes text = { 0 };

	lua_getfield(L, 1, name);
	if (!lua_isnil(L, -1)) {
		luaL_checktype(L, -1, LUA_TSTRING);
		text.data = lua_tolstring(L, -1, &text.size);
	}
	if (text.size > TEXT_MAX)
		luaL_error(L, "%s is longer than %d bytes", name, TEXT_MAX);
	lua_pop(L, 1);
	return text;
}

static int get_choice(lua_State *L, const char *name, const char *otherwise,
	const char *const *choices)
{
	int choice;

	lua_getfield(L, 1, name);
	choice = luaL_checkoption(L, -1, otherwise, choices);
	lua_pop(L, 1);
	return choice;
}

/* Makes a borrowed text the question's own. */
static void keep(struct question *question, struct bytes *text)
{
	char *at = question->texts + question->texts_size;

	if (!text->size)
		return;
	memcpy(at, text->data, text->size);
	question->texts_size += text->size;
	text->data = at;
}

/* -- pages ---------------------------------------------------------------------------- */

static int run_page(struct txn *txn, void *job, struct err *err)
{
	struct question *question = store_errand_of(job);

	question->page.out = &question->out;
	return journal_page(txn, &question->page, err);
}

static int push_page(lua_State *L, struct errand *errand)
{
	struct question *question = (struct question *)errand;

	if (errand->job->rc)
		return push_failure(L, errand);
	push_out(L, question);
	if (!question->page.next[0])
		return 1;
	lua_pushstring(L, question->page.next);
	lua_pushnumber(L, (double)question->page.reached_us / 1e6);
	return 3;
}

static enum journal_wish get_wish(lua_State *L, const char *name)
{
	enum journal_wish wish = JOURNAL_EITHER;

	lua_getfield(L, 1, name);
	if (!lua_isnil(L, -1))
		wish = lua_toboolean(L, -1) ? JOURNAL_YES : JOURNAL_NO;
	lua_pop(L, 1);
	return wish;
}

static void get_outcome(lua_State *L, struct journal_filter *filter)
{
	static const char *const names[] = { "ok", "failed", "aborted", "truncated",
		"any", NULL };
	int outcome = get_choice(L, "outcome", "any", names);

	filter->has_outcome = outcome < RECORD_OUTCOMES;
	filter->outcome = filter->has_outcome ? (enum record_outcome)outcome : RECORD_OK;
}

static void get_filter(lua_State *L, struct journal_filter *filter)
{
	filter->from_us = get_us(L, "from");
	filter->until_us = get_us(L, "before");
	filter->token = get_text(L, "token");
	filter->group = get_text(L, "group");
	filter->provider = get_text(L, "provider");
	filter->model = get_text(L, "model");
	filter->key = get_text(L, "key");
	filter->conversation = get_text(L, "conversation");
	filter->text = get_text(L, "text");
	filter->status = (int)get_number(L, "status", 0, 999);
	filter->status_class = (int)get_number(L, "status_class", 0, 9);
	filter->stream = get_wish(L, "stream");
	filter->test = get_wish(L, "test");
	filter->import = get_wish(L, "import");
	filter->min_cost_micros = (int64_t)get_number(L, "min_cost_micros", 0, 1e15);
	filter->min_ms = (uint32_t)get_number(L, "min_ms", 0, 1e9);
	get_outcome(L, filter);
}

static void keep_page(struct question *question)
{
	struct journal_filter *filter = &question->page.filter;
	struct bytes *texts[TEXTS] = { &filter->token, &filter->group, &filter->provider,
		&filter->model, &filter->key, &filter->conversation, &filter->text,
		&question->page.cursor };

	for (size_t i = 0; i < TEXTS; i++)
		keep(question, texts[i]);
}

/* journal_page(filter) -> text, cursor | nil, reached | nil; or nil, why, text. Waits. */
static int l_page(lua_State *L)
{
	struct journal_page page = { 0 };
	struct question *question;

	luaL_checktype(L, 1, LUA_TTABLE);
	get_filter(L, &page.filter);
	page.cursor = get_text(L, "cursor");
	page.limit = (uint32_t)get_number(L, "limit", 1, JOURNAL_PAGE_MAX);
	page.limit = page.limit ? page.limit : 100;
	page.is_oldest_first = get_boolean(L, "oldest_first");
	page.is_lines = get_boolean(L, "lines");
	page.is_detailed = get_boolean(L, "detailed");
	check_storage(L);
	question = store_errand_new(L, sizeof(*question), run_page, push_page,
		free_question);
	question->page = page;
	keep_page(question);
	return ask(L, question);
}

/* -- one record ----------------------------------------------------------------------- */

static int run_record(struct txn *txn, void *job, struct err *err)
{
	struct question *question = store_errand_of(job);

	question->record.out = &question->out;
	return journal_record(txn, &question->record, err);
}

static int run_body(struct txn *txn, void *job, struct err *err)
{
	struct question *question = store_errand_of(job);

	question->record.out = &question->out;
	return journal_body(txn, &question->record, err);
}

static int ask_record(lua_State *L, store_fn *run, enum body_part part)
{
	struct question *question;
	unsigned char id[16];
	struct bytes text;

	text.data = luaL_checklstring(L, 1, &text.size);
	check_storage(L);
	if (record_id_read(text, id) != 0) {
		lua_pushnil(L);
		lua_pushliteral(L, "missing");
		lua_pushliteral(L, "that is no id of a record");
		return 3;
	}
	question = store_errand_new(L, sizeof(*question), run, push_answer,
		free_question);
	memcpy(question->record.id, id, sizeof(id));
	question->record.part = part;
	return ask(L, question);
}

/* journal_record(id) -> text; or nil, why, text. Waits. */
static int l_record(lua_State *L)
{
	return ask_record(L, run_record, BODY_REQUEST);
}

/* journal_body(id, part) -> bytes; or nil, why, text. Waits. */
static int l_body(lua_State *L)
{
	static const char *const parts[] = { "request", "response", "sent", "received",
		NULL };

	return ask_record(L, run_body,
		(enum body_part)(BODY_REQUEST + luaL_checkoption(L, 2, NULL, parts)));
}

/* -- statistics ----------------------------------------------------------------------- */

static int run_stats(struct txn *txn, void *job, struct err *err)
{
	struct question *question = store_errand_of(job);
	struct buf *out = &question->out;
	const struct stats_query *query = &question->stats.query;

	buf_reset(out);
	if (question->stats.edge_count)
		return stats_series(txn, query, question->stats.edges_s,
			question->stats.edge_count, out, err);
	if (question->stats.by != ROLLUP_ALL)
		return stats_breakdown(txn, query, question->stats.by,
			question->stats.order, question->stats.top, out, err);
	return stats_overview(txn, query, out, err);
}

static void free_stats(struct errand *errand)
{
	free(((struct question *)errand)->stats.edges_s);
	free_question(errand);
}

/* ROLLUP_ALL where it is not given. */
static enum rollup_dimension get_dimension(lua_State *L, const char *name)
{
	struct bytes text = get_text(L, name);
	enum rollup_dimension dimension = ROLLUP_ALL;

	if (text.size)
		dimension = rollup_dimension_of(text);
	if (dimension == ROLLUP_DIMENSIONS)
		luaL_error(L, "%s is none of the dimensions", name);
	return dimension;
}

/* Leaves spec.edges, or nil, at index 2 and returns how many there are. */
static size_t check_edges(lua_State *L)
{
	size_t count;

	lua_settop(L, 1);
	lua_getfield(L, 1, "edges");
	if (lua_isnil(L, 2))
		return 0;
	luaL_checktype(L, 2, LUA_TTABLE);
	count = lua_objlen(L, 2);
	if (count < 2 || count > STATS_SPANS_MAX + 1)
		luaL_error(L, "edges are 2 to %d times", STATS_SPANS_MAX + 1);
	for (size_t i = 1; i <= count; i++) {
		double edge;

		lua_rawgeti(L, 2, (int)i);
		edge = lua_tonumber(L, -1);
		if (!lua_isnumber(L, -1) || !(edge >= 0 && edge <= YEAR_9999))
			luaL_error(L, "an edge is no time");
		lua_pop(L, 1);
	}
	return count;
}

/* Raises nothing: check_edges() has seen them. */
static void take_edges(lua_State *L, struct question *question, size_t count)
{
	question->stats.edge_count = count;
	if (!count)
		return;
	question->stats.edges_s = xcalloc(count, sizeof(int64_t));
	for (size_t i = 0; i < count; i++) {
		lua_rawgeti(L, 2, (int)i + 1);
		question->stats.edges_s[i] = (int64_t)lua_tonumber(L, -1);
		lua_pop(L, 1);
	}
}

/* journal_stats(spec) -> text; or nil, why, text. Waits. */
static int l_stats(lua_State *L)
{
	static const char *const orders[] = { "requests", "tokens", "cost", NULL };
	struct stats_query query = { .now_s = clock_wall_us() / 1000000 };
	enum rollup_dimension by;
	enum stats_order order;
	struct question *question;
	uint32_t top;
	size_t count;

	luaL_checktype(L, 1, LUA_TTABLE);
	query.from_s = (int64_t)get_number(L, "from", 0, YEAR_9999);
	query.until_s = (int64_t)get_number(L, "before", 0, YEAR_9999);
	query.filter = get_dimension(L, "dimension");
	query.value = get_text(L, "value");
	by = get_dimension(L, "by");
	order = (enum stats_order)get_choice(L, "order", "requests", orders);
	top = (uint32_t)get_number(L, "top", 1, STATS_TOP_MAX);
	count = check_edges(L);
	check_storage(L);
	state_charge(L, sizeof(struct question) + count * sizeof(int64_t));
	question = store_errand_new(L, sizeof(*question), run_stats, push_answer,
		free_stats);
	question->stats.query = query;
	question->stats.by = by;
	question->stats.order = order;
	question->stats.top = top ? top : 100;
	keep(question, &question->stats.query.value);
	take_edges(L, question, count);
	return ask(L, question);
}

/* -- figures -------------------------------------------------------------------------- */

/* journal_figures() -> table | nil where there is no journal */
static int l_figures(lua_State *L)
{
	struct script *script = api_script(L);
	struct process *process = script->process;
	struct journal_figures figures;

	if (!process->journal) {
		lua_pushnil(L);
		return 1;
	}
	figures = journal_figures(process->journal);
	lua_createtable(L, 0, 14);
	api_set_number(L, "written", (double)figures.written);
	api_set_number(L, "dropped", (double)figures.dropped);
	api_set_number(L, "bodies_dropped", (double)figures.bodies_dropped);
	api_set_number(L, "transactions", (double)figures.transactions);
	api_set_number(L, "removed", (double)figures.removed);
	api_set_number(L, "bodies_removed", (double)figures.bodies_removed);
	api_set_number(L, "retained", (double)figures.retained);
	api_set_number(L, "held", (double)figures.held_us / 1e6);
	api_set_number(L, "waiting_bytes", (double)figures.waiting);
	api_set_number(L, "ring_bytes", (double)figures.ring_size);
	/* The store may have to grow before it can say so: no client waits for that. */
	if (script->is_admin)
		api_set_number(L, "bytes",
			(double)store_figures(storage_journal(process->storage)).used);
	if (figures.last_us)
		api_set_number(L, "last", (double)figures.last_us / 1e6);
	if (figures.error) {
		lua_pushstring(L, figures.error_text.text);
		lua_setfield(L, -2, "error");
	}
	if (figures.retention_error.text[0]) {
		lua_pushstring(L, figures.retention_error.text);
		lua_setfield(L, -2, "retention_error");
	}
	return 1;
}

static const luaL_Reg functions[] = {
	{ "journal_page", l_page },
	{ "journal_record", l_record },
	{ "journal_body", l_body },
	{ "journal_stats", l_stats },
	{ "journal_figures", l_figures },
	{ NULL, NULL },
};

void api_journal_register(lua_State *L)
{
	luaL_register(L, NULL, functions);
}
