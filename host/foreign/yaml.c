#include "foreign/yaml.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <strings.h>

#include <yaml.h>

#include "json/text.h"
#include "json/value.h"

/* One document on its way to text. */
struct writing {
	yaml_document_t *document;
	struct buf *out;
	size_t nodes, start;
	struct err *err;
};

static int write_node(struct writing *self, yaml_node_t *node, int depth);

static yaml_node_t *node_at(struct writing *self, int index)
{
	return yaml_document_get_node(self->document, index);
}

static int refuse(struct writing *self, const yaml_node_t *node, int rc, const char *what)
{
	return err_set(self->err, rc, "line %zu: %s", node->start_mark.line + 1, what);
}

/* -- scalars ------------------------------------------------------------------------- */

static bool is_one_of(const char *text, size_t size, const char *const *words)
{
	for (; *words; words++)
		if (strlen(*words) == size && strncasecmp(text, *words, size) == 0)
			return true;
	return false;
}

static bool is_number(const char *text, size_t size)
{
	enum text_number number = NUMBER_START;

	for (size_t i = 0; i < size && number != NUMBER_NONE; i++)
		number = text_number(number, text[i]);
	return size > 0 && text_number_is_whole(number);
}

static void write_scalar(struct writing *self, const yaml_node_t *node)
{
	static const char *const nulls[] = { "", "~", "null", NULL };
	static const char *const trues[] = { "true", "yes", "on", NULL };
	static const char *const falses[] = { "false", "no", "off", NULL };
	const char *text = (const char *)node->data.scalar.value;
	size_t size = node->data.scalar.length;
	bool is_plain = node->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;

	if (is_plain && is_one_of(text, size, nulls))
		buf_append_text(self->out, "null");
	else if (is_plain && is_one_of(text, size, trues))
		buf_append_text(self->out, "true");
	else if (is_plain && is_one_of(text, size, falses))
		buf_append_text(self->out, "false");
	else if (is_plain && is_number(text, size))
		buf_append(self->out, text, size);
	else
		value_write_string(self->out, text, size);
}

/* -- mappings ------------------------------------------------------------------------ */

static bool is_merge(const yaml_node_t *name)
{
	return name->data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
		name->data.scalar.length == 2 &&
		memcmp(name->data.scalar.value, "<<", 2) == 0;
}

static int write_members(struct writing *self, yaml_node_t *node, int depth,
	bool *is_first);

/* What a mapping takes from others: one, or a list of them, of which the first wins. */
static int write_merged(struct writing *self, yaml_node_t *from, int depth,
	bool *is_first)
{
	yaml_node_item_t *item;
	int rc;

	if (depth > YAML_DEPTH)
		return refuse(self, from, -E2BIG, "it nests too deep");
	if (from->type == YAML_MAPPING_NODE)
		return write_members(self, from, depth, is_first);
	if (from->type != YAML_SEQUENCE_NODE)
		return refuse(self, from, -EINVAL, "<< takes a mapping");
	item = from->data.sequence.items.top;
	while (item-- > from->data.sequence.items.start) {
		rc = write_merged(self, node_at(self, *item), depth + 1, is_first);
		if (rc)
			return rc;
	}
	return 0;
}

static int write_pair(struct writing *self, yaml_node_pair_t *pair, int depth,
	bool *is_first)
{
	yaml_node_t *name = node_at(self, pair->key);

	if (!*is_first)
		buf_append_text(self->out, ",");
	*is_first = false;
	value_write_string(self->out, (const char *)name->data.scalar.value,
		name->data.scalar.length);
	buf_append_text(self->out, ":");
	return write_node(self, node_at(self, pair->value), depth + 1);
}

/* The merged ones first: the reader of the JSON text takes the last of equal names. */
static int write_members(struct writing *self, yaml_node_t *node, int depth,
	bool *is_first)
{
	yaml_node_pair_t *pair, *top = node->data.mapping.pairs.top;
	int rc = 0;

	if (++self->nodes > YAML_NODES)
		return refuse(self, node, -E2BIG, "it says too much, aliases followed");
	for (pair = node->data.mapping.pairs.start; pair < top && !rc; pair++) {
		yaml_node_t *name = node_at(self, pair->key);

		if (name->type != YAML_SCALAR_NODE)
			return refuse(self, name, -EINVAL, "a name must be a text");
		if (is_merge(name))
			rc = write_merged(self, node_at(self, pair->value), depth + 1,
				is_first);
	}
	for (pair = node->data.mapping.pairs.start; pair < top && !rc; pair++)
		if (!is_merge(node_at(self, pair->key)))
			rc = write_pair(self, pair, depth, is_first);
	return rc;
}

/* -- nodes --------------------------------------------------------------------------- */

static int write_list(struct writing *self, yaml_node_t *node, int depth)
{
	yaml_node_item_t *start = node->data.sequence.items.start;
	yaml_node_item_t *top = node->data.sequence.items.top;

	buf_append_text(self->out, "[");
	for (yaml_node_item_t *item = start; item < top; item++) {
		int rc;

		if (item != start)
			buf_append_text(self->out, ",");
		if ((rc = write_node(self, node_at(self, *item), depth + 1)) != 0)
			return rc;
	}
	buf_append_text(self->out, "]");
	return 0;
}

static int write_node(struct writing *self, yaml_node_t *node, int depth)
{
	bool is_first = true;
	int rc;

	/* An alias may lead to what it stands in. */
	if (depth > YAML_DEPTH)
		return refuse(self, node, -E2BIG, "it nests too deep");
	if (++self->nodes > YAML_NODES || buf_size(self->out) - self->start > YAML_BYTES)
		return refuse(self, node, -E2BIG, "it says too much, aliases followed");
	if (node->type == YAML_SEQUENCE_NODE)
		return write_list(self, node, depth);
	if (node->type == YAML_SCALAR_NODE) {
		write_scalar(self, node);
		return 0;
	}
	buf_append_text(self->out, "{");
	if ((rc = write_members(self, node, depth, &is_first)) != 0)
		return rc;
	buf_append_text(self->out, "}");
	return 0;
}

int yaml_to_json(const char *text, size_t size, struct buf *out, struct err *err)
{
	struct writing self = { .out = out, .start = buf_size(out), .err = err };
	yaml_document_t document;
	yaml_parser_t parser;
	yaml_node_t *root;
	int rc = 0;

	if (!yaml_parser_initialize(&parser))
		return err_set(err, -ENOMEM, "no memory for a YAML parser");
	yaml_parser_set_input_string(&parser, (const unsigned char *)text, size);
	if (!yaml_parser_load(&parser, &document)) {
		rc = err_set(err, -EINVAL, "line %zu: it is no YAML: %s",
			parser.problem_mark.line + 1,
			parser.problem ? parser.problem : "it cannot be read");
		yaml_parser_delete(&parser);
		return rc;
	}
	self.document = &document;
	root = yaml_document_get_root_node(&document);
	if (root)
		rc = write_node(&self, root, 1);
	else
		buf_append_text(out, "null");
	yaml_document_delete(&document);
	yaml_parser_delete(&parser);
	return rc;
}
