/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * answer_socketmap - the protocol of Sendmail's socket map and of Postfix's
 * socketmap_table(5).
 *
 * Requests and replies are netstrings, "LENGTH:TEXT,".  A request's text is
 * the name of a map, a space and the key; a reply's is a status, a space,
 * without which Sendmail ends the session of its client, and a value.
 */
#include "config.h"

#include "perdition-pbs/answer.h"

#include <errno.h>

#include "common/banned.h"

#define TEXT_MAX 4096 /* bytes: a map's name and a key */

/* The value of an entry; scratch: where it may be written. */
typedef struct slice make_value(
    const struct answer_grant *, char scratch[ANSWER_USER_MAX]);

/* Digits: Postfix takes them for OK, as of all such databases, and Sendmail's
 * FEATURE(drac) takes anything. */
static struct slice
yes(const struct answer_grant *grant, char scratch[ANSWER_USER_MAX])
{
	(void)grant;
	(void)scratch;
	return SLICE("1");
}

static struct slice
user(const struct answer_grant *grant, char scratch[ANSWER_USER_MAX])
{
	return answer_quote_user(grant->user, scratch);
}

static const struct {
	struct slice name;
	make_value *value;
} maps[] = {
	{ { "drac", 4 }, yes }, /* as FEATURE(drac) calls it */
	{ { "pbs", 3 }, yes },
	{ { "pbsuser", 7 }, user },
};

static make_value *
find_map(struct slice name)
{
	for (size_t i = 0; i < sizeof(maps) / sizeof(maps[0]); i++)
		if (slice_caseeq(name, maps[i].name))
			return maps[i].value;
	return NULL;
}

static struct slice
skip_word(struct slice key, struct slice word)
{
	if (key.n >= word.n && slice_caseeq(slice_make(key.p, word.n), word))
		return slice_skip(key, word.n);
	return key;
}

/* An address in any of the ways in which Sendmail's rules may ask for it:
 * "pop:" or option prefix before it, or "ipv6:", or both. */
static struct slice
address_in(const struct answer_source *s, struct slice key)
{
	struct slice prefix = slice_str(s->prefix);

	key = skip_word(key, prefix.n > 0 ? prefix : SLICE("pop:"));
	return skip_word(key, SLICE("ipv6:"));
}

static void
put_netstring(struct buf *out, struct slice status, struct slice value)
{
	buf_put_u64(out, status.n + value.n);
	buf_put_str(out, ":");
	buf_put(out, status);
	buf_put(out, value);
	buf_put_str(out, ",");
}

static void
look_up(const struct answer_source *s, struct slice text, struct buf *out)
{
	char scratch[ANSWER_USER_MAX];
	struct answer_grant grant;
	struct slice name, key = text;
	make_value *value;

	slice_cut(&key, ' ', &name);
	value = find_map(name);
	if (value == NULL)
		put_netstring(out, SLICE("PERM "), SLICE("no such map"));
	else if (answer_may_relay(s, address_in(s, key), &grant))
		put_netstring(out, SLICE("OK "), value(&grant, scratch));
	else
		put_netstring(out, SLICE("NOTFOUND "), SLICE(""));
}

/* As for struct answer_protocol; text: what the netstring holds. */
static ssize_t
parse(struct slice in, struct slice *text)
{
	ptrdiff_t colon = slice_find(in, ':');
	struct slice digits =
	    slice_make(in.p, colon == -1 ? in.n : (size_t)colon);
	uint64_t n = 0;
	size_t head;

	if (in.n == 0)
		return 0;
	/* The number has no leading zeros, so that it has one spelling. */
	if (slice_u64(digits, TEXT_MAX, &n) == -1 ||
	    (digits.n > 1 && digits.p[0] == '0'))
		return -1;
	if (colon == -1)
		return 0;
	head = digits.n + 1;
	if (in.n - head < n + 1)
		return 0;
	*text = slice_make(in.p + head, n);
	return in.p[head + n] == ',' ? (ssize_t)(head + n + 1) : -1;
}

static ssize_t
answer(const struct answer_source *s, struct slice in, struct buf *out)
{
	struct slice text;
	ssize_t n = parse(in, &text);

	if (n == -1)
		errno = EBADMSG;
	if (n > 0)
		look_up(s, text, out);
	return n;
}

const struct answer_protocol answer_socketmap = {
	.name = "socketmap",
	.request_max = TEXT_MAX + 6,
	.answer = answer,
};
