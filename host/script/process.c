#include "script/process.h"

#include <stdio.h>

#include <sodium.h>

#include "base/log.h"
#include "http/spool.h"
#include "script/credential.h"
#include "script/generation.h"
#include "storage/client_token.h"
#include "storage/health_store.h"
#include "storage/journal.h"
#include "storage/master_key.h"
#include "storage/password.h"
#include "storage/recent.h"
#include "storage/rotation.h"
#include "storage/shared.h"
#include "storage/storage.h"

#define SHARED_MAX (64 * 1024 * 1024)        /* bytes of what policies share */
#define RECENT_ENTRIES (128 * 1024)          /* of 64 bytes */
#define SPOOL_MEMORY_MAX (256 * 1024 * 1024) /* bytes of bodies in memory */

_Static_assert(CREDENTIAL_KEY_SIZE == CLIENT_TOKEN_KEY_SIZE, "one hash for both");

/* One that was cut off. What cannot be finished keeps nobody from starting: all keys are
 * there still. */
static void finish_rotation(struct process *process)
{
	struct err err;
	size_t count;

	if (master_keys_count(process->master_keys) == 1)
		return;
	if (rotation_finish(storage_state(process->storage), process->master_keys, &count,
		    &err) != 0)
		log_error("storage", "the master key is not rotated yet: %s", err.text);
	else
		log_info("storage", "the master key is rotated: secrets=%zu", count);
}

/* Tokens and keys are found by the same hash in every run of neap, since it names what is
 * stored of them. */
static int open_secrets(struct process *process, const char *folder, struct err *err)
{
	unsigned char key[CLIENT_TOKEN_KEY_SIZE];
	int rc;

	if ((rc = master_keys_open(&process->master_keys, folder, err)) != 0)
		return rc;
	rc = client_token_key(storage_state(process->storage), process->master_keys, key,
		err);
	if (rc != 0)
		return rc;
	credential_use_key(key);
	sodium_memzero(key, sizeof(key));
	finish_rotation(process);
	return passwords_start(&process->passwords, err);
}

int process_open(struct process *process, const struct generation_settings *settings,
	struct err *err)
{
	char spool[4096];
	int rc;

	process->shared = shared_new(SHARED_MAX);
	process->recent = recent_new(RECENT_ENTRIES);
	if ((rc = storage_open(&process->storage, settings->storage, err)) != 0)
		return rc;
	if ((rc = open_secrets(process, settings->storage, err)) != 0)
		return rc;
	rc = health_store_start(&process->health_store, storage_state(process->storage),
		err);
	if (rc != 0)
		return rc;
	snprintf(spool, sizeof(spool), "%s/spool", settings->storage);
	return spools_open(&process->spools, spool, SPOOL_MEMORY_MAX, settings->spool_max,
		err);
}

void process_start_journal(struct process *process,
	const struct generation_settings *settings, size_t worker_count)
{
	struct journal_options options = {
		.worker_count = worker_count,
		.retention = settings->retention,
	};
	struct err err;

	if (!settings->has_journal)
		return;
	if (journal_start(&process->journal, storage_journal(process->storage), &options,
		    &err) != 0)
		log_error("journal", "requests leave no records: %s", err.text);
}

void process_close(struct process *process)
{
	journal_close(process->journal);
	health_store_close(process->health_store);
	passwords_close(process->passwords);
	/* Errands of workers that have ended come back to nobody and are freed. */
	storage_close(process->storage);
	master_keys_close(process->master_keys);
	if (process->spools)
		spools_close(process->spools);
	recent_free(process->recent);
	shared_free(process->shared);
}
