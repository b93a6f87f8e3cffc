#include "storage/conversation.h"

#include <string.h>

/* The key of just this text. */
static uint64_t exact_key(const struct recent_scope *scope, const struct gist *gist)
{
	uint64_t size = gist->size;
	char bytes[1 + sizeof(size) + GIST_BEGIN + GIST_END], *at = bytes;

	*at++ = '=';
	at = mempcpy(at, &size, sizeof(size));
	at = mempcpy(at, gist->begin, gist->begin_size);
	at = mempcpy(at, gist->end, gist->end_size);
	return recent_key(scope, bytes, (size_t)(at - bytes));
}

/* The key of all texts that begin like it. false: it is too short to be like any. */
static bool similar_key(const struct recent_scope *scope, const struct gist *gist,
	uint64_t *key)
{
	size_t size = gist_characters(gist, CONVERSATION_SIMILAR);
	char bytes[1 + GIST_BEGIN];

	bytes[0] = '^';
	memcpy(bytes + 1, gist->begin, size);
	*key = size ? recent_key(scope, bytes, 1 + size) : 0;
	return size > 0;
}

size_t conversation_guess(struct recent *recent, const struct said *said,
	const char *fresh, size_t fresh_size, int64_t ttl_ms, char out[RECENT_TEXT_MAX])
{
	struct recent_scope scope = recent_scope(recent, said->scope, said->scope_size);
	uint64_t exact = exact_key(&scope, said->last), similar, before;
	bool is_long = similar_key(&scope, said->last, &similar);
	size_t size = 0;

	/* What stands before goes first. */
	if (said->before)
		size = recent_get(recent, exact_key(&scope, said->before), out);
	if (!size)
		size = recent_get(recent, exact, out);
	if (!size && said->before && similar_key(&scope, said->before, &before))
		size = recent_get(recent, before, out);
	if (!size && is_long)
		size = recent_get(recent, similar, out);
	if (!size) {
		memcpy(out, fresh, fresh_size);
		size = fresh_size;
	}
	recent_put(recent, exact, out, size, ttl_ms);
	if (is_long)
		recent_put(recent, similar, out, size, ttl_ms);
	return size;
}
