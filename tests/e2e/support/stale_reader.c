/* stale_reader.c - another process at a store, as LMDB's own tools are.
 *
 *	stale_reader read FOLDER     begins to read, says so, and never ends
 *	stale_reader count FOLDER    how many slots of the table of readers are taken */
#include <lmdb.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* The first line is a heading, and without readers the only one. */
static int count_slot(const char *line, void *arg)
{
	if (line[0] == ' ' && strpbrk(line, "0123456789"))
		++*(int *)arg;
	return 0;
}

int main(int argc, char **argv)
{
	MDB_env *env;
	MDB_txn *txn;
	int count = 0;

	if (argc != 3 || mdb_env_create(&env) != 0 ||
		mdb_env_open(env, argv[2], MDB_RDONLY, 0600) != 0) {
		fprintf(stderr, "stale_reader: the store cannot be opened\n");
		return 1;
	}
	if (strcmp(argv[1], "read") == 0 && mdb_txn_begin(env, NULL, MDB_RDONLY, &txn) == 0) {
		puts("reading");
		fflush(stdout);
		for (;;)
			pause();
	}
	if (strcmp(argv[1], "count") != 0 || mdb_reader_list(env, count_slot, &count) < 0)
		return 1;
	printf("%d\n", count);
	return 0;
}
