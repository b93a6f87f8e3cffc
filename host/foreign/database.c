#include "foreign/database.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sqlite3.h>

#include "base/buf.h"

#define COLUMNS_MAX 200
#define VALUE_MAX (8 * 1024 * 1024) /* bytes of one value */
#define STEPS_MAX (2000 * 1000)     /* thousands of steps of the engine: minutes */
#define STEPS_EACH 1000
#define BUSY_MS 5000
#define TABLE "a table of the database"

struct database {
	sqlite3 *handle;
	long steps; /* of the present query, in thousands */
};

static int fail(struct database *database, int result, const char *what, struct err *err)
{
	switch (result) {
	case SQLITE_NOTADB:
		return err_set(err, -EINVAL, "it is no SQLite database");
	case SQLITE_CORRUPT:
		return err_set(err, -EINVAL, "the database is damaged or incomplete");
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return err_set(err, -EBUSY, "another program holds the database locked");
	case SQLITE_CANTOPEN:
	case SQLITE_READONLY:
		return err_set(err, -EACCES,
			"it cannot be opened: a database with a -wal file beside it needs "
			"that file, in a folder that can be written (copy both)");
	case SQLITE_INTERRUPT:
	case SQLITE_TOOBIG:
		return err_set(err, -E2BIG, "%s is too large to be read", what);
	default:
		return err_set(err, -EINVAL, "%s: %s", what,
			sqlite3_errmsg(database->handle));
	}
}

/* Ends a query that goes on and on: a file can be made for that. */
static int count_steps(void *arg)
{
	struct database *database = arg;

	return ++database->steps > STEPS_MAX;
}

static int harden(struct database *database)
{
	sqlite3 *handle = database->handle;

	sqlite3_limit(handle, SQLITE_LIMIT_LENGTH, VALUE_MAX);
	sqlite3_limit(handle, SQLITE_LIMIT_COLUMN, COLUMNS_MAX);
	sqlite3_limit(handle, SQLITE_LIMIT_ATTACHED, 0);
	sqlite3_limit(handle, SQLITE_LIMIT_WORKER_THREADS, 0);
	sqlite3_progress_handler(handle, STEPS_EACH, count_steps, database);
	sqlite3_busy_timeout(handle, BUSY_MS);
	return sqlite3_db_config(handle, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL) ||
		sqlite3_db_config(handle, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL) ||
		sqlite3_db_config(handle, SQLITE_DBCONFIG_ENABLE_TRIGGER, 0, NULL) ||
		sqlite3_db_config(handle, SQLITE_DBCONFIG_ENABLE_VIEW, 0, NULL);
}

/* The first reading: until then the engine has not looked at the file. */
static int begin(struct database *database)
{
	int result = sqlite3_exec(database->handle, "PRAGMA cell_size_check=1", NULL,
		NULL, NULL);

	if (!result)
		result = sqlite3_exec(database->handle, "BEGIN", NULL, NULL, NULL);
	if (!result)
		result = sqlite3_exec(database->handle,
			"SELECT count(*) FROM sqlite_master", NULL, NULL, NULL);
	return result;
}

/* Whether the file keeps its latest changes in a -wal file beside it, and there is none: then
 * nobody has it open, and all of it is in the file itself. */
static bool is_closed_wal(const char *path)
{
	static const char magic[] = "SQLite format 3"; /* and its terminator */
	unsigned char head[20];
	struct buf wal = { 0 };
	bool is_closed = false;
	FILE *file = fopen(path, "rb");

	if (!file)
		return false;
	if (fread(head, sizeof(head), 1, file) == 1 &&
		memcmp(head, magic, sizeof(magic)) == 0 && head[18] == 2 &&
		head[19] == 2) {
		buf_printf(&wal, "%s-wal", path);
		buf_append(&wal, "", 1);
		is_closed = access(buf_data(&wal), F_OK) != 0 && errno == ENOENT;
	}
	buf_clear(&wal);
	(void)fclose(file);
	return is_closed;
}

/* "file:/some%20path?immutable=1" */
static void write_uri(struct buf *uri, const char *path)
{
	buf_append_text(uri, "file:");
	for (const char *at = path; *at; at++) {
		if (isalnum((unsigned char)*at) || strchr("/._-", *at))
			buf_append(uri, at, 1);
		else
			buf_printf(uri, "%%%02X", (unsigned char)*at);
	}
	buf_append_text(uri, "?immutable=1");
	buf_append(uri, "", 1);
}

/* A closed database whose changes go to a -wal file is opened as one that nobody changes: else
 * the engine would make that file and another one beside it, for which it needs a folder that
 * it can write to, and leave them there, where they may keep their owner out. */
