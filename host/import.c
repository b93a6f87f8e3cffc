#include "import.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sodium.h>

#include "loader.h"
#include "options.h"
#include "script/credential.h"
#include "script/generation.h"
#include "script/import_run.h"
#include "script/sources.h"
#include "script/stored.h"
#include "storage/client_token.h"
#include "storage/folder.h"
#include "storage/master_key.h"
#include "storage/storage.h"

#define EXIT_CONFIG 78

/* Where it is imported to. Without a store nothing is stored yet. */
struct place {
	const char *folder;
	char state_folder[4096];
	struct store *state;
	struct store *journal; /* NULL: a dry run where there is none */
	struct master_keys *master_keys;
	struct stored *stored;
	int owner; /* the process that holds the store; 0: this one */
};

static int open_state(struct place *place, bool is_dry, struct err *err)
{
	int rc;

	if (is_dry)
		return store_open_beside(&place->state, place->state_folder,
			&state_layout, err);
	rc = store_open(&place->state, place->state_folder, &state_layout, err);
	if (rc != -EBUSY)
		return rc;
	place->owner = folder_owner(place->state_folder);
	if (place->owner <= 0)
		return rc;
	return store_open_beside(&place->state, place->state_folder, &state_layout, err);
}

/* The owner of the one has the other as well. */
static int open_journal(struct place *place, bool is_dry, struct err *err)
{
	char folder[4096];

	snprintf(folder, sizeof(folder), "%s/%s", place->folder, journal_layout.name);
	if (is_dry && access(folder, F_OK) != 0)
		return 0;
	if (is_dry || place->owner)
		return store_open_beside(&place->journal, folder, &journal_layout, err);
	return store_open(&place->journal, folder, &journal_layout, err);
}

static int open_secrets(struct place *place, bool is_dry, struct err *err)
{
	unsigned char key[CLIENT_TOKEN_KEY_SIZE];
	int rc = is_dry || place->owner
		? master_keys_open_old(&place->master_keys, place->folder, err)
		: master_keys_open(&place->master_keys, place->folder, err);

	if (rc)
		return rc;
	rc = client_token_key(place->state, place->master_keys, key, err);
	if (rc)
		return rc;
	credential_use_key(key);
	sodium_memzero(key, sizeof(key));
	return 0;
}

/* A dry run makes and locks nothing, and brings no format up. */
static int open_place(struct place *place, const char *folder, bool is_dry,
	struct err *err)
{
	int rc;

	*place = (struct place) { .folder = folder };
	snprintf(place->state_folder, sizeof(place->state_folder), "%s/%s", folder,
		state_layout.name);
	if (is_dry && access(place->state_folder, F_OK) != 0)
		return 0;
	if ((rc = open_state(place, is_dry, err)) != 0 ||
		(rc = open_journal(place, is_dry, err)) != 0 ||
		(rc = open_secrets(place, is_dry, err)) != 0)
		return rc;
	return stored_read(&place->stored, place->state, place->master_keys, err);
}

static void close_place(struct place *place)
{
	stored_free(place->stored);
	master_keys_close(place->master_keys);
	store_close(place->journal);
	store_close(place->state);
}

/* -- writing ------------------------------------------------------------------------- */

struct writing {
	struct place *place;
	struct change *change;
};

/* The running neap may have rotated the master key meanwhile: it puts the fresh one into the
 * file before it seals the rows again, so that one of the two sees the other. */
static int check_master_key(struct place *place, struct err *err)
{
	unsigned char before[MASTER_KEY_ID_SIZE], now[MASTER_KEY_ID_SIZE];
	struct master_keys *keys;
	int rc = master_keys_open_old(&keys, place->folder, err);

	if (rc)
		return rc;
	master_keys_current(place->master_keys, before);
	master_keys_current(keys, now);
	master_keys_close(keys);
	if (memcmp(before, now, sizeof(now)) == 0)
		return 0;
	return err_set(err, -ESTALE,
		"the master key was rotated meanwhile: nothing is imported, run it again");
}

static int write_rows(struct txn *txn, void *arg, struct err *err)
{
	struct writing *writing = arg;
	int rc = check_master_key(writing->place, err);

	if (rc)
		return rc;
	rc = change_run(txn, writing->change, err);
	if (rc == -ECANCELED)
		return err_set(err, rc,
			"the configuration was changed meanwhile: nothing is imported, run it "
			"again");
	return rc;
}

static int write_change(struct place *place, struct change *change, struct err *err)
{
	struct writing writing = { place, change };
	int rc = store_write(place->state, write_rows, &writing, err);

	if (rc || !place->owner)
		return rc;
	if (kill(place->owner, SIGHUP) == 0)
		return 0;
	return err_set(err, -errno,
		"it is imported, but process %d could not be asked to load it: %s",
		place->owner, strerror(errno));
}

/* -- the command --------------------------------------------------------------------- */

static int finish(struct place *place, struct import_run *run)
{
	struct change *change = import_run_change(run);
	struct buf report = { 0 };
	bool has_ops = change->count > 0;
	struct err err;
	int status;

	if (has_ops && write_change(place, change, &err) != 0) {
		fprintf(stderr, "neap: %s\n", err.text);
		return 1;
	}
	status = import_run_finish(run, place->journal, &report);
	fwrite(buf_data(&report), 1, buf_size(&report), stdout);
	buf_clear(&report);
	if (has_ops && place->owner)
		printf("neap, process %d, was asked to load it; its log says when it is in "
		       "force\n",
			place->owner);
	return status;
}

static int run(const struct options *options, const char *home, const char *folder)
{
	struct sources *sources = sources_new(home, getenv("NEAP_LUA"));
	struct import_options given = options->import;
	struct import_run *run = NULL;
	struct place place;
	struct err err;
	int status = 1;

	given.config = options->config;
	given.files = options->files;
	given.file_count = options->file_count;
	if (open_place(&place, folder, given.is_dry, &err) != 0) {
		fprintf(stderr, "neap: %s\n", err.text);
	} else {
		sources_set_stored(sources, place.stored);
		status = import_run_start(&run, sources, place.state, place.master_keys,
			&given);
		if (status == 0)
			status = finish(&place, run);
	}
	import_run_free(run);
	close_place(&place);
	sources_free(sources);
	return status;
}

int import_files(const struct options *options, const char *home)
{
	struct loader loader = { .home = home, .config = options->config };
	struct generation *peeked;
	struct buf errors = { 0 };
	int status;

	/* Another import takes this one for a neap that can load. */
	signal(SIGHUP, SIG_IGN);
	if (loader_peek(&loader, &peeked, &errors) != 0) {
		loader_print_errors(&errors);
		buf_clear(&errors);
		return EXIT_CONFIG;
	}
	status = run(options, home, generation_settings(peeked)->storage);
	generation_unref(peeked);
	return status;
}
