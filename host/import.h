/* import.h - `neap import`: takes over what another router has, also beside a running neap. */
#pragma once

struct options;

/* Works out what the files hold (script/import_run.h) and writes it to the state store in one
 * transaction: all of it or nothing. Then the calls in their logs go to the journal, in many.
 * Where a neap holds the stores, they are written beside it, and that neap is asked to load what
 * is new (SIGHUP). home: the program's folder. Returns the exit status. */
int import_files(const struct options *options, const char *home);
