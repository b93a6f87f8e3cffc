#include "greeting.h"

#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/log.h"
#include "http/listener.h"
#include "options.h"
#include "script/generation.h"

/* The URL of a listener, for a browser on this machine. */
static void print_url(const char *address, int port, bool is_tls)
{
	char host[256] = "";
	struct err err;
	int ignored;

	if (address_parse(address, host, sizeof(host), &ignored, &err) != 0)
		return;
	fprintf(stdout, "http%s://%s%s%s:%d", is_tls ? "s" : "",
		strchr(host, ':') ? "[" : "", *host ? host : "0.0.0.0",
		strchr(host, ':') ? "]" : "", port);
}

void greeting_print(const struct greeting *greeting,
	const struct generation_settings *settings)
{
	if (!log_is_text())
		log_info("server", "listening on %s, port %d, workers %d",
			settings->listen, greeting->port, greeting->worker_count);
	fprintf(stdout, "neap %s listens on ", NEAP_VERSION);
	print_url(settings->listen, greeting->port, greeting->is_tls);
	fprintf(stdout, " (%d worker%s)\n", greeting->worker_count,
		greeting->worker_count == 1 ? "" : "s");
	if (greeting->admin_port) {
		fprintf(stdout, "The admin side is at ");
		print_url(settings->admin_listen, greeting->admin_port, greeting->is_tls);
		fprintf(stdout, "\n");
	}
	if (settings->greeting)
		fprintf(stdout,
			"%s  curl -N http%s://127.0.0.1:%d/v1/chat/completions "
			"-H 'content-type: application/json' "
			"-d '{\"model\": \"echo\", \"stream\": true, "
			"\"messages\": [{\"role\": \"user\", \"content\": \"Hello\"}]}'\n",
			settings->greeting, greeting->is_tls ? "s" : "", greeting->port);
	fflush(stdout);
}
