#include "key_rotate.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "loader.h"
#include "options.h"
#include "script/generation.h"
#include "storage/folder.h"
#include "storage/master_key.h"
#include "storage/rotation.h"
#include "storage/storage.h"

#define EXIT_CONFIG 78
#define WAIT_MS (60 * 1000)
#define LOOK_MS 20

/* The file of master keys as it is now. */
struct look {
	unsigned char id[MASTER_KEY_ID_SIZE];
	size_t count;
};

static int look_at_keys(const char *folder, struct look *look, struct err *err)
{
	struct master_keys *keys;
	int rc = master_keys_open_old(&keys, folder, err);

	if (rc)
		return rc;
	master_keys_current(keys, look->id);
	look->count = master_keys_count(keys);
	master_keys_close(keys);
	return 0;
}

/* Waits until the other process has one key and, unless a rotation was under way before,
 * another one. */
static int wait_for_other(const char *folder, const struct look *before, struct err *err)
{
	int64_t end_ms = clock_ms() + WAIT_MS;
	struct look now;
	int rc;

	for (;;) {
		if ((rc = look_at_keys(folder, &now, err)) != 0)
			return rc;
		if (now.count == 1 &&
			(before->count > 1 ||
				memcmp(now.id, before->id, sizeof(now.id)) != 0))
			return 0;
		if (clock_ms() > end_ms)
			return err_set(err, -ETIMEDOUT,
				"neap has not rotated its master key: its log says why");
		usleep(LOOK_MS * 1000);
	}
}

static int ask_other(const char *folder, const char *state, struct err *err)
{
	struct look before;
	int owner = folder_owner(state), rc = look_at_keys(folder, &before, err);

	if (rc)
		return rc;
	if (owner <= 0)
		return err_set(err, -EBUSY, "%s is in use by an unknown process", state);
	if (kill(owner, SIGUSR1) != 0)
		return err_set(err, -errno, "process %d could not be asked: %s", owner,
			strerror(errno));
	return wait_for_other(folder, &before, err);
}

static int rotate_here(const char *folder, struct store *state, struct err *err)
{
	struct master_keys *keys;
	size_t count;
	int rc = master_keys_open_old(&keys, folder, err);

	if (rc)
		return rc;
	rc = rotation_run(state, keys, &count, err);
	master_keys_close(keys);
	return rc;
}

static int rotate(const char *folder, struct err *err)
{
	struct store *store;
	char state[4096];
	int rc;

	snprintf(state, sizeof(state), "%s/%s", folder, state_layout.name);
	if (access(state, F_OK) != 0)
		return err_set(err, -ENOENT, "%s: nothing is stored yet", folder);
	rc = store_open(&store, state, &state_layout, err);
	if (rc == -EBUSY)
		return ask_other(folder, state, err);
	if (rc)
		return rc;
	rc = rotate_here(folder, store, err);
	store_close(store);
	return rc;
}

int key_rotate(const struct options *options, const char *home)
{
	struct loader loader = { .home = home, .config = options->config };
	struct generation *peeked;
	struct buf errors = { 0 };
	struct err err;
	int rc;

	/* An import that finds the storage held asks its holder to load. */
	signal(SIGHUP, SIG_IGN);
	if (loader_peek(&loader, &peeked, &errors) != 0) {
		loader_print_errors(&errors);
		buf_clear(&errors);
		return EXIT_CONFIG;
	}
	rc = rotate(generation_settings(peeked)->storage, &err);
	generation_unref(peeked);
	if (rc)
		fprintf(stderr, "neap: %s\n", err.text);
	else
		printf("the master key is rotated\n");
	return rc ? 1 : 0;
}
