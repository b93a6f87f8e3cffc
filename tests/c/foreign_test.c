/* Files of other programs: YAML as JSON, and SQLite databases that are only read. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <sqlite3.h>

#include "foreign/database.h"
#include "foreign/yaml.h"
#include "storage_place.h"

static char place[128];

/* -- YAML -------------------------------------------------------------------------- */

static void assert_json(const char *yaml, const char *json)
{
	struct buf out = { 0 };
	struct err err = { "" };

	if (yaml_to_json(yaml, strlen(yaml), &out, &err) != 0)
		fail_msg("%s: %s", yaml, err.text);
	buf_append(&out, "", 1);
	assert_string_equal(buf_data(&out), json);
	buf_clear(&out);
}

static void assert_refused(const char *yaml, int rc, const char *part)
{
	struct buf out = { 0 };
	struct err err = { "" };

	assert_int_equal(yaml_to_json(yaml, strlen(yaml), &out, &err), rc);
	if (!strstr(err.text, part))
		fail_msg("\"%s\" is not in \"%s\"", part, err.text);
	buf_clear(&out);
}

static void documents_become_json(void **state)
{
	(void)state;
	assert_json("", "null");
	assert_json("# nothing\n", "null");
	assert_json("a: 1\nb: [x, 'y', \"z\\n\"]\n",
		"{\"a\":1,\"b\":[\"x\",\"y\",\"z\\n\"]}");
	assert_json("- {}\n- []\n- ~\n- ''\n", "[{},[],null,\"\"]");
	assert_json("a: yes\nb: Off\nc: 'yes'\nd: null\n",
		"{\"a\":true,\"b\":false,\"c\":\"yes\",\"d\":null}");
	assert_json("[1, -0.5, 1e-05, 0x10, 1_000, 007, .5, 1.]",
		"[1,-0.5,1e-05,\"0x10\",\"1_000\",\"007\",\".5\",\"1.\"]");
	assert_json("a: |\n  two\n  lines\n", "{\"a\":\"two\\nlines\\n\"}");
	assert_json("1: !!str 2\n", "{\"1\":2}");
	assert_json("---\na\n---\nb\n", "\"a\"");
}

static void aliases_and_merges_are_followed(void **state)
{
	(void)state;
	assert_json("a: &a [1]\nb: *a\n", "{\"a\":[1],\"b\":[1]}");
	/* Of equal names the last counts: its own come behind what is merged. */
	assert_json("a: &a {x: 1, y: 2}\nb: {y: 3, <<: *a}\n",
		"{\"a\":{\"x\":1,\"y\":2},\"b\":{\"x\":1,\"y\":2,\"y\":3}}");
	assert_json("a: &a {x: 1}\nb: &b {x: 2}\nc: {<<: [*a, *b]}\n",
		"{\"a\":{\"x\":1},\"b\":{\"x\":2},\"c\":{\"x\":2,\"x\":1}}");
	assert_json("a: {'<<': 1}\n", "{\"a\":{\"<<\":1}}");
}

static void what_is_no_yaml_is_told_with_its_line(void **state)
{
	(void)state;
	assert_refused("a: 1\nb: [\n", -EINVAL, "line 3: it is no YAML");
	assert_refused("a: *nobody\n", -EINVAL, "line 1: it is no YAML");
	assert_refused("{[1]: 2}", -EINVAL, "line 1: a name must be a text");
	assert_refused("a:\n  <<: 3\n", -EINVAL, "line 2: << takes a mapping");
	assert_refused("a: \xff\xfe\n", -EINVAL, "it is no YAML");
}

