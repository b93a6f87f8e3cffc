/* intake.c - from bytes on the socket to the handler's calls. */
#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "http/connection.h"
#include "http/spool.h"

/* What one connection may do before the others get their turn. */
#define READS_PER_TURN 8
#define REQUESTS_PER_TURN 16

bool intake_is_wanted(const struct connection *connection)
{
	if (connection->is_broken)
		return false;
	if (connection->is_lingering)
		return true;
	if (connection->is_last)
		return false;
	if (!connection->exchange)
		return buf_size(&connection->output) < SINK_HIGH;
	if (connection->body == BODY_READING)
		return !spool_is_behind(connection->exchange->spool);
	return buf_size(&connection->input) < INPUT_HIGH;
}

void intake_fault(struct connection *connection, int status, const char *message)
{
	struct listener *listener = connection->listener;
	struct exchange *exchange = connection->exchange;
	char *text;

	if (!exchange) {
		exchange = exchange_new(connection, 0, NULL, 0, &text);
		connection->exchange = exchange;
	}
	/* Nothing of the body comes any more, not even its end. */
	exchange->is_receiving = true;
	exchange->is_received = true;
	connection->body = BODY_NONE;
	connection->is_last = true;
	connection->has_head = false;
	exchange_ref(exchange);
	listener->handler->on_fault(exchange, status, message, listener->arg);
	exchange_unref(exchange);
}

/* -- the head --------------------------------------------------------------------- */

static void open_exchange(struct connection *connection, const struct head_scan *scan,
	const char *data)
{
	struct listener *listener = connection->listener;
	size_t lead = scan->has_led ? 2 : 0;
	size_t size = scan->size - lead;
	struct exchange *exchange;
	const char *message;
	char *text;
	int status;

	if (scan->lines - 1 > listener->limits.field_max) {
		intake_fault(connection, 431, "the head has too many fields");
		return;
	}
	exchange = exchange_new(connection, scan->lines, data + lead, size, &text);
	connection->exchange = exchange;
	status = head_parse(&exchange->head, text, size, exchange->fields, &message);
	if (status) {
		intake_fault(connection, status, message);
		return;
	}
	if (exchange->head.body_length > 0 &&
		(uint64_t)exchange->head.body_length > listener->limits.body_max) {
		intake_fault(connection, 413, "the body is too large");
		return;
	}
	if (exchange->head.body_length) {
		connection->body = BODY_WAITING;
		connection->body_left = (uint64_t)exchange->head.body_length;
		connection->chunks = (struct chunks) { 0 };
	}
	exchange_ref(exchange);
	listener->handler->on_request(exchange, listener->arg);
	exchange_unref(exchange);
}

/* Returns the bytes of a whole head that were used up, or 0 while it is not complete. */
static size_t take_head(struct connection *connection, const char *data, size_t size)
{
	struct head_scan *at = &connection->scan;
	enum head_state state = head_scan(at, data + at->size, size - at->size);
	struct head_scan scan = *at;

	if (scan.size > connection->listener->limits.head_max) {
		intake_fault(connection, 431, "the head is too large");
		return size;
	}
	if (state == HEAD_BAD) {
		intake_fault(connection, 400, "the head is malformed");
		return size;
	}
	if (state == HEAD_MORE) {
		if (!connection->has_head)
			connection->since_ms = clock_ms();
		connection->has_head = true;
		return 0;
	}
	*at = (struct head_scan) { 0 };
	connection->has_head = false;
	open_exchange(connection, &scan, data);
	return scan.size;
}

/* -- the body --------------------------------------------------------------------- */

/* The spool has these bytes. */
static void tell(struct connection *connection, const char *data, size_t size)
{
	struct listener *listener = connection->listener;
	struct exchange *exchange = connection->exchange;

	connection->body_span += size;
	exchange_ref(exchange);
	listener->handler->on_body(exchange, data, size, listener->arg);
	exchange_unref(exchange);
}

static void deliver(struct connection *connection, const char *data, size_t size)
{
	struct listener *listener = connection->listener;
	struct exchange *exchange = connection->exchange;
	int rc;

	if (spool_size(exchange->spool) + size > listener->limits.body_max) {
		intake_fault(connection, 413, "the body is too large");
		return;
	}
	rc = spool_append(exchange->spool, data, size);
	if (rc) {
		bool is_full = rc == -ENOSPC || rc == -EFBIG || rc == -EDQUOT;

		intake_fault(connection, is_full ? 507 : 503,
			is_full ? "no room for the body" : "the body cannot be kept");
		return;
	}
	tell(connection, data, size);
}

static size_t take_chunks(struct connection *connection, const char *data, size_t size)
{
	struct chunk_run run;
	size_t used;

	switch (chunks_take(&connection->chunks, data, size,
		connection->listener->limits.head_max, &used, &run)) {
	case CHUNK_DATA:
		deliver(connection, run.data, run.size);
		break;
	case CHUNK_END:
		connection->body = BODY_NONE;
		break;
	case CHUNK_BAD:
		intake_fault(connection, 400, "the chunks are malformed");
		break;
	case CHUNK_MORE:
		break;
	}
	return used;
}

static void count_body(struct connection *connection, size_t size)
{
	connection->body_left -= size;
	if (!connection->body_left)
		connection->body = BODY_NONE;
}

static size_t take_body(struct connection *connection, const char *data, size_t size)
{
	if (connection->exchange->head.body_length < 0)
		return take_chunks(connection, data, size);
	if (size > connection->body_left)
		size = (size_t)connection->body_left;
	count_body(connection, size);
	deliver(connection, data, size);
	return size;
}

