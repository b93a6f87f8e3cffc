#include "loader.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "http/listener.h"
#include "script/generation.h"
#include "script/process.h"
#include "script/sources.h"
#include "script/stored.h"
#include "storage/storage.h"

static int count_workers(const struct generation_settings *settings)
{
	int count = settings->worker_count;

	if (!count)
		count = (int)sysconf(_SC_NPROCESSORS_ONLN);
	return count < 1 ? 1 : count > WORKERS_MAX ? WORKERS_MAX : count;
}

static int load_tls(const struct generation_settings *settings, struct tls **tls,
	struct buf *errors)
{
	struct err err;
	int rc;

	if (!settings->certificate)
		return 0;
	rc = tls_new(tls, settings->certificate, settings->key, &err);
	if (rc != 0)
		buf_printf(errors, "%s\n", err.text);
	return rc;
}

int loader_peek(struct loader *loader, struct generation **out, struct buf *errors)
{
	struct sources *sources = sources_new(loader->home, getenv("NEAP_LUA"));
	int rc = generation_peek(out, sources, loader->config, errors);

	sources_free(sources);
	return rc;
}

static int read_stored(struct process *process, struct stored **out, struct buf *errors)
{
	struct err err;
	int rc = stored_read(out, storage_state(process->storage), process->master_keys,
		&err);

	if (rc != 0)
		buf_printf(errors, "the stored configuration could not be read: %s\n",
			err.text);
	return rc;
}

static char *copy_text(const char *text)
{
	return text ? xstrdup(text) : NULL;
}

static struct fixed_settings fix(const struct generation_settings *settings)
{
	return (struct fixed_settings) {
		.listen = copy_text(settings->listen),
		.admin_listen = copy_text(settings->admin_listen),
		.storage = copy_text(settings->storage),
		.worker_count = settings->worker_count,
		.spool_max = settings->spool_max,
		.has_journal = settings->has_journal,
		.has_tls = settings->certificate != NULL,
	};
}

/* Without a token neap serves this machine alone. Lua holds the address that router.lua names
 * now against that; the one that neap listens on is still that of the start. */
static int check_listeners(const struct loader *loader,
	const struct generation_settings *settings, struct buf *errors)
{
	const char *listen = loader->fixed.listen;
	char host[256];
	struct err err;
	int port;

	if (!listen || settings->has_tokens ||
		(address_parse(listen, host, sizeof(host), &port, &err) == 0 &&
			address_is_loopback(host)))
		return 0;
	buf_printf(errors,
		"%s: without a token neap serves loopback only, and it listens on %s until "
		"it is started anew\n",
		loader->config, listen);
	return -EINVAL;
}

int loader_load(struct loader *loader, struct loaded *out, int worker_count,
	struct buf *errors)
{
	struct sources *sources = sources_new(loader->home, getenv("NEAP_LUA"));
	struct stored *stored = NULL;
	uint64_t id = loader->last_id + 1;
	int rc;

	*out = (struct loaded) { 0 };
	if ((rc = read_stored(loader->process, &stored, errors)) != 0)
		goto fail;
	sources_set_stored(sources, stored);
	rc = generation_build(&out->own, sources, GENERATION_CLIENTS, loader->config, id,
		errors);
	if (rc != 0)
		goto fail;
	rc = check_listeners(loader, generation_settings(out->own), errors);
	if (rc != 0)
		goto fail;
	if (!worker_count) {
		loader->has_admin = generation_settings(out->own)->admin_listen != NULL;
		worker_count = count_workers(generation_settings(out->own)) +
			loader->has_admin;
	}
	out->workers = xcalloc((size_t)worker_count, sizeof(struct generation *));
	for (; out->worker_count < worker_count; out->worker_count++) {
		bool is_admin = loader->has_admin &&
			out->worker_count == worker_count - 1;

		rc = generation_build(&out->workers[out->worker_count], sources,
			is_admin ? GENERATION_ADMIN : GENERATION_CLIENTS, loader->config,
			id, errors);
		if (rc != 0)
			goto fail;
	}
	rc = load_tls(generation_settings(out->own), &out->tls, errors);
	if (rc != 0)
		goto fail;
	if (!loader->last_id)
		loader->fixed = fix(generation_settings(out->own));
	loader->last_id = id;
	sources_free(sources);
	stored_free(stored);
	return 0;

fail:
	loaded_clear(out);
	sources_free(sources);
	stored_free(stored);
	return rc;
}

