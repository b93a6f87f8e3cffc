#include "storage/redaction_rule.h"

#include <ctype.h>
#include <stdbool.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"

#define TOKEN_MIN 16 /* bytes behind a prefix: what is shorter is a word */
#define VALUE_MIN 6  /* of a name's value: what is shorter is a type or a placeholder */
#define NO_HIT ((struct redaction_hit) { 0 })

struct span {
	const char *text;
	size_t size;
};

static bool is_alnum(char c)
{
	return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z');
}

static bool is_token_sign(char c)
{
	return is_alnum(c) || c == '-' || c == '_' || c == '.' || c == '~';
}

static size_t token_run(struct span text, size_t at)
{
	size_t start = at;

	while (at < text.size && is_token_sign(text.text[at]))
		at++;
	return at - start;
}

static bool is_base64(char c)
{
	return is_alnum(c) || c == '+' || c == '/' || c == '=' || c == '-' || c == '_';
}

static size_t skip(struct span text, size_t at, const char *signs)
{
	while (at < text.size && text.text[at] && strchr(signs, text.text[at]))
		at++;
	return at;
}

static bool begins(struct span text, size_t at, const char *word)
{
	size_t size = strlen(word);

	return text.size - at >= size && strncasecmp(text.text + at, word, size) == 0;
}

/* In JSON a word may stand behind an escape: \nsk-… */
static bool is_start(const char *text, size_t at)
{
	if (!at || !is_alnum(text[at - 1]))
		return true;
	return at > 1 && text[at - 2] == '\\' && strchr("nrtbf", text[at - 1]) != NULL;
}

size_t redaction_base64_run(const char *text, size_t size, size_t at)
{
	size_t start = at;

	while (at < size && is_base64(text[at]))
		at++;
	return at - start;
}

/* -- keys by their beginning -------------------------------------------------------- */

static const char *const prefixes[] = { "sk-", "sk_", "neap-", "xai-", "gsk_", "hf_",
	"AIza", "ghp_", "github_pat_", "glpat-", "AKIA", "r8_", "pplx-", "eyJ" };

static bool has_digit(const char *text, size_t size)
{
	for (size_t i = 0; i < size; i++)
		if (isdigit((unsigned char)text[i]))
			return true;
	return false;
}

static struct redaction_hit look_for_prefix(struct span text, size_t at)
{
	for (size_t i = 0; i < COUNT_OF(prefixes); i++) {
		size_t head = strlen(prefixes[i]), size;

		if (text.size - at < head ||
			memcmp(text.text + at, prefixes[i], head) != 0)
			continue;
		size = token_run(text, at + head);
		if (size >= TOKEN_MIN && has_digit(text.text + at + head, size))
			return (struct redaction_hit) { 0, head + size };
	}
	return NO_HIT;
}

/* -- values of names ---------------------------------------------------------------- */

static const char *const names[] = { "authorization", "x-api-key", "x-goog-api-key",
	"api-key", "api_key", "apikey", "access_token", "access-token", "refresh_token",
	"client_secret", "secret_key", "password", "passwd" };

static const char *const schemes[] = { "bearer", "basic", "token", "digest" };

/* Names that mean a secret in the query of a URL alone. */
static const char *const parameters[] = { "key", "token", "sig", "signature", "secret",
	"code" };

static size_t value_run(struct span text, size_t at, const char *ends)
{
	size_t start = at;

	while (at < text.size && (unsigned char)text.text[at] > ' ' &&
		!strchr(ends, text.text[at]))
		at++;
	return at - start;
}

/* The place behind a scheme's name and its space, or at. */
static size_t skip_scheme(struct span text, size_t at)
{
	for (size_t i = 0; i < COUNT_OF(schemes); i++) {
		size_t end = at + strlen(schemes[i]);

		if (begins(text, at, schemes[i]) && end < text.size &&
			text.text[end] == ' ')
			return skip(text, end, " ");
	}
	return at;
}

/* name: value, "name": "value", \"name\":\"value\", name=value */
static struct redaction_hit look_at_value(struct span text, size_t at, size_t end)
{
	size_t size;

	end = skip(text, end, "\\\"'");
	end = skip(text, end, " \t");
	if (end == text.size || (text.text[end] != ':' && text.text[end] != '='))
		return NO_HIT;
	end = skip(text, end + 1, " \t");
	end = skip_scheme(text, skip(text, end, "\\\"'"));
	size = value_run(text, end, "\"'\\,;&}]<>");
	return size < VALUE_MIN ? NO_HIT : (struct redaction_hit) { end - at, size };
}

