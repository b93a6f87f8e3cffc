/* key_rotate.h - neap key rotate: asks the neap that has the storage folder to rotate its
 * master key, or does it where none has. */
#pragma once

struct options;

/* Returns the exit status once it is done. home: the program's folder. */
int key_rotate(const struct options *options, const char *home);
