#include "http/exchange.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/number.h"
#include "http/answer_copy.h"
#include "http/connection.h"
#include "http/reply.h"
#include "http/spool.h"

static const struct sink_ops sink_ops;

struct exchange *exchange_new(struct connection *connection, size_t lines,
	const char *text, size_t size, char **copy)
{
	size_t fields_size = lines * sizeof(struct field);
	size_t whole_size = sizeof(struct exchange) + fields_size + size + 1;
	struct exchange *exchange = mem_take(whole_size);

	*exchange = (struct exchange) {
		.sink = { &sink_ops },
		.connection = connection,
		.references = 1,
		.size = whole_size,
		.head = { .method = "", .path = "", .query = "" },
		.is_peer_loopback = connection->is_peer_loopback,
	};
	memcpy(exchange->peer, connection->peer, sizeof(exchange->peer));
	*copy = (char *)exchange->fields + fields_size;
	if (size)
		memcpy(*copy, text, size);
	(*copy)[size] = '\0';
	return exchange;
}

void exchange_ref(struct exchange *exchange)
{
	exchange->references++;
}

void exchange_unref(struct exchange *exchange)
{
	assert(exchange->references > 0);
	if (--exchange->references)
		return;
	if (exchange->spool)
		spool_free(exchange->spool);
	mem_give(exchange, exchange->size);
}

void exchange_set_data(struct exchange *exchange, void *data)
{
	exchange->data = data;
}

void *exchange_data(const struct exchange *exchange)
{
	return exchange->data;
}

/* -- the request ------------------------------------------------------------------ */

const char *exchange_method(const struct exchange *exchange)
{
	return exchange->head.method;
}

const char *exchange_path(const struct exchange *exchange)
{
	return exchange->head.path;
}

const char *exchange_query(const struct exchange *exchange)
{
	return exchange->head.query;
}

const char *exchange_header(const struct exchange *exchange, const char *name)
{
	return head_value(&exchange->head, name);
}

const char *exchange_next_header(const struct exchange *exchange, const char *name,
	size_t *place)
{
	return head_next_value(&exchange->head, name, place);
}

const struct field *exchange_fields(const struct exchange *exchange, size_t *count)
{
	*count = exchange->head.field_count;
	return exchange->head.fields;
}

const char *exchange_peer(const struct exchange *exchange)
{
	return exchange->peer;
}

bool exchange_is_peer_loopback(const struct exchange *exchange)
{
	return exchange->is_peer_loopback;
}

bool exchange_has_body(const struct exchange *exchange)
{
	return exchange->head.body_length != 0;
}

int64_t exchange_body_length(const struct exchange *exchange)
{
	return exchange->head.body_length;
}

struct spool *exchange_body(const struct exchange *exchange)
{
	return exchange->spool;
}

void exchange_receive(struct exchange *exchange)
{
	static const char text[] = "HTTP/1.1 100 Continue\r\n\r\n";
	struct connection *connection = exchange->connection;
	struct listener *listener;

	if (!connection || exchange->is_receiving || exchange->answer != ANSWER_NONE)
		return;
	listener = connection->listener;
	exchange->is_receiving = true;
	connection_defer(connection);
	if (connection->body != BODY_WAITING)
		return;
	exchange->spool = spool_new(listener->spools, listener->base);
	if (exchange->head.body_length > 0)
		spool_expect(exchange->spool, (uint64_t)exchange->head.body_length);
	connection->body = BODY_READING;
	connection->body_since_ms = 0;
	if (exchange->head.expects_continue && !buf_size(&connection->input)) {
		struct iovec part = { (char *)(uintptr_t)text, sizeof(text) - 1 };

		output_send(connection, &part, 1);
	}
}

/* -- the answer ------------------------------------------------------------------- */

static bool is_bodiless(const struct exchange *exchange, int status)
{
	return status == 204 || status == 304 ||
		strcmp(exchange->head.method, "HEAD") == 0;
}

/* Writes the head and decides how the body is delimited and whether the connection lives
 * on: it does not where a part of the request is unread. */
static void write_head(struct exchange *exchange, int status, const struct field *fields,
	size_t count, int64_t length, struct buf *out)
{
	struct connection *connection = exchange->connection;
	struct reply reply = { .status = status,
		.fields = fields,
		.count = count,
		.length = length };

	if (status < 200 || status > 999) {
		log_error("http", "refused=status status=%d", status);
		reply.status = 500;
	}
	if (connection->body != BODY_NONE || !exchange->head.is_keep_alive ||
		connection->listener->is_draining)
		connection->is_last = true;
	connection->body = BODY_NONE;

	if (status == 204 || status == 304)
		reply.length = -1;
	else if (length < 0)
		reply.is_chunked = !exchange->head.is_http_1_0;
	if (is_bodiless(exchange, status))
		exchange->form = ANSWER_EMPTY;
	else if (length >= 0)
		exchange->form = ANSWER_COUNTED;
	else
		exchange->form = reply.is_chunked ? ANSWER_CHUNKED : ANSWER_UNTIL_CLOSE;
	if (exchange->form == ANSWER_UNTIL_CLOSE)
		connection->is_last = true;
	exchange->answer_left = length > 0 ? (uint64_t)length : 0;

	if (connection->is_last && !exchange->head.is_http_1_0)
		reply.connection = REPLY_SAYS_CLOSE;
	else if (!connection->is_last && exchange->head.is_http_1_0)
		reply.connection = REPLY_SAYS_KEEP_ALIVE;
	reply_write_head(&reply, out);
	exchange->answer = ANSWER_STARTED;
}