static void end_body(struct exchange *exchange)
{
	struct listener *listener = exchange->connection->listener;

	exchange->is_received = true;
	exchange_ref(exchange);
	listener->handler->on_body_end(exchange, listener->arg);
	exchange_unref(exchange);
}

static void on_spool_ready(struct spool *spool, void *arg)
{
	struct exchange *exchange = arg;

	(void)spool;
	if (exchange->connection)
		connection_defer(exchange->connection);
}

/* -- both ------------------------------------------------------------------------- */

/* What the open exchange does with bytes. False: it wants none now. */
static bool use_in_exchange(struct connection *connection, const char *data, size_t size,
	size_t *used)
{
	struct exchange *exchange = connection->exchange;

	if (connection->body == BODY_NONE && exchange->is_receiving &&
		!exchange->is_received && exchange->answer == ANSWER_NONE) {
		end_body(exchange);
		return true;
	}
	if (connection->body != BODY_READING)
		return false;
	if (spool_is_behind(exchange->spool)) {
		/* The time until it is ready is ours, not the client's. */
		connection->body_since_ms = 0;
		spool_when_ready(exchange->spool, on_spool_ready, exchange);
		return false;
	}
	if (*used == size)
		return false;
	*used += take_body(connection, data + *used, size - *used);
	return true;
}

/* Uses up what can be used now; returns how many bytes that was. */
static size_t use(struct connection *connection, const char *data, size_t size)
{
	size_t used = 0;
	size_t head_size;
	int requests = 0;

	for (;;) {
		if (connection->is_last || connection->is_lingering ||
			connection->is_broken)
			return size;
		if (connection->exchange) {
			if (!use_in_exchange(connection, data, size, &used))
				return used;
			continue;
		}
		if (used == size || buf_size(&connection->output) >= SINK_HIGH)
			return used;
		if (requests++ == REQUESTS_PER_TURN) {
			connection->has_work = true;
			return used;
		}
		head_size = take_head(connection, data + used, size - used);
		if (!head_size)
			return used;
		used += head_size;
	}
}

static void use_waiting(struct connection *connection)
{
	struct buf *input = &connection->input;
	size_t size = buf_size(input);

	buf_consume(input, use(connection, size ? buf_data(input) : NULL, size));
	if (!buf_size(input))
		buf_clear(input);
}

static void use_fresh(struct connection *connection, const char *data, size_t size)
{
	size_t used;

	if (buf_size(&connection->input)) {
		buf_append(&connection->input, data, size);
		return;
	}
	used = use(connection, data, size);
	buf_append(&connection->input, data + used, size - used);
}

/* Where bytes of a counted body can be read to without a copy; none: iov_len 0. */
static struct iovec body_room(struct connection *connection)
{
	struct iovec room = { NULL, 0 };

	if (connection->body != BODY_READING || buf_size(&connection->input) ||
		connection->exchange->head.body_length < 0)
		return room;
	room.iov_base = spool_room(connection->exchange->spool, &room.iov_len);
	if (!room.iov_base)
		room.iov_len = 0;
	else if (room.iov_len > connection->body_left)
		room.iov_len = (size_t)connection->body_left;
	return room;
}

/* Where the next bytes are read to: those of a body right to where they stay, as far as
 * that goes, what may come behind its end and all others to the room that connections
 * share. */
struct rooms {
	struct iovec parts[2];
	size_t count;
	size_t body_size; /* of the first part, where it is a body's */
	size_t size;
};

static struct rooms find_rooms(struct connection *connection)
{
	struct rooms rooms = { .parts = { body_room(connection) } };
	struct iovec *shared = rooms.parts;

	rooms.size = rooms.body_size = rooms.parts[0].iov_len;
	if (rooms.body_size) {
		rooms.count = 1;
		if (rooms.body_size < connection->body_left)
			return rooms;
		shared++;
	}
	shared->iov_base = connection->listener->room;
	shared->iov_len = connection->exchange ? READ_SIZE : READ_FIRST;
	rooms.size += shared->iov_len;
	rooms.count++;
	return rooms;
}

static void use_rooms(struct connection *connection, const struct rooms *rooms,
	size_t got)
{
	size_t body_size = got < rooms->body_size ? got : rooms->body_size;

	if (body_size) {
		spool_fill(connection->exchange->spool, body_size);
		count_body(connection, body_size);
		tell(connection, rooms->parts[0].iov_base, body_size);
	}
	if (got > body_size)
		use_fresh(connection, connection->listener->room, got - body_size);
}

void intake_run(struct connection *connection)
{
	for (int i = 0; i < READS_PER_TURN; i++) {
		struct rooms rooms;
		ssize_t got;

		use_waiting(connection);
		if (!connection->is_readable || !intake_is_wanted(connection))
			return;
		rooms = find_rooms(connection);
		got = wire_read(&connection->wire, rooms.parts, rooms.count);
		if (got == -EAGAIN) {
			connection->is_readable = false;
			return;
		}
		if (got <= 0) {
			connection->is_broken = true;
			return;
		}
		/* A short read has emptied a plain socket; a new edge comes with new
		 * bytes. */
		if (!connection->wire.ssl && (size_t)got < rooms.size)
			connection->is_readable = false;
		use_rooms(connection, &rooms, (size_t)got);
		/* A reset that came with these bytes has no edge of its own. */
		if (!connection->is_readable)
			listener_doubt(connection->listener, connection);
	}
	connection->has_work = true;
}
