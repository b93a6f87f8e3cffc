/* server.h - neap serve: the workers, and the main thread that loads,
 * reloads and ends them. */
#pragma once

struct options;

/* Returns the exit status of the process. home: the program's folder. */
int server_run(const struct options *options, const char *home);
/* neap check: prints every error; returns the exit status. */
int server_check(const struct options *options, const char *home);
