#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include <sodium.h>

#include "http/exchange.h"
#include "script/credential.h"

/* A request with one field. */
struct exchange {
	const char *name;
	const char *value;
	const char *query;
};

const char *exchange_header(const struct exchange *exchange, const char *name)
{
	return strcasecmp(exchange->name, name) == 0 ? exchange->value : NULL;
}

const char *exchange_query(const struct exchange *exchange)
{
	return exchange->query;
}

static void check_token(const struct exchange *exchange, const char *token)
{
	unsigned char found[CREDENTIAL_DIGEST], digest[CREDENTIAL_DIGEST];
	bool is_there = credential_read(exchange, found);

	assert_int_equal(is_there, token != NULL);
	if (!token)
		return;
	credential_digest(digest, token, strlen(token));
	assert_memory_equal(found, digest, sizeof(digest));
}

static void test_places(void **state)
{
	static const struct {
		struct exchange exchange;
		const char *token;
	} vectors[] = {
		{ { "authorization", "Bearer abc", "" }, "abc" },
		{ { "authorization", "bEARER \t abc", "" }, "abc" },
		{ { "authorization", "abc", "" }, "abc" },
		{ { "authorization", "Basic abc", "" }, NULL },
		{ { "authorization", "Bearer", "" }, NULL },
		{ { "authorization", "", "" }, NULL },
		{ { "x-api-key", "abc", "key=d" }, "abc" },
		{ { "x-goog-api-key", "abc", "" }, "abc" },
		{ { "x", "abc", "a=b&key=a%62+c&d" }, "ab c" },
		{ { "x", "abc", "akey=b" }, NULL },
		{ { "x", "abc", "" }, NULL },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(vectors) / sizeof(*vectors); i++)
		check_token(&vectors[i].exchange, vectors[i].token);
}

/* More tokens than a thread remembers, each of them twice in a row and then again. */
static void check_many(void)
{
	for (int i = 0; i < 3000; i++) {
		char token[32];
		struct exchange exchange = { "x-api-key", token, "" };

		snprintf(token, sizeof(token), "%d", i % 1000 / 2);
		check_token(&exchange, token);
	}
}

static void test_many(void **state)
{
	static const unsigned char key[CREDENTIAL_KEY_SIZE] = "another key";
	unsigned char before[CREDENTIAL_DIGEST], after[CREDENTIAL_DIGEST];
	struct exchange exchange = { "x-api-key", "abc", "" };

	(void)state;
	check_many();
	assert_true(credential_read(&exchange, before));
	credential_use_key(key);
	assert_true(credential_read(&exchange, after));
	assert_memory_not_equal(before, after, sizeof(before));
	check_many();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_places),
		cmocka_unit_test(test_many),
	};

	if (sodium_init() < 0)
		return 1;
	return cmocka_run_group_tests_name("credential", tests, NULL, NULL);
}
