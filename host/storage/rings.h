/* rings.h - the messages of several threads, read by one in the order of their times.
 *
 * Each writing thread has a ring of its own (ring.h) and pays nothing for the order. A
 * message begins with its time, an int64_t of any one unit; those of one ring come out as
 * they went in. It does not wait for what a thread is about to write: what comes later
 * with an earlier time is read later. */
#pragma once

#include "storage/ring.h"

struct rings;

/* size: bytes of each, as ring_new() takes it. */
struct rings *rings_new(size_t count, size_t size);
/* All threads are done with them. NULL is fine. */
void rings_free(struct rings *rings);

/* The ring of a writing thread, place < count. */
struct ring *rings_at(const struct rings *rings, size_t place);

/* The reading thread. Looks into all rings; before a run of rings_read(). */
void rings_look(struct rings *rings);
/* The earliest of the messages that are at the front of their rings, without those of rings
 * that were empty when it last looked. False: there is none. message is good until
 * rings_release(). */
bool rings_read(struct rings *rings, struct bytes *message);
/* Gives back the room of all that was read. */
void rings_release(struct rings *rings);

/* Any thread. */
size_t rings_fullest(const struct rings *rings);   /* bytes of the ring that holds most */
uint64_t rings_dropped(const struct rings *rings); /* messages, since the start */
size_t rings_size(const struct rings *rings);      /* bytes of each */