/* The exchange may be freed here. */
static void end_answer(struct exchange *exchange)
{
	struct connection *connection = exchange->connection;

	exchange->answer = ANSWER_ENDED;
	exchange->connection = NULL;
	connection->exchange = NULL;
	connection->since_ms = 0;
	connection_rest(connection);
	exchange_unref(exchange);
}

void exchange_reply(struct exchange *exchange, int status, const struct field *fields,
	size_t count, const void *body, size_t size)
{
	struct connection *connection = exchange->connection;
	struct iovec parts[2];
	struct buf *head;

	if (!connection)
		return;
	assert(exchange->answer == ANSWER_NONE);
	head = &connection->listener->scratch;
	buf_reset(head);
	write_head(exchange, status, fields, count, (int64_t)size, head);
	parts[0] = (struct iovec) { buf_data(head), buf_size(head) };
	parts[1] = (struct iovec) { (void *)(uintptr_t)body, size };
	if (exchange->copy && exchange->form != ANSWER_EMPTY)
		answer_copy_add(exchange->copy, body, size);
	count = exchange->form == ANSWER_EMPTY || !size ? 1 : 2;
	if (size <= TURN_BYTES_MAX && turn_is_crowded(connection->listener->turn))
		output_join(connection, parts, count);
	else
		output_send(connection, parts, count);
	end_answer(exchange);
}

void exchange_start(struct exchange *exchange, int status, const struct field *fields,
	size_t count, int64_t length)
{
	struct connection *connection = exchange->connection;

	if (!connection)
		return;
	assert(exchange->answer == ANSWER_NONE);
	connection->write_since_ms = clock_tick_ms();
	write_head(exchange, status, fields, count, length, &connection->output);
	connection_defer(connection);
}

void exchange_set_copy(struct exchange *exchange, struct answer_copy *copy)
{
	exchange->copy = copy;
}

struct sink *exchange_sink(struct exchange *exchange)
{
	return &exchange->sink;
}

static size_t write_chunk(struct connection *connection, const void *data, size_t size)
{
	char line[NUMBER_ROOM + 2];
	size_t digits = number_write_hex(line, size);
	const struct iovec parts[] = {
		{ line, digits + 2 },
		{ (void *)(uintptr_t)data, size },
		{ line + digits, 2 },
	};

	memcpy(line + digits, "\r\n", 2);
	output_send(connection, parts, COUNT_OF(parts));
	return buf_size(&connection->output);
}

static size_t sink_write(struct sink *sink, const void *data, size_t size)
{
	struct exchange *exchange = CONTAINER_OF(sink, struct exchange, sink);
	struct connection *connection = exchange->connection;
	struct iovec part;

	if (!connection)
		return 0;
	assert(exchange->answer == ANSWER_STARTED);
	if (!size || exchange->form == ANSWER_EMPTY)
		return buf_size(&connection->output);
	if (exchange->copy)
		answer_copy_add(exchange->copy, data, size);
	if (exchange->form == ANSWER_CHUNKED)
		return write_chunk(connection, data, size);
	if (exchange->form == ANSWER_COUNTED) {
		if (size > exchange->answer_left) {
			log_error("http", "answer=overlong excess=%zu",
				size - (size_t)exchange->answer_left);
			size = (size_t)exchange->answer_left;
		}
		exchange->answer_left -= size;
	}
	part = (struct iovec) { (void *)(uintptr_t)data, size };
	output_send(connection, &part, 1);
	return buf_size(&connection->output);
}

static void sink_when_drained(struct sink *sink, sink_drained_fn *fn, void *arg)
{
	struct exchange *exchange = CONTAINER_OF(sink, struct exchange, sink);

	exchange->on_drained = fn;
	exchange->drained_arg = arg;
	if (fn && exchange->connection)
		connection_defer(exchange->connection);
}

static void sink_cut(struct sink *sink)
{
	struct exchange *exchange = CONTAINER_OF(sink, struct exchange, sink);
	struct connection *connection = exchange->connection;

	if (!connection)
		return;
	connection->is_last = true;
	/* Only a reset tells the reader of such an answer that it is not complete. */
	connection->is_cut = exchange->form == ANSWER_UNTIL_CLOSE;
	end_answer(exchange);
}

static void sink_end(struct sink *sink)
{
	static const char last_chunk[] = "0\r\n\r\n";
	struct exchange *exchange = CONTAINER_OF(sink, struct exchange, sink);
	const struct iovec part = { (char *)(uintptr_t)last_chunk,
		sizeof(last_chunk) - 1 };

	if (!exchange->connection)
		return;
	assert(exchange->answer == ANSWER_STARTED);
	if (exchange->form == ANSWER_COUNTED && exchange->answer_left) {
		log_error("http", "answer=short missing=%llu",
			(unsigned long long)exchange->answer_left);
		sink_cut(sink);
		return;
	}
	if (exchange->form == ANSWER_CHUNKED)
		output_send(exchange->connection, &part, 1);
	end_answer(exchange);
}

static const struct sink_ops sink_ops = {
	.write = sink_write,
	.when_drained = sink_when_drained,
	.end = sink_end,
	.cut = sink_cut,
};
