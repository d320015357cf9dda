/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * relay_text - entries as text; see the header.
 */
#include "config.h"

#include "perdition-pbs/relay_text.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "common/log.h"
#include "perdition-pbs/relay_key.h"

#include "common/banned.h"

static_assert(
    RELAY_TEXT_MAX + SLICE_U64_MAX + 4 + 4 * RELAY_USER_MAX <= RELAY_LINE_MAX,
    "RELAY_LINE_MAX does not hold every entry");

long
relay_text_write(
    const struct relay_entry *e, struct slice user, char *out, size_t cap)
{
	char text[RELAY_TEXT_MAX];
	int n;
	long quoted;

	relay_key_write(&e->key, text);
	n = snprintf(out, cap, "%s %" PRId64 " ", text, e->expires);
	if (n < 0 || (size_t)n >= cap) {
		errno = ENOSPC;
		return -1;
	}
	if (user.p == NULL)
		user = SLICE("");
	quoted = log_quote(user, out + n, cap - (size_t)n);
	return quoted == -1 ? -1 : n + quoted;
}

const char *
relay_text_parse(struct slice *text, struct relay_entry *e,
    char memory[RELAY_USER_MAX], struct slice *user)
{
	struct slice part;
	uint64_t expires;
	size_t used;
	long n;

	memset(e, 0, sizeof(*e));
	if (!slice_cut(text, ' ', &part))
		return "no time of expiry behind the address";
	if (relay_key_parse(part, "", &e->key) == -1)
		return "neither an address nor a network";
	if (!slice_cut(text, ' ', &part))
		return "no user behind the time of expiry";
	if (slice_u64(part, RELAY_FOREVER - 1, &expires) == -1)
		return "the time of expiry is none";
	e->expires = (int64_t)expires;
	n = log_unquote(*text, &used, memory, RELAY_USER_MAX);
	if (n == -1)
		return "the user is not quoted as it should be, or too long";
	*user = slice_make(memory, (size_t)n);
	*text = slice_skip(*text, used);
	return NULL;
}

/* --- JSON ---------------------------------------------------------------- */

/* The bytes of the well-formed character that s begins with, and which it is
 * (RFC 3629 section 4); 0: it begins with none. */
static size_t
utf8_char(struct slice s, uint32_t *c)
{
	static const struct {
		unsigned char lead, mask;
		uint32_t least;
	} forms[] = { { 0, 0x80, 0 }, { 0xc0, 0xe0, 0x80 },
		{ 0xe0, 0xf0, 0x800 }, { 0xf0, 0xf8, 0x10000 } };
	unsigned char first = (unsigned char)s.p[0];

	for (size_t n = 0; n < 4; n++) {
		if ((first & forms[n].mask) != forms[n].lead)
			continue;
		if (n + 1 > s.n)
			return 0;
		*c = first & (uint32_t)(unsigned char)~forms[n].mask;
		for (size_t i = 1; i <= n; i++) {
			if ((s.p[i] & 0xc0) != 0x80)
				return 0;
			*c = *c << 6 | (s.p[i] & 0x3f);
		}
		if (*c < forms[n].least || *c > 0x10ffff ||
		    (*c >= 0xd800 && *c <= 0xdfff))
			return 0;
		return n + 1;
	}
	return 0;
}

static void
put_char(FILE *f, uint32_t c)
{
	if (c == '"' || c == '\\')
		fprintf(f, "\\%c", (int)c);
	else if (c >= 0x20 && c <= 0x7e)
		putc((int)c, f);
	else if (c < 0x10000)
		fprintf(f, "\\u%04" PRIx32, c);
	else
		fprintf(f, "\\u%04" PRIx32 "\\u%04" PRIx32,
		    0xd800 + ((c - 0x10000) >> 10),
		    0xdc00 + ((c - 0x10000) & 0x3ff));
}

static void
put_user(FILE *f, struct slice user)
{
	struct slice all = user;
	bool exact = true;

	fputs(", \"user\": \"", f);
	while (user.n > 0) {
		uint32_t c;
		size_t n = utf8_char(user, &c);

		put_char(f, n == 0 ? 0xfffd : c);
		exact = exact && n > 0;
		user = slice_skip(user, n == 0 ? 1 : n);
	}
	fputs("\"", f);
	if (exact)
		return;
	fputs(", \"user_hex\": \"", f);
	for (size_t i = 0; i < all.n; i++)
		fprintf(f, "%02x", (unsigned char)all.p[i]);
	fputs("\"", f);
}

void
relay_text_json(
    FILE *f, const struct relay_entry *e, struct slice user, int64_t now)
{
	char text[RELAY_TEXT_MAX];

	relay_key_write(&e->key, text);
	fprintf(f,
	    "{\"address\": \"%s\", \"expires\": %" PRId64 ", \"left\": %" PRId64
	    ", \"always\": %s",
	    text, e->expires, e->expires - now,
	    e->expires == RELAY_FOREVER ? "true" : "false");
	if (user.n == 0)
		fputs(", \"user\": null", f);
	else
		put_user(f, user);
	fputs("}\n", f);
}