static struct redaction_hit look_for_name(struct span text, size_t at)
{
	for (size_t i = 0; i < COUNT_OF(names); i++) {
		struct redaction_hit hit;

		if (!begins(text, at, names[i]))
			continue;
		hit = look_at_value(text, at, at + strlen(names[i]));
		if (hit.cut)
			return hit;
	}
	return NO_HIT;
}

static struct redaction_hit look_for_bearer(struct span text, size_t at)
{
	size_t start, size;

	if (!begins(text, at, "bearer "))
		return NO_HIT;
	start = skip(text, at + 6, " ");
	size = redaction_base64_run(text.text, text.size, start);
	size = size < token_run(text, start) ? token_run(text, start) : size;
	return size < TOKEN_MIN ? NO_HIT : (struct redaction_hit) { start - at, size };
}

/* -- URLs --------------------------------------------------------------------------- */

/* Behind ? or & or \u0026: start is behind it. */
static struct redaction_hit look_for_parameter(struct span text, size_t at, size_t start)
{
	for (size_t i = 0; i < COUNT_OF(parameters); i++) {
		size_t end = start + strlen(parameters[i]), size;

		if (!begins(text, start, parameters[i]) || end >= text.size ||
			text.text[end] != '=')
			continue;
		size = value_run(text, end + 1, "&#\"'\\<>");
		if (size >= VALUE_MIN)
			return (struct redaction_hit) { end + 1 - at, size };
	}
	return NO_HIT;
}

/* ://user:password@ */
static struct redaction_hit look_for_login(struct span text, size_t at)
{
	size_t start = at + 3, size;

	if (!begins(text, at, "://"))
		return NO_HIT;
	size = value_run(text, start, "/@?#\"'\\<>()");
	if (start + size == text.size || text.text[start + size] != '@' ||
		!memchr(text.text + start, ':', size))
		return NO_HIT;
	return (struct redaction_hit) { 3, size };
}

/* ----------------------------------------------------------------------------------- */

const bool redaction_signs[256] = { ['?'] = true,
	['&'] = true,
	['\\'] = true,
	[':'] = true,
	['A'] = true,
	['B'] = true,
	['C'] = true,
	['E'] = true,
	['G'] = true,
	['H'] = true,
	['N'] = true,
	['P'] = true,
	['R'] = true,
	['S'] = true,
	['X'] = true,
	['a'] = true,
	['b'] = true,
	['c'] = true,
	['e'] = true,
	['g'] = true,
	['h'] = true,
	['n'] = true,
	['p'] = true,
	['r'] = true,
	['s'] = true,
	['x'] = true };

/* The second letters of what is looked for, by the first: most words stop here. */
static bool may_begin(char first, char second)
{
	static const char *const seconds[26] = { ['a' - 'a'] = "cikpu",
		['b' - 'a'] = "e",
		['c' - 'a'] = "l",
		['e' - 'a'] = "y",
		['g' - 'a'] = "hils",
		['h' - 'a'] = "f",
		['n' - 'a'] = "e",
		['p' - 'a'] = "ap",
		['r' - 'a'] = "8e",
		['s' - 'a'] = "ek",
		['x' - 'a'] = "-a" };
	const char *known = seconds[(first | 0x20) - 'a'];

	return known && second && strchr(known, second | (second == '-' ? 0 : 0x20));
}

struct redaction_hit redaction_look(const char *text, size_t size, size_t at)
{
	struct span span = { text, size };
	struct redaction_hit hit;

	switch (text[at]) {
	case '?':
	case '&':
		return look_for_parameter(span, at, at + 1);
	case '\\':
		return begins(span, at, "\\u0026") ? look_for_parameter(span, at, at + 6)
						   : NO_HIT;
	case ':':
		return look_for_login(span, at);
	default:
		break;
	}
	if (!isalpha((unsigned char)text[at]) || at + 1 == size ||
		!may_begin(text[at], text[at + 1]) || !is_start(text, at))
		return NO_HIT;
	hit = look_for_prefix(span, at);
	if (!hit.cut)
		hit = look_for_name(span, at);
	return hit.cut ? hit : look_for_bearer(span, at);
}
