/* import_journal.h - what `neap import` does with the rows of other routers' logs: they become
 * records of the journal, in batches of the past (storage/past_batch.h).
 *
 * Lua reads the rows and says what they mean (admin/import/logs.lua); it never has more than a
 * page of them. */
#pragma once

#include <stdbool.h>

#include <lua.h>

struct store;

struct import_journal;

/* journal may be NULL where there is none yet, which takes is_dry: then nothing is written.
 * The store must outlive it. */
struct import_journal *import_journal_new(struct store *journal, bool is_dry);
/* NULL is fine. */
void import_journal_free(struct import_journal *journal);

/* Pushes a table of functions, good while the journal is:
 *
 *	begin(age_s, mark)       of each log: how old records become, in seconds; and the mark of an
 *	                         earlier import that the next ones replace, or nil
 *	mark(name)               of the row that the next record is of, or nil
 *	record_attempt(…)                          as in neap.host
 *	end_record(uuid, wall, …)                  adds the record of that id, which began then; the
 *	                         rest as in neap.host; -> true | false: too young | nil, why
 *	finish() -> true | nil, why                writes what was added
 *	figures() -> carried, summed, there        of all that was written since begin()
 *	marks(prefix) -> { [name] = uuid, … } | nil, why
 *	id(seed, seconds) -> uuid                  of a record that began then */
void import_journal_push(lua_State *L, struct import_journal *journal);
