/* password.h - passwords: hashed and checked by argon2id, one at a time.
 *
 * A hash costs a tenth of a second and 64 MiB on purpose, so that it has a thread of its
 * own with a short queue: whoever floods the login waits for himself, not for the
 * proxy. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "storage/job.h"

#define PASSWORD_MAX 1024      /* bytes of a password */
#define PASSWORD_HASH_SIZE 128 /* text with a NUL behind it */

struct passwords;

struct password_job {
	struct job job; /* done, post and loop are the asker's to set */
	/* Filled by password_hash() or password_check(); wiped before done is called. */
	char password[PASSWORD_MAX];
	size_t password_size;
	bool is_check;
	/* What password_hash() made, or what password_check() compares with. */
	char hash[PASSWORD_HASH_SIZE];
	bool is_right; /* the result of a check */
	bool is_weak;  /* right, but hashed with less than is usual now: hash it again */
};

MUST_CHECK
int passwords_start(struct passwords **out, struct err *err);
/* -EMSGSIZE: too long; else as job_thread_submit(). The password is copied. */
MUST_CHECK
int password_hash(struct passwords *passwords, struct password_job *job,
	const char *password, size_t size, struct err *err);
/* hash NULL: there is no such user. It takes as long and is never right. */
MUST_CHECK
int password_check(struct passwords *passwords, struct password_job *job,
	const char *password, size_t size, const char *hash, struct err *err);
/* As job_thread_close(). */
void passwords_close(struct passwords *passwords);
