/* test_run.h - neap test: runs Lua tests, each file in a state of its own, without
 * network.
 *
 * A file uses neap.tap or neap.test; results are printed in the Test Anything Protocol
 * on standard output. */
#pragma once

struct sources;

/* Returns 0 if every test passed, 1 if one failed, a file could not be run,
 * or there was none. */
int test_run(struct sources *sources, char **files, int file_count);
