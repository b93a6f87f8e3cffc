/* The end of a request: its line in the log, its record in the journal. */
#include "base/log.h"
#include "script/api.h"
#include "script/kept_bodies.h"
#include "script/process.h"
#include "script/record_line.h"
#include "script/record_read.h"
#include "script/request.h"
#include "script/script.h"
#include "storage/journal.h"

/* record_attempt(place, …), see host.lua. */
static int l_record_attempt(lua_State *L)
{
	record_read_attempt(L, 1, api_script(L)->reading);
	return 0;
}

/* end_record(usage, is_stream, …) -> is_text. The line is JSON; where lines are text the library
 * writes its own. */
static int l_end_record(lua_State *L)
{
	struct script *script = api_script(L);
	struct journal *journal = script->process->journal;
	struct record_reading *reading = script->reading;
	struct request *request = request_of(L);
	bool is_text = log_is_text();

	record_read(L, 1, reading);
	if (log_covers(LOG_INFO) && !is_text) {
		record_line_write(&script->line, reading);
		log_line(buf_data(&script->line), buf_size(&script->line));
	}
	/* What does not fit is counted there. */
	if (journal && reading->has_id)
		journal_push(journal, (size_t)script->worker, &reading->record,
			request ? kept_bodies_take(request, &reading->record) : NULL);
	lua_pushboolean(L, is_text);
	return 1;
}

void api_record_register(lua_State *L)
{
	static const luaL_Reg functions[] = {
		{ "record_attempt", l_record_attempt },
		{ "end_record", l_end_record },
		{ NULL, NULL },
	};

	luaL_register(L, NULL, functions);
}
