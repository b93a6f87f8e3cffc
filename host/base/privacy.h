/* privacy.h - no other process gets to see the memory of this one, which holds keys.
 *
 * A crash writes no core, and whoever is not root can neither attach a debugger nor read
 * /proc/PID/mem. With NEAP_DUMPABLE=1 in the environment everything stays as it is, for
 * those who look for a crash. It hides nothing from root, and nothing that is swapped. */
#pragma once

#include <stdbool.h>

/* For the whole process, and once, before there are secrets. False where the system does
 * not let it, or the environment does not want it. */
bool privacy_begin(void);
