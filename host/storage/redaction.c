#include "storage/redaction.h"

#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "storage/redaction_rule.h"

#define BASE64_MAX 1024 /* bytes of a run that stay as they are */
#define BASE64_SHOWN 32 /* of a longer one */
#define SLOTS_LOG2_MIN 8

static const char REDACTED[] = "[redacted]";

struct secret {
	struct secret *next; /* in the slot */
	size_t size;
	char text[];
};

/* Secrets by their first REDACTION_SECRET_MIN bytes. */
struct redaction {
	_Atomic unsigned references;
	int slots_log2;
	struct secret **slots;
	unsigned char
		firsts[UINT16_MAX / 8 + 1]; /* a bit for the first two bytes of each */
};

static uint16_t first_two(const char *text)
{
	uint16_t first;

	memcpy(&first, text, sizeof(first));
	return first;
}

static size_t slot_of(const struct redaction *redaction, const char *text)
{
	uint64_t first;

	memcpy(&first, text, sizeof(first));
	return (size_t)(first * UINT64_C(0x9e3779b97f4a7c15) >>
		(64 - redaction->slots_log2));
}

static void add_secret(struct redaction *redaction, struct bytes given)
{
	struct secret **place = &redaction->slots[slot_of(redaction, given.data)];
	struct secret *secret;

	if (given.size > REDACTION_SECRET_MAX)
		given.size = REDACTION_SECRET_MAX;
	/* The longest first: one may begin with another. */
	while (*place && (*place)->size > given.size)
		place = &(*place)->next;
	secret = xmalloc(sizeof(*secret) + given.size);
	*secret = (struct secret) { .next = *place, .size = given.size };
	memcpy(secret->text, given.data, given.size);
	*place = secret;
	redaction->firsts[first_two(secret->text) / 8] |= (unsigned char)(1
		<< first_two(secret->text) % 8);
}

struct redaction *redaction_new(const struct bytes *secrets, size_t count)
{
	struct redaction *redaction = xcalloc(1, sizeof(*redaction));

	redaction->references = 1;
	redaction->slots_log2 = SLOTS_LOG2_MIN;
	while ((size_t)1 << redaction->slots_log2 < count * 4)
		redaction->slots_log2++;
	redaction->slots = xcalloc((size_t)1 << redaction->slots_log2,
		sizeof(struct secret *));
	for (size_t i = 0; i < count; i++)
		if (secrets[i].size >= REDACTION_SECRET_MIN)
			add_secret(redaction, secrets[i]);
	return redaction;
}

void redaction_ref(struct redaction *redaction)
{
	atomic_fetch_add(&redaction->references, 1);
}

void redaction_unref(struct redaction *redaction)
{
	if (!redaction || atomic_fetch_sub(&redaction->references, 1) != 1)
		return;
	for (size_t i = 0; i < (size_t)1 << redaction->slots_log2; i++) {
		while (redaction->slots[i]) {
			struct secret *next = redaction->slots[i]->next;

			free(redaction->slots[i]);
			redaction->slots[i] = next;
		}
	}
	free(redaction->slots);
	free(redaction);
}

/* The size of the known secret that stands there, or 0. */
static size_t known_at(const struct redaction *redaction, const char *text, size_t size)
{
	const struct secret *secret;

	if (!redaction || size < REDACTION_SECRET_MIN ||
		!(redaction->firsts[first_two(text) / 8] & 1 << first_two(text) % 8))
		return 0;
	for (secret = redaction->slots[slot_of(redaction, text)]; secret;
		secret = secret->next)
		if (secret->size <= size && memcmp(secret->text, text, secret->size) == 0)
			return secret->size;
	return 0;
}

bool redaction_finds(const struct redaction *redaction, struct bytes text)
{
	const char *data = text.data;

	for (size_t at = 0; at < text.size; at++)
		if (known_at(redaction, data + at, text.size - at))
			return true;
	return false;
}

/* -- going through a text ------------------------------------------------------------ */

struct pass {
	const struct redaction *redaction;
	const char *text;
	size_t size;
	size_t at;
	size_t taken;   /* bytes that are in out, or were left out of it */
	size_t run_end; /* where the run of base64 ends that was measured last */
	size_t run_cut; /* from where on it goes, or 0 */
	struct buf *out;
};

/* What stands before the place stays; cut bytes behind it go. */
static void cut(struct pass *pass, size_t place, size_t size)
{
	buf_append(pass->out, pass->text + pass->taken, place - pass->taken);
	pass->taken = pass->at = place + size;
}

static void measure_run(struct pass *pass)
{
	size_t run;

	if (pass->at < pass->run_end)
		return;
	run = redaction_base64_run(pass->text, pass->size, pass->at);
	pass->run_end = pass->at + run;
	pass->run_cut = run > BASE64_MAX ? pass->at + BASE64_SHOWN : 0;
}

/* What is shown of a run was looked through before its rest goes. */
static void cut_run(struct pass *pass)
{
	size_t more = pass->run_end - pass->at;

	pass->run_cut = 0;
	cut(pass, pass->at, more);
	buf_printf(pass->out, "[and %zu more]", more);
}

static void step(struct pass *pass)
{
	struct redaction_hit hit = { 0 };
	size_t known;

	measure_run(pass);
	if (pass->run_cut && pass->at >= pass->run_cut) {
		cut_run(pass);
		return;
	}
	known = known_at(pass->redaction, pass->text + pass->at, pass->size - pass->at);
	hit.cut = known;
	if (!known && redaction_signs[(unsigned char)pass->text[pass->at]])
		hit = redaction_look(pass->text, pass->size, pass->at);
	if (hit.cut) {
		cut(pass, pass->at + hit.keep, hit.cut);
		buf_append(pass->out, REDACTED, sizeof(REDACTED) - 1);
	} else {
		pass->at++;
	}
}

/* So many of the next bytes that no character of UTF-8 is cut in two. */
static size_t whole_characters(const struct pass *pass, size_t count)
{
	for (int i = 0; i < 3 && count && pass->taken + count < pass->size; i++) {
		if (((unsigned char)pass->text[pass->taken + count] & 0xc0) != 0x80)
			break;
		count--;
	}
	return count;
}

bool redaction_apply(const struct redaction *redaction, struct bytes text, size_t ahead,
	size_t size_max, struct buf *out)
{
	struct pass pass = { .redaction = redaction,
		.text = text.data,
		.size = text.size,
		.out = out };
	size_t start = buf_size(out), end = text.size > ahead ? text.size - ahead : 0,
	       left;

	/* What will not fit need not be looked at. */
	while (pass.at < end && buf_size(out) - start + pass.at - pass.taken < size_max)
		step(&pass);
	left = size_max > buf_size(out) - start ? size_max - (buf_size(out) - start) : 0;
	if (left > pass.at - pass.taken)
		left = pass.at - pass.taken;
	left = whole_characters(&pass, left);
	buf_append(out, text.size ? pass.text + pass.taken : "", left);
	return pass.taken + left >= pass.size;
}
