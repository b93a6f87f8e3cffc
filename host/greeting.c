#include "greeting.h"

#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/log.h"
#include "http/listener.h"
#include "options.h"
#include "script/generation.h"

/* The URL of a listener; is_local: as this machine reaches it, where it is on all addresses. */
static void print_url(const char *address, bool is_local, int port, bool is_tls)
{
	char host[256] = "";
	struct err err;
	int ignored;

	if (address_parse(address, host, sizeof(host), &ignored, &err) != 0)
		return;
	if (!*host)
		snprintf(host, sizeof(host), "0.0.0.0");
	if (is_local && strcmp(host, "0.0.0.0") == 0)
		snprintf(host, sizeof(host), "127.0.0.1");
	if (is_local && strcmp(host, "::") == 0)
		snprintf(host, sizeof(host), "::1");
	fprintf(stdout, "http%s://%s%s%s:%d", is_tls ? "s" : "",
		strchr(host, ':') ? "[" : "", host, strchr(host, ':') ? "]" : "", port);
}

/* A line that works as it is, but for the token. No certificate is for an address of this
 * machine, so curl does not ask for one (-k). */
static void print_sample(const struct greeting *greeting,
	const struct generation_settings *settings)
{
	fprintf(stdout, "  curl -N%s ", greeting->is_tls ? "k" : "");
	print_url(settings->listen, true, greeting->port, greeting->is_tls);
	fprintf(stdout,
		"/v1/chat/completions -H 'content-type: application/json' %s"
		"-d '{\"model\": \"%s\", \"stream\": true, "
		"\"messages\": [{\"role\": \"user\", \"content\": \"Hello\"}]}'\n",
		settings->has_tokens ? "-H 'authorization: Bearer TOKEN' " : "",
		settings->sample_group);
}

void greeting_print(const struct greeting *greeting,
	const struct generation_settings *settings)
{
	if (!log_is_text())
		log_info("server", "listening on %s, port %d, workers %d",
			settings->listen, greeting->port, greeting->worker_count);
	fprintf(stdout, "neap %s listens on ", NEAP_VERSION);
	print_url(settings->listen, false, greeting->port, greeting->is_tls);
	fprintf(stdout, " (%d worker%s)\n", greeting->worker_count,
		greeting->worker_count == 1 ? "" : "s");
	if (greeting->admin_port) {
		fprintf(stdout, "The admin side is at ");
		print_url(settings->admin_listen, false, greeting->admin_port,
			greeting->is_tls);
		fprintf(stdout, "\n");
	}
	if (settings->greeting)
		fputs(settings->greeting, stdout);
	if (settings->sample_group)
		print_sample(greeting, settings);
	fflush(stdout);
}
