/* database.h - a SQLite file of another program's, read and never written.
 *
 * What is in it is not trusted: no view, trigger or function of its own runs, and a query that
 * takes too long, or gives more than it may, fails. All queries of one opening see the same
 * state of it, also while its owner goes on writing. One thread at a time. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

struct database;

enum database_kind { DATABASE_NULL, DATABASE_INTEGER, DATABASE_REAL, DATABASE_TEXT };

/* Of one column in one row; the text (a blob, too) is good until the function returns. */
struct database_value {
	enum database_kind kind;
	double number;
	const char *text;
	size_t size;
};

/* Called for each row, with the names of the columns, which stay the same. */
typedef void database_row_fn(const char *const *names,
	const struct database_value *values, int count, void *arg);

/* -ENOENT, -EACCES: the file; -EINVAL: it is no SQLite database, or a damaged one. */
MUST_CHECK
int database_open(struct database **out, const char *path, struct err *err);
/* Runs one query, which is the program's own and no part of the file. The function must not
 * raise. -E2BIG: more than DATABASE_ROWS_MAX rows or DATABASE_BYTES_MAX bytes. */
MUST_CHECK
int database_query(struct database *database, const char *sql, database_row_fn *fn,
	void *arg, struct err *err);
/* The same a page at a time, for tables of any size; sql is copied. One that is open must be
 * closed before its database. NULL is fine. */
struct database_rows;
MUST_CHECK
int database_rows_open(struct database_rows **out, struct database *database,
	const char *sql, struct err *err);
/* Up to count rows; *is_over: there are no more. Bounded as database_query(). */
MUST_CHECK
int database_rows_page(struct database_rows *rows, int count, database_row_fn *fn,
	void *arg, bool *is_over, struct err *err);
void database_rows_close(struct database_rows *rows);
/* NULL is fine. */
void database_close(struct database *database);

#define DATABASE_ROWS_MAX 200000
#define DATABASE_BYTES_MAX (64 * 1024 * 1024)
