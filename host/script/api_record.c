/* The end of a request: its line in the log, its record in the journal. */
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "script/api.h"
#include "script/arrival.h"
#include "script/kept_bodies.h"
#include "script/process.h"
#include "script/record_line.h"
#include "script/record_read.h"
#include "script/request_inside.h"
#include "script/script.h"
#include "storage/journal.h"

/* record_attempt(place, …), see host.lua. */
static int l_record_attempt(lua_State *L)
{
	record_read_attempt(L, 1, api_script(L)->reading);
	return 0;
}

static void write_record(struct request *request, struct record_reading *reading)
{
	struct script *script = request->script;
	struct journal *journal = script->process->journal;

	request->is_recorded = true;
	arrival_tell(request, reading);
	if (log_covers(LOG_INFO) && !log_is_text()) {
		record_line_write(&script->line, reading);
		log_line(buf_data(&script->line), buf_size(&script->line));
	}
	/* What does not fit is counted there. */
	if (journal)
		journal_push(journal, (size_t)script->worker, &reading->record,
			kept_bodies_take(request, &reading->record));
}

void request_record_plainly(struct request *request, const char *why)
{
	struct record_reading reading = { 0 };
	struct record *record = &reading.record;

	if (!why)
		why = "Lua failed where it tells of the request";
	arrival_begin(request);
	record->status = request->is_gone ? 499 : request->answer_status;
	record->outcome = request->is_gone ? RECORD_ABORTED : RECORD_FAILED;
	record->ms = (uint32_t)((clock_us() - request->arrival.start_us) / 1000);
	record->first_byte_ms = RECORD_NO_MS;
	record->first_event_ms = RECORD_NO_MS;
	record->error = (struct bytes) { why, strlen(why) };
	write_record(request, &reading);
	if (log_is_text())
		log_message(request->is_gone ? LOG_INFO : LOG_ERROR, "router",
			"request=%s status=%d: %s", request->arrival.request_id,
			record->status, why);
}

/* end_record(request, usage, is_stream, …) -> nothing | request id, wall. The line is
 * JSON; where lines are text the library writes its own, with these. */
static int l_end_record(lua_State *L)
{
	struct record_reading *reading = api_script(L)->reading;
	struct request *request = request_check(L, 1);

	record_read(L, 2, reading);
	write_record(request, reading);
	if (!log_is_text())
		return 0;
	lua_pushstring(L, request->arrival.request_id);
	lua_pushnumber(L, (double)request->arrival.wall_us / 1e6);
	return 2;
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
