/* Secrets for Lua: sealing, passwords and tokens. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "script/api.h"
#include "script/credential.h"
#include "script/errand.h"
#include "script/modules.h"
#include "script/process.h"
#include "script/script.h"
#include "script/state.h"
#include "script/stored.h"
#include "storage/client_token.h"
#include "storage/password.h"
#include "storage/secret.h"

#define VARIANT sodium_base64_VARIANT_ORIGINAL

/* -- sealing ------------------------------------------------------------------------ */

/* Those of the admin's worker and of a load; raises anywhere else. */
static struct master_keys *check_master_keys(lua_State *L)
{
	struct script *script = state_data(state_of(L));
	const struct stored *stored = script ? NULL : modules_stored(L);
	struct master_keys *keys = stored ? stored_master_keys(stored) : NULL;

	if (script && script->is_admin)
		keys = script->process->master_keys;
	if (!keys)
		luaL_error(L, "secrets are not opened here");
	return keys;
}

static struct secret_place check_place(lua_State *L)
{
	struct secret_place place = { luaL_checkstring(L, 1), luaL_checkstring(L, 2) };

	return place;
}

/* seal(record, field, secret) -> sealed, base64 | nil, why */
static int l_seal(lua_State *L)
{
	struct master_keys *keys = check_master_keys(L);
	struct secret_place place = check_place(L);
	size_t size;
	const char *secret = luaL_checklstring(L, 3, &size);
	unsigned char *sealed;
	struct err err;
	char *text;

	luaL_argcheck(L, size <= SECRET_MAX, 3, "a secret has 64 KiB at most");
	sealed = lua_newuserdata(L, size + SECRET_OVERHEAD);
	text = lua_newuserdata(L,
		sodium_base64_ENCODED_LEN(size + SECRET_OVERHEAD, VARIANT));
	if (secret_seal(keys, &place, secret, size, sealed, &err) != 0) {
		lua_pushnil(L);
		lua_pushstring(L, err.text);
		return 2;
	}
	sodium_bin2base64(text,
		sodium_base64_ENCODED_LEN(size + SECRET_OVERHEAD, VARIANT), sealed,
		size + SECRET_OVERHEAD, VARIANT);
	lua_pushstring(L, text);
	return 1;
}

/* unseal(record, field, sealed) -> secret | nil, why */
static int l_unseal(lua_State *L)
{
	struct master_keys *keys = check_master_keys(L);
	struct secret_place place = check_place(L);
	size_t size, sealed_size, secret_size;
	const char *text = luaL_checklstring(L, 3, &size);
	unsigned char *sealed = lua_newuserdata(L, size + 1);
	struct err err;
	char *secret;

	if (sodium_base642bin(sealed, size + 1, text, size, NULL, &sealed_size, NULL,
		    VARIANT) != 0)
		sealed_size = 0; /* which is no sealed secret either */
	secret = secret_open(keys, &place, (struct bytes) { sealed, sealed_size },
		&secret_size, &err);
	if (!secret) {
		lua_pushnil(L);
		lua_pushstring(L, err.text);
		return 2;
	}
	/* A plain copy may raise for want of memory: then the secret is lost, not shown. */
	lua_pushlstring(L, secret, secret_size);
	secret_free(secret, secret_size);
	return 1;
}

/* -- passwords ---------------------------------------------------------------------- */

struct password_errand {
	struct errand errand;
	struct password_job job;
};

static void free_password(struct errand *errand)
{
	sodium_memzero(errand, sizeof(struct password_errand));
	free(errand);
}

static int push_password(lua_State *L, struct errand *errand)
{
	const struct password_job *job = &((struct password_errand *)errand)->job;

	if (job->job.rc) {
		lua_pushnil(L);
		lua_pushstring(L, job->job.rc == -EAGAIN ? "busy" : "failed");
		return 2;
	}
	if (!job->is_check) {
		lua_pushstring(L, job->hash);
		return 1;
	}
	lua_pushboolean(L, job->is_right);
	lua_pushboolean(L, job->is_weak);
	return 2;
}

static struct passwords *check_passwords(lua_State *L)
{
	struct passwords *passwords = api_script(L)->process->passwords;

	if (!passwords)
		luaL_error(L, "this neap has no passwords");
	return passwords;
}

static const char *check_password(lua_State *L, int index, size_t *size)
{
	const char *password = luaL_checklstring(L, index, size);

	luaL_argcheck(L, *size <= PASSWORD_MAX, index,
		"a password has 1024 bytes at most");
	return password;
}

static struct password_errand *new_errand(lua_State *L)
{
	struct password_errand *errand;

	errand_check(L);
	errand = xcalloc(1, sizeof(*errand));
	errand_init(L, &errand->errand, &errand->job.job, push_password, free_password);
	return errand;
}

/* password_hash(text) -> hash | nil, "busy" or "failed". Waits. */
static int l_password_hash(lua_State *L)
{
	struct passwords *passwords = check_passwords(L);
	struct password_errand *errand;
	size_t size;
	const char *password = check_password(L, 1, &size);

	errand = new_errand(L);
	return errand_wait(L, &errand->errand,
		password_hash(passwords, &errand->job, password, size,
			&errand->job.job.err));
}

/* password_verify(hash | nil, text) -> is_right, is_weak | nil, "busy" or "failed". Without
 * a hash (no such user) it takes as long and is false. Waits. */
static int l_password_verify(lua_State *L)
{
	struct passwords *passwords = check_passwords(L);
	const char *hash = luaL_optstring(L, 1, NULL);
	struct password_errand *errand;
	size_t size;
	const char *password = check_password(L, 2, &size);

	errand = new_errand(L);
	return errand_wait(L, &errand->errand,
		password_check(passwords, &errand->job, password, size, hash,
			&errand->job.job.err));
}

/* -- tokens ------------------------------------------------------------------------- */

/* token_new() -> text, digest */
static int l_token_new(lua_State *L)
{
	unsigned char digest[CREDENTIAL_DIGEST];
	char token[CLIENT_TOKEN_SIZE + 1];

	client_token_make(token);
	credential_digest(digest, token, CLIENT_TOKEN_SIZE);
	lua_pushlstring(L, token, CLIENT_TOKEN_SIZE);
	sodium_memzero(token, sizeof(token));
	lua_pushlstring(L, (const char *)digest, sizeof(digest));
	return 2;
}

static const luaL_Reg functions[] = {
	{ "seal", l_seal },
	{ "unseal", l_unseal },
	{ "password_hash", l_password_hash },
	{ "password_verify", l_password_verify },
	{ "token_new", l_token_new },
	{ NULL, NULL },
};

void api_secret_register(lua_State *L)
{
	luaL_register(L, NULL, functions);
}
