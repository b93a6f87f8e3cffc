#include "storage/password.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "base/mem.h"

#define QUEUE_MAX 16 /* a second or two of logins */
#define OPERATIONS crypto_pwhash_OPSLIMIT_INTERACTIVE
#define MEMORY crypto_pwhash_MEMLIMIT_INTERACTIVE

_Static_assert(PASSWORD_HASH_SIZE >= crypto_pwhash_STRBYTES, "room for a hash");

struct passwords {
	struct job_thread *jobs;
	/* The hash of users who do not exist; the thread's, made with the first job. */
	char nobody[PASSWORD_HASH_SIZE];
};

static int make_hash(char hash[PASSWORD_HASH_SIZE], const char *password, size_t size,
	struct err *err)
{
	if (crypto_pwhash_str(hash, password, size, OPERATIONS, MEMORY) != 0)
		return err_set(err, -ENOMEM, "no memory to hash a password");
	return 0;
}

/* Of nothing that anybody knows. */
static void make_nobody(struct passwords *passwords)
{
	char nothing[16];

	if (passwords->nobody[0])
		return;
	randombytes_buf(nothing, sizeof(nothing));
	if (make_hash(passwords->nobody, nothing, sizeof(nothing), NULL) != 0)
		passwords->nobody[0] = '\0';
}

static void work(struct list *jobs, void *arg)
{
	struct password_job *job = CONTAINER_OF(jobs->next, struct password_job,
		job.link);
	struct passwords *passwords = arg;

	make_nobody(passwords);
	if (job->is_check) {
		bool is_known = job->hash[0] != '\0';
		const char *hash = is_known ? job->hash : passwords->nobody;

		job->is_right = crypto_pwhash_str_verify(hash, job->password,
					job->password_size) == 0 &&
			is_known;
		job->is_weak = job->is_right &&
			crypto_pwhash_str_needs_rehash(hash, OPERATIONS, MEMORY) != 0;
	} else {
		job->job.rc = make_hash(job->hash, job->password, job->password_size,
			&job->job.err);
	}
	sodium_memzero(job->password, sizeof(job->password));
}

int passwords_start(struct passwords **out, struct err *err)
{
	struct passwords *passwords = xcalloc(1, sizeof(*passwords));
	struct job_thread_options options = {
		.name = "passwords",
		.queue_max = QUEUE_MAX,
		.batch_max = 1,
		.is_background = true,
		.work = work,
		.arg = passwords,
	};
	int rc;

	if (sodium_init() < 0) {
		free(passwords);
		return err_set(err, -EIO, "there is no source of random bytes");
	}
	rc = job_thread_start(&passwords->jobs, &options, err);
	if (rc) {
		free(passwords);
		return rc;
	}
	*out = passwords;
	return 0;
}

static int submit(struct passwords *passwords, struct password_job *job,
	const char *password, size_t size, struct err *err)
{
	int rc;

	if (size > sizeof(job->password))
		return err_set(err, -EMSGSIZE, "a password has %d bytes at most",
			PASSWORD_MAX);
	job->is_right = false;
	job->is_weak = false;
	memcpy(job->password, password, size);
	job->password_size = size;
	rc = job_thread_submit(passwords->jobs, &job->job, err);
	if (rc)
		sodium_memzero(job->password, sizeof(job->password));
	return rc;
}

int password_hash(struct passwords *passwords, struct password_job *job,
	const char *password, size_t size, struct err *err)
{
	job->is_check = false;
	job->hash[0] = '\0';
	return submit(passwords, job, password, size, err);
}

int password_check(struct passwords *passwords, struct password_job *job,
	const char *password, size_t size, const char *hash, struct err *err)
{
	job->is_check = true;
	/* A hash that is longer than any is none. */
	snprintf(job->hash, sizeof(job->hash), "%s", hash ? hash : "");
	return submit(passwords, job, password, size, err);
}

void passwords_close(struct passwords *passwords)
{
	if (!passwords)
		return;
	job_thread_close(passwords->jobs);
	free(passwords);
}