static void what_goes_on_and_on_is_refused(void **state)
{
	char text[1200] = "a: &a [x, x, x, x, x, x, x, x, x, x]\n";
	char deep[200];

	(void)state;
	for (char name = 'b'; name < 'j'; name++) {
		char line[100];

		snprintf(line, sizeof(line),
			"%c: &%c [*%c, *%c, *%c, *%c, *%c, *%c, *%c, *%c, *%c]\n", name,
			name, name - 1, name - 1, name - 1, name - 1, name - 1, name - 1,
			name - 1, name - 1, name - 1);
		strcat(text, line);
	}
	assert_refused(text, -E2BIG, "says too much");
	assert_refused("&a [*a]", -E2BIG, "nests too deep");
	assert_refused("&a {b: 1, <<: *a}", -E2BIG, "nests too deep");
	memset(deep, '[', 60);
	memset(deep + 60, ']', 60);
	deep[120] = '\0';
	assert_refused(deep, -E2BIG, "nests too deep");
}

/* -- SQLite ------------------------------------------------------------------------ */

static const char *path_of(const char *name)
{
	static char path[200];

	snprintf(path, sizeof(path), "%s/%s", place, name);
	return path;
}

static const char *make_database(const char *sql)
{
	const char *path = path_of("made.db");
	sqlite3 *handle;

	remove(path);
	assert_int_equal(sqlite3_open(path, &handle), SQLITE_OK);
	if (sqlite3_exec(handle, sql, NULL, NULL, NULL) != SQLITE_OK)
		fail_msg("%s: %s", sql, sqlite3_errmsg(handle));
	sqlite3_close(handle);
	return path;
}

static struct database *open_database(const char *path)
{
	struct database *database = NULL;
	struct err err = { "" };

	if (database_open(&database, path, &err) != 0)
		fail_msg("%s", err.text);
	return database;
}

/* Rows as "name=kind:value …;". */
static void note_row(const char *const *names, const struct database_value *values,
	int count, void *arg)
{
	struct buf *out = arg;

	for (int i = 0; i < count; i++) {
		buf_printf(out, "%s%s=", i ? " " : "", names[i]);
		if (values[i].kind == DATABASE_TEXT)
			buf_append(out, values[i].text, values[i].size);
		else if (values[i].kind != DATABASE_NULL)
			buf_printf(out, "%g", values[i].number);
	}
	buf_append_text(out, ";");
}

static int query(struct database *database, const char *sql, char text[256])
{
	struct buf out = { 0 };
	struct err err = { "" };
	int rc = database_query(database, sql, note_row, &out, &err);

	buf_append(&out, "", 1);
	snprintf(text, 256, "%.255s", rc ? err.text : buf_data(&out));
	buf_clear(&out);
	return rc;
}

static void rows_come_with_their_types(void **state)
{
	struct database *database = open_database(make_database(
		"CREATE TABLE t (a, b); INSERT INTO t VALUES (1, 2.5), (NULL, 'x'), "
		"(x'6162', '')"));
	char text[256];

	(void)state;
	assert_int_equal(query(database, "SELECT * FROM t", text), 0);
	assert_string_equal(text, "a=1 b=2.5;a= b=x;a=ab b=;");
	assert_int_equal(query(database, "SELECT a FROM t WHERE 0", text), 0);
	assert_string_equal(text, "");
	assert_int_equal(query(database, "SELECT nothing FROM t", text), -EINVAL);
	assert_int_equal(query(database, "SELECT * FROM t", text), 0);
	database_close(database);
}

static void a_table_of_any_size_is_read_in_pages(void **state)
{
	struct database *database = open_database(make_database(
		"CREATE TABLE t (a); INSERT INTO t WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL "
		"SELECT i + 1 FROM n WHERE i < 300000) SELECT i FROM n"));
	struct database_rows *rows;
	struct err err = { "" };
	long pages = 0, size = 0;
	bool is_over = false;

	(void)state;
	assert_int_equal(database_rows_open(&rows, database, "SELECT b FROM t", &err),
		-EINVAL);
	assert_int_equal(database_rows_open(&rows, database, "SELECT a FROM t", &err), 0);
	for (; !is_over; pages++) {
		struct buf out = { 0 };

		assert_int_equal(database_rows_page(rows, 7000, note_row, &out, &is_over,
					 &err),
			0);
		buf_append(&out, "", 1);
		for (const char *at = buf_data(&out); (at = strchr(at, ';')); at++)
			size++;
		buf_clear(&out);
	}
	assert_int_equal(size, 300000);
	assert_int_equal(pages, 43);
	assert_int_equal(database_rows_page(rows, 7, note_row, NULL, &is_over, &err), 0);
	assert_true(is_over);
	database_rows_close(rows);
	database_close(database);
}

