/* journal_world.h - a journal's store in a folder of its own, for each test or a group of them. */
#pragma once

#include "storage/storage.h"
#include "storage_place.h"

static char place[128];
static struct store *store;

static inline struct store *world_open(void)
{
	struct store *opened;
	struct err err;

	assert_int_equal(store_open(&opened, place, &journal_layout, &err), 0);
	return opened;
}

static inline int world_set_up(void **state)
{
	(void)state;
	place_make(place);
	store = world_open();
	return 0;
}

static inline int world_tear_down(void **state)
{
	(void)state;
	store_close(store);
	place_remove(place);
	return 0;
}
