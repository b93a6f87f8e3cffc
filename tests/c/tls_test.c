#include "front.h"

#include <signal.h>

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#define GET(path) "GET " path " HTTP/1.1\r\nHost: x\r\n\r\n"

static char folder[] = "/tmp/tls-test-XXXXXX";
static char certificate_path[64], key_path[64], other_key_path[64], sealed_key_path[64];

static void write_key(EVP_PKEY *key, const char *path, const char *password)
{
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	assert_int_equal(PEM_write_PrivateKey(file, key,
				 password ? EVP_aes_128_cbc() : NULL, NULL, 0, NULL,
				 (char *)(uintptr_t)password),
		1);
	fclose(file);
}

static int make_certificate(void **state)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	EVP_PKEY *other = EVP_EC_gen("P-256");
	X509 *certificate = X509_new();
	X509_NAME *name = X509_get_subject_name(certificate);
	FILE *file;

	(void)state;
	assert_non_null(mkdtemp(folder));
	snprintf(certificate_path, sizeof(certificate_path), "%s/certificate", folder);
	snprintf(key_path, sizeof(key_path), "%s/key", folder);
	snprintf(other_key_path, sizeof(other_key_path), "%s/other", folder);
	snprintf(sealed_key_path, sizeof(sealed_key_path), "%s/sealed", folder);
	X509_set_version(certificate, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1);
	X509_gmtime_adj(X509_getm_notBefore(certificate), 0);
	X509_gmtime_adj(X509_getm_notAfter(certificate), 3600);
	X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
		(const unsigned char *)"test", -1, -1, 0);
	X509_set_issuer_name(certificate, name);
	X509_set_pubkey(certificate, key);
	assert_true(X509_sign(certificate, key, EVP_sha256()) > 0);
	file = fopen(certificate_path, "w");
	PEM_write_X509(file, certificate);
	fclose(file);
	write_key(key, key_path, NULL);
	write_key(key, sealed_key_path, "password");
	write_key(other, other_key_path, NULL);
	X509_free(certificate);
	EVP_PKEY_free(key);
	EVP_PKEY_free(other);
	return 0;
}

static int remove_certificate(void **state)
{
	(void)state;
	unlink(certificate_path);
	unlink(key_path);
	unlink(other_key_path);
	unlink(sealed_key_path);
	return rmdir(folder);
}

struct story {
	struct front front;
	struct tls *tls;
	struct buf heard;
	SSL_CTX *context;
	SSL *ssl;
	int client;
};

static void begin(struct story *story, const struct http_limits *limits)
{
	struct err err;

	*story = (struct story) { 0 };
	assert_int_equal(tls_new(&story->tls, certificate_path, key_path, &err), 0);
	front_open(&story->front, limits, story->tls);
	/* The listener has a reference of its own. */
	tls_unref(story->tls);
	story->client = client_open(&story->front);
	story->context = SSL_CTX_new(TLS_client_method());
	SSL_CTX_set_mode(story->context, SSL_MODE_ENABLE_PARTIAL_WRITE);
	story->ssl = SSL_new(story->context);
	SSL_set_fd(story->ssl, story->client);
	SSL_set_connect_state(story->ssl);
}

static void finish(struct story *story)
{
	SSL_free(story->ssl);
	SSL_CTX_free(story->context);
	close(story->client);
	FRONT_WAIT(&story->front, listener_connection_count(story->front.listener) == 0);
	front_close(&story->front);
	buf_clear(&story->heard);
}

static void step(struct story *story, int result)
{
	int error = SSL_get_error(story->ssl, result);

	assert_true(error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE);
	front_step(&story->front);
}

static void send_all(struct story *story, const char *data, size_t size)
{
	size_t done = 0;

	while (done < size) {
		size_t sent;
		int result;

		ERR_clear_error();
		result = SSL_write_ex(story->ssl, data + done, size - done, &sent);
		if (result == 1)
			done += sent;
		else
			step(story, result);
	}
}

static void say(struct story *story, const char *text)
{
	send_all(story, text, strlen(text));
}

/* NULL: the proper end, by close_notify. */
static void hear(struct story *story, const char *text)
{
	int64_t give_up_ms = clock_ms() + FRONT_PATIENCE_MS;

	while (!text || !has_text(&story->heard, text)) {
		size_t got;
		int result;

		ERR_clear_error();
		result = SSL_read_ex(story->ssl, buf_reserve(&story->heard, 65536), 65536,
			&got);
		assert_true(clock_ms() < give_up_ms);
		if (result == 1) {
			buf_grow(&story->heard, got);
			continue;
		}
		if (!text && SSL_get_error(story->ssl, result) == SSL_ERROR_ZERO_RETURN)
			return;
		step(story, result);
	}
}

