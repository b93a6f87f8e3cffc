/* master_key.h - the keys that seal all other secrets.
 *
 * A file outside the stores, 0600 and ours, with one key in each line (64 hex digits): the
 * first is in force, the others are old ones, which can still open what they sealed. A
 * rotation adds a key in front, has everything sealed again and then drops the old ones;
 * it may be cut off anywhere. A key's id is a hash of it and stands in what it
 * sealed. In memory the keys are locked, guarded and wiped. Any thread. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define MASTER_KEY_SIZE 32
#define MASTER_KEY_ID_SIZE 8
#define MASTER_KEYS_MAX 8

struct master_keys;

/* Reads the file that the environment variable NEAP_MASTER_KEY_FILE names, else `master.key`
 * in folder, which is made where it is missing. A file that others can read, is somebody
 * else's, or torn is refused: -EACCES, -EPERM, -EBADMSG. */
MUST_CHECK
int master_keys_open(struct master_keys **out, const char *folder, struct err *err);
/* The same where the file has to be there: -ENOENT. */
MUST_CHECK
int master_keys_open_old(struct master_keys **out, const char *folder, struct err *err);
/* The same with the file's path. */
MUST_CHECK
int master_keys_open_file(struct master_keys **out, const char *path, bool is_made,
	struct err *err);
/* Puts a fresh key in front, on disk first. */
MUST_CHECK
int master_keys_rotate(struct master_keys *keys, struct err *err);
/* Forgets all but the first, on disk too: once nothing is sealed with them. */
MUST_CHECK
int master_keys_drop_old(struct master_keys *keys, struct err *err);
/* Wipes. NULL is fine. */
void master_keys_close(struct master_keys *keys);

/* 1, and the old ones while a rotation is under way. */
size_t master_keys_count(struct master_keys *keys);
void master_keys_current(struct master_keys *keys, unsigned char id[MASTER_KEY_ID_SIZE]);
/* Copies a key out, to be wiped after use; NULL: the one in force, whose id is written.
 * -ENOKEY: there is none with that id. */
MUST_CHECK
int master_keys_copy(struct master_keys *keys, const unsigned char *wanted_id,
	unsigned char id[MASTER_KEY_ID_SIZE], unsigned char key[MASTER_KEY_SIZE]);
