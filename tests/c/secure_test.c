/* The bytes of a TLS connection: what several parts make, what a full socket leaves, and in
 * how many packets records go out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/tcp.h>
#include <netinet/in.h>

#include "base/secure.h"
#include "base/secure_socket.h"
#include "tls_upstream.h"
#include "upstream/tls_client.h"
#include "upstream/trust.h"

#define BODY (300 * 1024) /* bytes; more than the small buffers of a socket take */
#define RECORDS 12        /* that one write makes */
#define RECORD (16 * 1024)

struct pair {
	struct identity identity;
	struct trust *trust;
	struct tls_client *client;
	struct ssl_st *near, *far;
	int near_fd, far_fd;
};

static int set_nonblocking(int fd)
{
	return fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
}

/* room: bytes of the sockets' buffers; 0: as the system has them */
static void connect_sockets(struct pair *pair, int room)
{
	struct sockaddr_in address = { .sin_family = AF_INET };
	socklen_t size = sizeof(address);
	int listening = socket(AF_INET, SOCK_STREAM, 0), on = 1;

	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(bind(listening, (void *)&address, sizeof(address)), 0);
	assert_int_equal(listen(listening, 1), 0);
	assert_int_equal(getsockname(listening, (void *)&address, &size), 0);
	pair->near_fd = socket(AF_INET, SOCK_STREAM, 0);
	if (room) {
		setsockopt(pair->near_fd, SOL_SOCKET, SO_SNDBUF, &room, sizeof(room));
		setsockopt(listening, SOL_SOCKET, SO_RCVBUF, &room, sizeof(room));
	}
	assert_int_equal(connect(pair->near_fd, (void *)&address, sizeof(address)), 0);
	pair->far_fd = accept(listening, NULL, NULL);
	assert_true(pair->far_fd >= 0);
	close(listening);
	setsockopt(pair->near_fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	set_nonblocking(pair->near_fd);
	set_nonblocking(pair->far_fd);
}

static void shake_hands(struct pair *pair)
{
	int64_t until = clock_us() + 20000000;
	bool wants_write;
	struct err err;
	char byte;

	while (secure_is_shaking_hands(pair->near) ||
		secure_is_shaking_hands(pair->far)) {
		assert_true(clock_us() < until);
		if (secure_is_shaking_hands(pair->near) &&
			tls_client_shake(pair->near, &wants_write, &err) != 0)
			assert_false(wants_write);
		(void)SSL_do_handshake(pair->far);
	}
	/* The tickets. */
	assert_int_equal(secure_read(pair->near, &byte, 1), -EAGAIN);
}

static void open_pair(struct pair *pair, int room)
{
	struct err err;

	memset(pair, 0, sizeof(*pair));
	make_identity(&pair->identity, "DNS:localhost", -60, 3600);
	assert_int_equal(trust_find(&pair->trust, pair->identity.path, &err), 0);
	pair->client = tls_client_new(pair->trust, "localhost");
	connect_sockets(pair, room);
	pair->near = tls_client_open(pair->client, pair->near_fd);
	pair->far = SSL_new(pair->identity.context);
	secure_socket_attach(pair->far, pair->far_fd);
	SSL_set_accept_state(pair->far);
	shake_hands(pair);
}

static void close_pair(struct pair *pair)
{
	secure_free(pair->near);
	secure_free(pair->far);
	close(pair->near_fd);
	close(pair->far_fd);
	tls_client_free(pair->client);
	free_identity(&pair->identity);
}

/* From offset on, in parts of sizes that go through all of these. */
static size_t cut(const char *body, size_t offset, struct iovec *parts, size_t count)
{
	static const size_t sizes[] = { 700, 0, 40000, 1, RECORD, 5, RECORD - 1, 0,
		100000 };
	size_t at = offset, used = 0;

	while (used < count && at < BODY) {
		size_t size = sizes[(at / 7 + used) % (sizeof(sizes) / sizeof(*sizes))];

		if (size > BODY - at)
			size = BODY - at;
		parts[used++] = (struct iovec) { (char *)(uintptr_t)body + at, size };
		at += size;
	}
	return used;
}

static void take(struct pair *pair, char *heard, size_t *size)
{
	ssize_t got;

	while ((got = secure_read(pair->far, heard + *size, BODY - *size)) > 0)
		*size += (size_t)got;
	if (*size < BODY)
		assert_int_equal(got, -EAGAIN);
}

/* A repeated write is cut into other parts than the first one: only the bytes and their order
 * are promised to be the same. */
static void parts_arrive_whole(void **state)
{
	struct pair pair;
	char *body = malloc(BODY), *heard = malloc(BODY);
	size_t sent = 0, size = 0, writes = 0;
	int64_t until = clock_us() + 20000000;

	(void)state;
	open_pair(&pair, 8 * 1024);
	for (size_t i = 0; i < BODY; i++)
		body[i] = (char)(i * 2654435761u >> 13);
	while (size < BODY) {
		struct iovec parts[64];
		size_t count = cut(body, sent, parts, 64);
		ssize_t got = count ? secure_write(pair.near, parts, count) : -EAGAIN;

		assert_true(clock_us() < until);
		assert_true(got > 0 || got == -EAGAIN);
		writes += got > 0;
		sent += got > 0 ? (size_t)got : 0;
		take(&pair, heard, &size);
	}
	assert_int_equal(sent, BODY);
	assert_true(writes > 1);
	assert_memory_equal(body, heard, BODY);
	close_pair(&pair);
	free(body);
	free(heard);
}

static unsigned packets(int fd)
{
	struct tcp_info info;
	socklen_t size = sizeof(info);

	assert_int_equal(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size), 0);
	return info.tcpi_data_segs_out;
}

/* On loopback a packet holds 32 KiB at least; held back by nobody, these are sent in seven. */
static void records_share_packets(void **state)
{
	struct pair pair;
	static char body[RECORDS * RECORD];
	struct iovec part = { body, sizeof(body) };
	unsigned before;
	size_t size = 0;
	char heard[4096];
	ssize_t got;

	(void)state;
	open_pair(&pair, 0);
	before = packets(pair.near_fd);
	assert_int_equal(secure_write(pair.near, &part, 1), sizeof(body));
	assert_in_range(packets(pair.near_fd) - before, 1, RECORDS / 2 - 1);
	/* Nothing is held back once all was said. */
	while ((got = secure_read(pair.far, heard, sizeof(heard))) > 0)
		size += (size_t)got;
	assert_int_equal(got, -EAGAIN);
	assert_int_equal(size, sizeof(body));
	close_pair(&pair);
}

static void the_shorter_key_is_preferred(void **state)
{
	struct pair pair;

	(void)state;
	open_pair(&pair, 0);
	assert_string_equal(SSL_get_cipher_name(pair.far), "TLS_AES_128_GCM_SHA256");
	close_pair(&pair);
}

static void an_end_is_told_from_a_break(void **state)
{
	struct pair pair;
	char byte;

	(void)state;
	open_pair(&pair, 0);
	secure_end(pair.near);
	assert_int_equal(secure_read(pair.far, &byte, 1), 0);
	close_pair(&pair);

	open_pair(&pair, 0);
	shutdown(pair.near_fd, SHUT_WR);
	assert_int_equal(secure_read(pair.far, &byte, 1), -ECONNRESET);
	close_pair(&pair);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(parts_arrive_whole),
		cmocka_unit_test(records_share_packets),
		cmocka_unit_test(the_shorter_key_is_preferred),
		cmocka_unit_test(an_end_is_told_from_a_break),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
