/* api_look.h - looks (json/look.h) as Lua has them: what is wanted of a document in JSON,
 * compiled once, at load.
 *
 * A look is read by look:of(text), request:look(look) and attempt:look(look), which give an
 * answer to each question, in order. Behind these it may ask for usage, as neap.usage does: all
 * answers to that are one usage, the last. */
#pragma once

#include <lua.h>

#include "json/look.h"

struct look_box;

/* The look at index; raises for anything else. */
struct look_box *look_check(lua_State *L, int index);
const struct look *look_of(const struct look_box *box);
/* Pushes the answers and returns how many they are. The texts that they point to must stay
 * until then. */
int look_push(lua_State *L, struct look_box *box, const struct look_answer *answers);

void look_register(lua_State *L); /* the type, and host.look */