void loaded_clear(struct loaded *loaded)
{
	for (int i = 0; i < loaded->worker_count; i++)
		if (loaded->workers[i])
			generation_unref(loaded->workers[i]);
	free(loaded->workers);
	if (loaded->own)
		generation_unref(loaded->own);
	tls_unref(loaded->tls);
	*loaded = (struct loaded) { 0 };
}

void loader_clear(struct loader *loader)
{
	free(loader->fixed.listen);
	free(loader->fixed.admin_listen);
	free(loader->fixed.storage);
	loader->fixed = (struct fixed_settings) { 0 };
}

void loader_configure_log(const struct generation_settings *settings)
{
	static const char *const levels[] = { "debug", "info", "warn", "error" };
	static const char *const formats[] = { "auto", "text", "json" };
	enum log_level level = LOG_INFO;
	enum log_format format = LOG_AUTO;

	for (size_t i = 0; i < COUNT_OF(levels); i++)
		if (settings->log_level && strcmp(settings->log_level, levels[i]) == 0)
			level = (enum log_level)i;
	for (size_t i = 0; i < COUNT_OF(formats); i++)
		if (settings->log_format && strcmp(settings->log_format, formats[i]) == 0)
			format = (enum log_format)i;
	log_configure(format, level);
}

void loader_log_errors(const struct buf *errors)
{
	char *text = xmemdup(buf_data(errors), buf_size(errors)), *save = NULL;

	for (char *line = strtok_r(text, "\n", &save); line;
		line = strtok_r(NULL, "\n", &save))
		log_error("config", "%s", line);
	free(text);
}

static bool is_same_text(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) == 0 : a == b;
}

void loader_warn_of_fixed(const struct loader *loader,
	const struct generation_settings *now)
{
	const struct fixed_settings *fixed = &loader->fixed;

	if (strcmp(fixed->listen, now->listen) != 0 ||
		!is_same_text(fixed->admin_listen, now->admin_listen) ||
		strcmp(fixed->storage, now->storage) != 0 ||
		fixed->worker_count != now->worker_count ||
		fixed->spool_max != now->spool_max ||
		fixed->has_journal != now->has_journal ||
		fixed->has_tls != (now->certificate != NULL))
		log_warn("config",
			"listen, admin, storage, workers, spool, journal and whether there is "
			"tls change with a restart only");
}

/* True if text has this line. */
static bool has_line(const char *text, const char *line, size_t size)
{
	for (const char *at = text; at && *at;) {
		size_t length = strcspn(at, "\n");

		if (length == size && memcmp(at, line, size) == 0)
			return true;
		at += length + (at[length] == '\n');
	}
	return false;
}

int loader_compare_stored(const struct generation_settings *old,
	const struct generation_settings *now, struct buf *errors)
{
	const char *at = now->stored_problems;

	while (at && *at) {
		size_t size = strcspn(at, "\n");

		if (!has_line(old->stored_problems, at, size))
			buf_printf(errors, "%.*s\n", (int)size, at);
		at += size + (at[size] == '\n');
	}
	return buf_size(errors) ? -EINVAL : 0;
}

void loader_log_stored(const struct generation_settings *settings)
{
	const char *at = settings->stored_problems;

	while (at && *at) {
		size_t size = strcspn(at, "\n");

		log_warn("config", "left out: %.*s", (int)size, at);
		at += size + (at[size] == '\n');
	}
}

void loader_print_errors(const struct buf *errors)
{
	if (buf_size(errors)) /* an empty one has no data at all */
		fwrite(buf_data(errors), 1, buf_size(errors), stderr);
}
