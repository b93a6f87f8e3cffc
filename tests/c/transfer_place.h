/* transfer_place.h - a scripted provider and a pool of transfers that asks it. */
#pragma once

#include "scripted_upstream.h"
#include "transfer_world.h"

struct place {
	struct scripted upstream;
	struct world world;
};

static inline void place_open(struct place *place, script_fn *script, const char *text)
{
	scripted_start(&place->upstream, script, text);
	world_open(&place->world);
}

static inline void place_close(struct place *place)
{
	world_close(&place->world);
	scripted_stop(&place->upstream);
}

static inline struct transfer_request place_request(const struct place *place)
{
	return (struct transfer_request) {
		.method = "GET",
		.url = place->upstream.url,
		.is_private_allowed = true,
	};
}

/* noted is to be cleared. */
static inline enum transfer_result place_ask(struct place *place, struct noted *noted,
	const struct transfer_request *request)
{
	noted_start(noted, &place->world, request);
	world_wait(&place->world, &noted->ends, 1);
	return noted->result;
}