static void nothing_is_written_or_run(void **state)
{
	struct database *database = open_database(
		make_database("CREATE TABLE t (a); CREATE VIEW v AS SELECT 1 AS a; "
			      "INSERT INTO t VALUES (1)"));
	char text[256];

	(void)state;
	assert_int_not_equal(query(database, "INSERT INTO t VALUES (2)", text), 0);
	assert_int_not_equal(query(database, "SELECT * FROM v", text), 0);
	assert_int_not_equal(query(database, "ATTACH 'other.db' AS other", text), 0);
	assert_int_equal(query(database, "SELECT count(*) AS n FROM t", text), 0);
	assert_string_equal(text, "n=1;");
	database_close(database);
}

static void all_queries_see_one_state(void **state)
{
	const char *path = make_database("PRAGMA journal_mode=WAL; CREATE TABLE t (a); "
					 "INSERT INTO t VALUES (1)");
	struct database *database = open_database(path);
	sqlite3 *owner;
	char text[256];

	(void)state;
	assert_int_equal(sqlite3_open(path, &owner), SQLITE_OK);
	assert_int_equal(sqlite3_exec(owner, "INSERT INTO t VALUES (2)", NULL, NULL,
				 NULL),
		SQLITE_OK);
	assert_int_equal(query(database, "SELECT count(*) AS n FROM t", text), 0);
	assert_string_equal(text, "n=1;");
	database_close(database);
	sqlite3_close(owner);
}

static void assert_not_opened(const char *path, int rc, const char *part)
{
	struct database *database = NULL;
	struct err err = { "" };

	assert_int_equal(database_open(&database, path, &err), rc);
	if (!strstr(err.text, part))
		fail_msg("\"%s\" is not in \"%s\"", part, err.text);
}

static void what_is_no_database_is_refused(void **state)
{
	const char *path;
	FILE *file;

	(void)state;
	assert_not_opened(path_of("absent"), -ENOENT, "No such file");
	file = fopen(path_of("text"), "w");
	assert_non_null(file);
	for (int i = 0; i < 200; i++)
		fputs("no database\n", file);
	fclose(file);
	assert_not_opened(path_of("text"), -EINVAL, "no SQLite database");
	path = make_database("CREATE TABLE t (a); WITH RECURSIVE n(i) AS (SELECT 1 UNION "
			     "ALL SELECT i + 1 FROM n WHERE i < 2000) INSERT INTO t "
			     "SELECT randomblob(50) FROM n");
	assert_int_equal(truncate(path, 8192), 0);
	assert_not_opened(path, -EINVAL, "damaged");
}

static void what_is_too_much_is_refused(void **state)
{
	struct database *database = open_database(make_database("CREATE TABLE t (a)"));
	char text[256];

	(void)state;
	assert_int_equal(query(database,
				 "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + "
				 "1 FROM n WHERE i < 200002) SELECT i FROM n",
				 text),
		-E2BIG);
	assert_int_equal(query(database, "SELECT zeroblob(9000000) AS b", text), -E2BIG);
	database_close(database);
}

/* ---------------------------------------------------------------------------------- */

static int setup(void **state)
{
	(void)state;
	place_make(place);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	place_remove(place);
	return 0;
}

#define WITH_PLACE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(documents_become_json),
		cmocka_unit_test(aliases_and_merges_are_followed),
		cmocka_unit_test(what_is_no_yaml_is_told_with_its_line),
		cmocka_unit_test(what_goes_on_and_on_is_refused),
		WITH_PLACE(rows_come_with_their_types),
		WITH_PLACE(a_table_of_any_size_is_read_in_pages),
		WITH_PLACE(nothing_is_written_or_run),
		WITH_PLACE(all_queries_see_one_state),
		WITH_PLACE(what_is_no_database_is_refused),
		WITH_PLACE(what_is_too_much_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
