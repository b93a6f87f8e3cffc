/* record_id.h - the id of a record as text: 0192f7a0-5c1e-7b3a-9d55-1f0e6a7b8c9d. */
#pragma once

#include <stdint.h>

#include "base/mem.h"
#include "storage/key.h"

#define RECORD_ID_TEXT 36 /* bytes, without a NUL */

/* A UUIDv7 of a moment (microseconds since 1970) that is the same for the same moment and
 * seed: of what another program wrote, and may be read twice. */
void record_id_make(unsigned char id[16], int64_t time_us, struct bytes seed);
void record_id_write(const unsigned char id[16], char text[RECORD_ID_TEXT]);
/* Hexadecimal digits in any case. -EINVAL: it is none. */
MUST_CHECK
int record_id_read(struct bytes text, unsigned char id[16]);
