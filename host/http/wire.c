#include "http/wire.h"

#include <errno.h>
#include <stdint.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/secure.h"
#include "http/tls.h"

void wire_open(struct wire *wire, int fd, struct tls *tls)
{
	wire->fd = fd;
	wire->ssl = tls ? tls_accept(tls, fd) : NULL;
}

/* Who has written http for https would see the connection end, and nothing that says why. */
static void point_to_tls(int fd)
{
	static const char text[] =
		"HTTP/1.1 400 Bad Request\r\nContent-Type: application/json\r\n"
		"Content-Length: 125\r\nConnection: close\r\n\r\n"
		"{\"error\":{\"message\":\"this port speaks TLS: ask for https, not http\","
		"\"type\":\"invalid_request_error\",\"param\":null,\"code\":null}}";

	send(fd, text, sizeof(text) - 1, MSG_NOSIGNAL);
}

ssize_t wire_read(struct wire *wire, const struct iovec *parts, size_t count)
{
	ssize_t got;

	if (wire->ssl) {
		got = secure_read(wire->ssl, parts[0].iov_base, parts[0].iov_len);
		if (got == -EPROTONOSUPPORT)
			point_to_tls(wire->fd);
		return got;
	}
	do
		got = count == 1 ? recv(wire->fd, parts[0].iov_base, parts[0].iov_len, 0)
				 : readv(wire->fd, parts, (int)count);
	while (got < 0 && errno == EINTR);
	return got < 0 ? -errno : got;
}

ssize_t wire_write(struct wire *wire, const struct iovec *parts, size_t count)
{
	/* sendmsg() does not write to the parts. */
	struct msghdr message = { .msg_iov = (struct iovec *)(uintptr_t)parts,
		.msg_iovlen = count };
	ssize_t sent;

	if (wire->ssl)
		return secure_write(wire->ssl, parts, count);
	do
		sent = sendmsg(wire->fd, &message, MSG_NOSIGNAL);
	while (sent < 0 && errno == EINTR);
	return sent < 0 ? -errno : sent;
}

bool wire_is_shaking_hands(const struct wire *wire)
{
	return wire->ssl && secure_is_shaking_hands(wire->ssl);
}

bool wire_has_failed(const struct wire *wire)
{
	int error = 0;
	socklen_t size = sizeof(error);

	return getsockopt(wire->fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0 ||
		error != 0;
}

void wire_shutdown(struct wire *wire)
{
	if (wire->ssl)
		secure_end(wire->ssl);
	shutdown(wire->fd, SHUT_WR);
}

void wire_close(struct wire *wire, bool with_reset)
{
	struct linger reset = { .l_onoff = 1, .l_linger = 0 };

	if (wire->ssl)
		secure_free(wire->ssl);
	if (with_reset)
		setsockopt(wire->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	close(wire->fd);
	wire->ssl = NULL;
	wire->fd = -1;
}
