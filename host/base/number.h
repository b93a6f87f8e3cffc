/* number.h - whole numbers as text, for paths that are too hot for printf. Any thread. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define NUMBER_ROOM 20 /* bytes of the longest text */

/* Writes number to room, without a NUL, and returns the bytes of its text. */
size_t number_write(char room[NUMBER_ROOM], uint64_t number);
/* The same to the base of 16, with small letters. */
size_t number_write_hex(char room[NUMBER_ROOM], uint64_t number);