static int open_handle(sqlite3 **handle, const char *path)
{
	char *real = realpath(path, NULL);
	struct buf uri = { 0 };
	int result;

	if (real && is_closed_wal(real)) {
		write_uri(&uri, real);
		result = sqlite3_open_v2(buf_data(&uri), handle,
			SQLITE_OPEN_READONLY | SQLITE_OPEN_URI, NULL);
	} else {
		result = sqlite3_open_v2(path, handle, SQLITE_OPEN_READONLY, NULL);
	}
	buf_clear(&uri);
	free(real);
	return result;
}

int database_open(struct database **out, const char *path, struct err *err)
{
	struct database *database;
	int result, rc;

	/* The engine's own words for these are the same for all of them. */
	if (access(path, R_OK) != 0)
		return err_set(err, -errno, "%s", strerror(errno));
	database = xcalloc(1, sizeof(*database));
	result = open_handle(&database->handle, path);
	if (!result)
		result = harden(database);
	if (!result)
		result = begin(database);
	if (!result) {
		*out = database;
		return 0;
	}
	rc = fail(database, result & 0xff, "it cannot be opened", err);
	database_close(database);
	return rc;
}

static struct database_value value_at(sqlite3_stmt *statement, int column)
{
	struct database_value value = { DATABASE_NULL, 0, NULL, 0 };

	switch (sqlite3_column_type(statement, column)) {
	case SQLITE_INTEGER:
		value.kind = DATABASE_INTEGER;
		value.number = (double)sqlite3_column_int64(statement, column);
		break;
	case SQLITE_FLOAT:
		value.kind = DATABASE_REAL;
		value.number = sqlite3_column_double(statement, column);
		break;
	case SQLITE_TEXT:
	case SQLITE_BLOB:
		value.kind = DATABASE_TEXT;
		value.text = sqlite3_column_blob(statement, column);
		value.size = (size_t)sqlite3_column_bytes(statement, column);
		value.text = value.text ? value.text : "";
		break;
	default:
		break;
	}
	return value;
}

/* Up to limit rows: SQLITE_ROW, or SQLITE_OK at their end. */
static int read_rows(sqlite3_stmt *statement, size_t limit, database_row_fn *fn,
	void *arg)
{
	const char *names[COLUMNS_MAX];
	struct database_value values[COLUMNS_MAX];
	int count = sqlite3_column_count(statement), result = SQLITE_ROW;
	size_t rows = 0, bytes = 0;

	for (int i = 0; i < count; i++)
		names[i] = sqlite3_column_name(statement, i);
	while (rows < limit && (result = sqlite3_step(statement)) == SQLITE_ROW) {
		for (int i = 0; i < count; i++) {
			values[i] = value_at(statement, i);
			bytes += values[i].size + sizeof(values[i]);
		}
		if (bytes > DATABASE_BYTES_MAX)
			return SQLITE_TOOBIG;
		fn(names, values, count, arg);
		rows++;
	}
	return result == SQLITE_DONE ? SQLITE_OK : result;
}

int database_query(struct database *database, const char *sql, database_row_fn *fn,
	void *arg, struct err *err)
{
	sqlite3_stmt *statement = NULL;
	int result;

	database->steps = 0;
	result = sqlite3_prepare_v2(database->handle, sql, -1, &statement, NULL);
	if (!result)
		result = read_rows(statement, DATABASE_ROWS_MAX, fn, arg);
	/* No row more than there may be. */
	if (result == SQLITE_ROW)
		result = sqlite3_step(statement) == SQLITE_DONE ? SQLITE_OK
								: SQLITE_TOOBIG;
	sqlite3_finalize(statement);
	return result ? fail(database, result & 0xff, TABLE, err) : 0;
}

/* -- pages -------------------------------------------------------------------------- */

struct database_rows {
	struct database *database;
	sqlite3_stmt *statement;
	bool is_over;
};

int database_rows_open(struct database_rows **out, struct database *database,
	const char *sql, struct err *err)
{
	sqlite3_stmt *statement;
	int result = sqlite3_prepare_v2(database->handle, sql, -1, &statement, NULL);

	if (result)
		return fail(database, result & 0xff, TABLE, err);
	*out = xcalloc(1, sizeof(**out));
	**out = (struct database_rows) { database, statement, false };
	return 0;
}

int database_rows_page(struct database_rows *rows, int count, database_row_fn *fn,
	void *arg, bool *is_over, struct err *err)
{
	int result = SQLITE_OK;

	rows->database->steps = 0;
	if (!rows->is_over)
		result = read_rows(rows->statement, (size_t)count, fn, arg);
	rows->is_over = *is_over = result != SQLITE_ROW;
	if (result == SQLITE_OK || result == SQLITE_ROW)
		return 0;
	return fail(rows->database, result & 0xff, TABLE, err);
}

void database_rows_close(struct database_rows *rows)
{
	if (!rows)
		return;
	sqlite3_finalize(rows->statement);
	free(rows);
}

void database_close(struct database *database)
{
	if (!database)
		return;
	sqlite3_close(database->handle);
	free(database);
}
