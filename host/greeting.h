/* greeting.h - what neap serve prints once it listens: where, and a line to try it with. */
#pragma once

#include <stdbool.h>

struct generation_settings;

/* What is known only once the listeners are open. */
struct greeting {
	int port;
	int admin_port; /* 0: there is no admin side */
	int worker_count;
	bool is_tls;
};

/* To standard output; without a terminal to the log, too. */
void greeting_print(const struct greeting *greeting,
	const struct generation_settings *settings);
