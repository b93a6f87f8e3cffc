/* index.h - under which values a record is found.
 *
 * This is the one place that says so: who writes the index, who asks it and who clears it
 * all take the values from here. Another dimension is a line in the enum and a line in
 * index_values(). A record has each value of a dimension once. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "storage/key.h"
#include "storage/record.h"

/* The numbers are on disk. */
enum index_dimension {
	INDEX_TOKEN = 1,
	INDEX_GROUP = 2,
	INDEX_PROVIDER = 3, /* the answer's and those of all attempts */
	INDEX_MODEL = 4,    /* the same, and the one that was asked for */
	INDEX_KEY = 5,      /* as the provider */
	INDEX_OUTCOME = 6,
	INDEX_STATUS_CLASS = 7, /* 0 to 5 */
	INDEX_CONVERSATION = 8,
	INDEX_ID = 9, /* the span of time in which the id was made */
	INDEX_DIMENSIONS,
};

struct index_value {
	enum index_dimension dimension;
	struct bytes text; /* empty: there is none, and nothing to look for */
};

#define INDEX_VALUES_MAX (3 * (RECORD_ATTEMPTS_MAX + 1) + 7)

struct index_values {
	size_t count;
	struct index_value values[INDEX_VALUES_MAX];
};

/* The texts borrow from the record, the id's from the struct itself. */
void index_values(const struct record *record, struct index_values *values);

/* The values of one dimension by what they stand for; static. */
struct bytes index_outcome(enum record_outcome outcome);
struct bytes index_status_class(int status_class);
/* Borrows from id. Ids of the same 256 ms have one value: where there are many, that is a
 * small part of the rows that a value for each would take. */
struct bytes index_id(const unsigned char id[16]);
