#include "script/kept_bodies.h"

#include <stdlib.h>
#include <string.h>

#include <lauxlib.h>
#include <sodium.h>

#include "base/piece.h"
#include "http/spool.h"
#include "script/credential.h"
#include "script/generation.h"
#include "script/process.h"
#include "script/request.h"
#include "storage/body.h"
#include "storage/record.h"
#include "storage/redaction.h"

int kept_bodies_l_keep(lua_State *L)
{
	struct request *request = request_check(L, 1);
	double size_max = luaL_checknumber(L, 2);
	struct kept_bodies *kept;

	luaL_argcheck(L, size_max >= 1 && size_max <= BODY_SIZE_MAX, 2, "a body's size");
	if (!request->script->process->journal)
		return 0;
	if (request->kept || request->answer_status)
		luaL_error(L, "too late for keeping bodies");
	kept = xcalloc(1, sizeof(*kept));
	kept->size_max = (size_t)size_max;
	kept->failures_only = lua_toboolean(L, 3);
	kept->redaction = generation_redaction(request->generation);
	if (kept->redaction)
		redaction_ref(kept->redaction);
	answer_copy_init(&kept->answer, kept->size_max + BODY_SLACK,
		&request->script->copy_room);
	request->kept = kept;
	exchange_set_copy(request->exchange, &kept->answer);
	return 0;
}

void kept_bodies_free(struct kept_bodies *kept)
{
	if (!kept)
		return;
	answer_copy_clear(&kept->answer);
	redaction_unref(kept->redaction);
	free(kept);
}

/* The token that the client itself came with goes, however it looks. */
static void mask_token(const struct request *request, struct body *body)
{
	char room[CREDENTIAL_MAX];
	size_t size;
	const char *secret = credential_find(request->exchange, room, &size);
	unsigned char *at = body->data, *end = body->data + body->size;

	while (secret && size >= REDACTION_SECRET_MIN &&
		(at = memmem(at, (size_t)(end - at), secret, size)) != NULL) {
		memset(at, '*', size);
		at += size;
	}
	sodium_memzero(room, sizeof(room));
}

static struct body *make(const struct request *request, enum body_part part,
	const void *data, size_t size, uint64_t whole_size)
{
	const struct kept_bodies *kept = request->kept;
	struct body *body = body_new(part, data, size, whole_size);

	body->size_max = kept->size_max;
	body->redaction = kept->redaction;
	if (body->redaction)
		redaction_ref(body->redaction);
	mask_token(request, body);
	return body;
}

/* Of a body that lies in a file as much as is kept is read, which was written a moment ago. */
static struct body *take_request(const struct request *request)
{
	struct spool *spool = exchange_body(request->exchange);
	size_t size = request->kept->size_max + BODY_SLACK;
	struct source *source;
	struct body *body;
	ssize_t count;
	char *room;

	if (!spool || !request->is_received || !spool_size(spool))
		return NULL;
	if (spool_size(spool) < size)
		size = (size_t)spool_size(spool);
	if (spool_memory(spool))
		return make(request, BODY_REQUEST, spool_memory(spool), size,
			spool_size(spool));
	source = spool_source(spool);
	room = xmalloc(size);
	count = source->ops->read(source, 0, room, size);
	body = make(request, BODY_REQUEST, room, count > 0 ? (size_t)count : 0,
		spool_size(spool));
	free(room);
	return body;
}

struct body *kept_bodies_take(struct request *request, const struct record *record)
{
	const struct kept_bodies *kept = request->kept;
	struct body *first, *answer;

	if (!kept || (kept->failures_only && record->outcome == RECORD_OK))
		return NULL;
	first = take_request(request);
	if (!kept->answer.whole_size)
		return first;
	answer = make(request, BODY_RESPONSE,
		buf_size(&kept->answer.bytes) ? buf_data(&kept->answer.bytes) : "",
		buf_size(&kept->answer.bytes), kept->answer.whole_size);
	if (!first)
		return answer;
	first->next = answer;
	return first;
}