static void test_requests(void **state)
{
	static const unsigned char protocols[] = "\x02h2\x08http/1.1";
	const unsigned char *chosen;
	unsigned int chosen_size;
	struct story story;

	(void)state;
	begin(&story, NULL);
	SSL_set_alpn_protos(story.ssl, protocols, sizeof(protocols) - 1);
	say(&story, GET("/1") GET("/2"));
	hear(&story, "GET /2 0\n");
	SSL_get0_alpn_selected(story.ssl, &chosen, &chosen_size);
	assert_int_equal(chosen_size, 8);
	assert_memory_equal(chosen, "http/1.1", 8);
	assert_int_equal(SSL_version(story.ssl), TLS1_3_VERSION);
	say(&story, "nonsense\r\n\r\n");
	hear(&story, NULL);
	assert_true(has_text(&story.heard, "HTTP/1.1 400 "));
	finish(&story);
}

/* More than the socket takes at once, in both directions. */
static void test_big(void **state)
{
	size_t size = 5 << 20;
	char *body = xmalloc(size);
	struct story story;
	struct exchange *exchange;

	(void)state;
	for (size_t i = 0; i < size; i++)
		body[i] = (char)(i * 2654435761u >> 13);
	begin(&story, NULL);
	story.front.mode = FRONT_READ;
	say(&story, "POST /big HTTP/1.1\r\nHost: x\r\nContent-Length: 5242880\r\n\r\n");
	send_all(&story, body, size);
	FRONT_WAIT(&story.front, story.front.ends == 1);
	assert_memory_equal(buf_data(&story.front.body), body, size);
	exchange = story.front.open;
	story.front.open = NULL;
	exchange_reply(exchange, 200, NULL, 0, body, size);
	hear(&story, "Content-Length: 5242880\r\n\r\n");
	story.front.mode = FRONT_ECHO;
	say(&story, GET("/end"));
	hear(&story, "GET /end 0\n");
	assert_non_null(
		memmem(buf_data(&story.heard), buf_size(&story.heard), body, size));
	finish(&story);
	free(body);
}

static void test_old_version(void **state)
{
	struct story story;
	int result;

	(void)state;
	begin(&story, NULL);
	SSL_set_min_proto_version(story.ssl, TLS1_VERSION);
	SSL_set_max_proto_version(story.ssl, TLS1_1_VERSION);
	SSL_set_cipher_list(story.ssl, "ALL:@SECLEVEL=0");
	for (;;) {
		ERR_clear_error();
		result = SSL_do_handshake(story.ssl);
		assert_int_not_equal(result, 1);
		if (SSL_get_error(story.ssl, result) == SSL_ERROR_SSL)
			break;
		step(&story, result);
	}
	finish(&story);
}

static void test_gone(void **state)
{
	struct story story;

	(void)state;
	for (int round = 0; round < 2; round++) {
		begin(&story, NULL);
		story.front.mode = FRONT_HOLD;
		say(&story, GET("/"));
		FRONT_WAIT(&story.front, story.front.requests == 1);
		if (round == 0)
			SSL_shutdown(story.ssl);
		else
			shutdown(story.client, SHUT_RDWR);
		FRONT_WAIT(&story.front, story.front.gones == 1);
		finish(&story);
	}
}

/* Who never shakes hands is left after the time for a head. */
static void test_silent_handshake(void **state)
{
	struct http_limits limits = http_default_limits;
	struct story story;

	(void)state;
	limits.head_ms = 50;
	begin(&story, &limits);
	FRONT_WAIT(&story.front, listener_connection_count(story.front.listener) == 1);
	FRONT_WAIT(&story.front, listener_connection_count(story.front.listener) == 0);
	finish(&story);
}

static void test_plain_client(void **state)
{
	struct story story;

	(void)state;
	begin(&story, NULL);
	client_say(&story.front, story.client, GET("/"));
	client_hear(&story.front, story.client, &story.heard, NULL);
	assert_int_equal(story.front.requests, 0);
	finish(&story);
}

static void test_bad_files(void **state)
{
	struct tls *tls;
	struct err err;

	(void)state;
	assert_true(tls_new(&tls, "/nowhere", key_path, &err) < 0);
	assert_non_null(strstr(err.text, "/nowhere"));
	assert_true(tls_new(&tls, certificate_path, other_key_path, &err) < 0);
	assert_non_null(strstr(err.text, other_key_path));
	assert_true(tls_new(&tls, key_path, key_path, &err) < 0);
	/* Where it would ask for a password, it would wait for ever. */
	assert_true(tls_new(&tls, certificate_path, sealed_key_path, &err) < 0);
	assert_non_null(strstr(err.text, sealed_key_path));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_requests),
		cmocka_unit_test(test_big),
		cmocka_unit_test(test_old_version),
		cmocka_unit_test(test_gone),
		cmocka_unit_test(test_silent_handshake),
		cmocka_unit_test(test_plain_client),
		cmocka_unit_test(test_bad_files),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests_name("tls", tests, make_certificate,
		remove_certificate);
}
