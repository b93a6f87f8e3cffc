/* folder.h - folders of ours: made, made to last, and kept to one process. */
#pragma once

#include "base/err.h"

/* Makes the folder and those above it, 0700; one that is there stays as it is. */
MUST_CHECK
int folder_make(const char *path, struct err *err);
/* What was made in it, renamed or removed survives a loss of power. */
MUST_CHECK
int folder_sync(const char *path, struct err *err);
/* The number of the process that holds the folder; 0: nobody is known to. */
int folder_owner(const char *path);
/* Returns a descriptor that holds the folder for this process until it is closed, or
 * -EBUSY with the other process's number in the text. */
MUST_CHECK
int folder_lock(const char *path, struct err *err);
