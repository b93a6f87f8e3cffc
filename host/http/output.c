#include <assert.h>
#include <errno.h>

#include "base/clock.h"
#include "http/connection.h"

#define PARTS_MAX 4

/* Keeps what lies behind the first sent bytes of the parts. */
static void queue_rest(struct connection *connection, const struct iovec *parts,
	size_t count, size_t sent)
{
	for (size_t i = 0; i < count; i++) {
		size_t size = parts[i].iov_len;

		if (sent >= size) {
			sent -= size;
			continue;
		}
		buf_append(&connection->output, (char *)parts[i].iov_base + sent,
			size - sent);
		sent = 0;
	}
}

static void fail(struct connection *connection)
{
	connection->is_broken = true;
	buf_clear(&connection->output);
	connection_defer(connection);
}

void output_send(struct connection *connection, const struct iovec *parts, size_t count)
{
	struct iovec vector[PARTS_MAX + 1];
	size_t waiting = buf_size(&connection->output);
	size_t total = waiting;
	ssize_t sent;

	assert(count <= PARTS_MAX);
	if (connection->is_broken || connection->is_lingering)
		return;
	if (connection->is_blocked) {
		queue_rest(connection, parts, count, 0);
		return;
	}
	vector[0].iov_base = waiting ? buf_data(&connection->output) : NULL;
	vector[0].iov_len = waiting;
	for (size_t i = 0; i < count; i++) {
		vector[i + 1] = parts[i];
		total += parts[i].iov_len;
	}
	if (!total)
		return;
	sent = wire_write(&connection->wire, vector, count + 1);
	if (sent < 0 && sent != -EAGAIN) {
		fail(connection);
		return;
	}
	if (sent < 0)
		sent = 0;
	if ((size_t)sent < total) {
		connection->is_blocked = true;
		connection->write_since_ms = clock_tick_ms();
		connection_defer(connection); /* arms the timer */
	}
	if ((size_t)sent < waiting) {
		buf_consume(&connection->output, (size_t)sent);
		queue_rest(connection, parts, count, 0);
		return;
	}
	buf_reset(&connection->output);
	queue_rest(connection, parts, count, (size_t)sent - waiting);
	if (!buf_size(&connection->output))
		buf_clear(&connection->output);
}

void output_join(struct connection *connection, const struct iovec *parts, size_t count)
{
	if (connection->is_broken || connection->is_lingering)
		return;
	queue_rest(connection, parts, count, 0);
	if (!connection->is_blocked)
		connection->write_since_ms = clock_tick_ms();
	connection_defer(connection);
}

void output_flush(struct connection *connection)
{
	size_t waiting = buf_size(&connection->output);
	struct iovec part;
	ssize_t sent;

	if (!waiting || connection->is_blocked || connection->is_broken)
		return;
	part = (struct iovec) { buf_data(&connection->output), waiting };
	sent = wire_write(&connection->wire, &part, 1);
	if (sent < 0 && sent != -EAGAIN) {
		fail(connection);
		return;
	}
	if (sent > 0) {
		buf_consume(&connection->output, (size_t)sent);
		connection->write_since_ms = clock_tick_ms();
	}
	if (buf_size(&connection->output))
		connection->is_blocked = true;
	else
		buf_clear(&connection->output);
}
