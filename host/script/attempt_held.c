/* attempt_held.c - what a script reads of the bytes that an attempt holds: whole, or one
 * value out of an answer in JSON. */
#include <lauxlib.h>

#include "base/arena.h"
#include "json/scan.h"
#include "script/api.h"
#include "script/api_look.h"
#include "script/attempt_inside.h"
#include "script/request.h"
#include "upstream/gate.h"

/* An answer is looked into several times, and marked the first time; one that still grows
 * is not. NULL, or marks that the caller fills. */
static struct scan_marks *new_marks(struct attempt *attempt)
{
	if (attempt->marks || !gate_is_ended(attempt->gate))
		return NULL;
	attempt->marks = arena_alloc(&attempt->request->arena, sizeof(*attempt->marks));
	return attempt->marks;
}

static const struct scan_marks *marks_of(struct attempt *attempt)
{
	struct scan_marks *marks = new_marks(attempt);

	if (marks)
		scan_mark(marks, gate_data(attempt->gate), gate_size(attempt->gate));
	return attempt->marks;
}

/* text(from, size) -> what is held there, as a string */
int attempt_l_text(lua_State *L)
{
	struct attempt *attempt = attempt_check(L, 1);
	size_t from = (size_t)luaL_optinteger(L, 2, 0);
	size_t held = gate_size(attempt->gate), size;

	from = from > held ? held : from;
	size = (size_t)luaL_optnumber(L, 3, (lua_Number)(held - from));
	size = size > held - from ? held - from : size;
	lua_pushlstring(L, gate_data(attempt->gate) + from, size);
	return 1;
}

static void look_at(struct attempt *attempt, const struct look_box *box,
	struct look_answer *answers)
{
	if (attempt->marks && attempt->marks->is_whole)
		look_read_marked(look_of(box), attempt->marks, answers);
	else
		look_read(look_of(box), gate_data(attempt->gate),
			gate_size(attempt->gate), new_marks(attempt), answers);
}

int attempt_push_look(lua_State *L, struct attempt *attempt, struct look_box *box)
{
	struct look_answer answers[LOOK_QUESTIONS_MAX];

	look_at(attempt, box, answers);
	return look_push(L, box, answers);
}

/* look(look) -> answer, …: of what is held */
int attempt_l_look(lua_State *L)
{
	return attempt_push_look(L, attempt_check(L, 1), look_check(L, 2));
}

/* find(path…) -> raw text, kind | nil; as neap.json.find, in what is held */
int attempt_l_find(lua_State *L)
{
	struct attempt *attempt = attempt_check(L, 1);

	return api_find(L, marks_of(attempt), gate_data(attempt->gate),
		gate_size(attempt->gate), 2);
}

/* measure(path…) -> kind, bytes of its text | nil; as find, without the text */
int attempt_l_measure(lua_State *L)
{
	struct attempt *attempt = attempt_check(L, 1);

	return api_measure(L, marks_of(attempt), gate_data(attempt->gate),
		gate_size(attempt->gate), 2);
}
